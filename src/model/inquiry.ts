import type { JsonObject } from './json.ts'

/** Somebody or something, in AuthZEN's words. */
export interface Entity {
  readonly type: string
  readonly id: string
  readonly properties: JsonObject
}

/**
 * A question of an enforcement point: may this subject do this to that? The one who asks carries the answer
 * out, so nothing is called, and nothing is reserved (AuthZEN Authorization API 1.0, section 6).
 */
export interface Inquiry {
  readonly subject: Entity
  readonly action: { readonly name: string; readonly properties: JsonObject }
  readonly resource: Entity
  readonly context: JsonObject
  /** The same as it was sent, where it may be asked for again. */
  readonly given?: Given
}

/** The parts of a question as they were sent, members that nobody here knows included. */
export interface Given {
  readonly subject: JsonObject
  readonly action: JsonObject
  readonly resource: JsonObject
  readonly context: JsonObject
}
