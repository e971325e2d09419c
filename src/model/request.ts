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
}

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
  /** RFC 8785 bytes of the JSON body as text, or null for none. */
  readonly body: string | null
}
