import type { JsonObject } from './json.ts'

/** Who asks, in AuthZEN's words. Only agents act; others are asked about. */
export interface Subject {
  readonly type: string
  readonly id: string
}

/** What they do, in AuthZEN's words: a call of the tool of this name; its args are the properties. */
export interface ActionCall {
  readonly name: string
  readonly properties: JsonObject
}

/** What is acted on, in AuthZEN's words. */
export interface Resource {
  readonly type: string
  readonly id: string
}

/** An action as it is asked for in JSON, before anything is known of it. */
export interface AskedAction {
  readonly tool: string
  readonly args?: JsonObject
  readonly resource?: Resource
  readonly context?: JsonObject
  readonly reason?: string
  /** A declared cost, in the budget's currency. */
  readonly cost?: string | number
}

/**
 * The canonical request: everything the caller asked for, parsed and checked, nothing else.
 * Policy, approval hash, audit hash and upstream call all derive from this one object.
 */
export interface ActionRequest {
  readonly subject: Subject
  readonly action: ActionCall
  /** As the caller named it, or null; the decision then uses the tool's own mapping. */
  readonly resource: Resource | null
  readonly context: JsonObject
  /** Why the agent says it acts. Scanned like every other string. */
  readonly reason: string | null
  /** Cost the caller declares, in millionths of the budget currency, or null. */
  readonly costMicros: bigint | null
  /** What the client sent along with an HTTP call, by lower-case name; absent: nothing. */
  readonly headers?: Readonly<Record<string, string>>
  /** Text of files, by digest, for guards that read text. It is in the args as a digest only. */
  readonly fileTexts?: ReadonlyMap<string, string>
}

/** A file as policies, the record and approvals see it; its bytes are known by their digest. */
export interface FileArg {
  readonly filename: string | null
  readonly content_type: string
  readonly bytes: number
  readonly sha256: string
}

/** One field of a multipart body. */
export type BodyPart =
  | { readonly name: string; readonly text: string; readonly content_type: string | null }
  | { readonly name: string; readonly file: FileArg }

/** Of a request that says nothing but what is to be done. */
export const UNSAID = Object.freeze({
  resource: null,
  context: Object.freeze({}),
  reason: null,
  costMicros: null,
} as const)

/** The upstream call an allowed request turns into. `path` is canonical and starts with `/`. */
export interface Target {
  readonly upstream: string
  readonly method: string
  readonly path: string
  /** Encoded query without the `?`, or the empty string. */
  readonly query: string
  /** The body as text (of JSON: RFC 8785), or null for none that is text. */
  readonly body: string | null
  /** By lower-case name; absent: none but those of every call. */
  readonly headers?: Readonly<Record<string, string>>
  /** A multipart body. */
  readonly parts?: readonly BodyPart[]
  /** A body that is one file. */
  readonly file?: FileArg
}
