import type { JsonObject } from './json.ts'
import type { PolicyLocation } from './decision.ts'

/** What calling the tool does to the world, declared by its author. */
export type EffectClass = 'read' | 'write' | 'irreversible'

/** A system the gate may call. Credentials come from the environment, never from an agent. */
export interface Upstream {
  readonly name: string
  /** The name of its `Protocol`. */
  readonly protocol: string
  /** Origin plus optional path prefix, without a trailing slash. */
  readonly baseUrl: string
  readonly timeoutMs: number
  readonly responseBytesMax: number
  readonly connectionsMax: number
  /** Header to set on every call and the environment variable that holds its secret part. */
  readonly credential: {
    readonly header: string
    readonly env: string
    readonly prefix: string
  } | null
  /** Header in which the upstream takes an idempotency key (the action id), or null. */
  readonly idempotencyHeader: string | null
}

/** A look-up whose answer the decision needs, such as a customer's do-not-contact flag. */
export interface FactLookup {
  readonly name: string
  /** A tool with effect class `read`; called with the gate's own credentials. */
  readonly tool: string
  /** Argument name of that tool -> JSON pointer into the args of the asking tool. */
  readonly args: Readonly<Record<string, string>>
  readonly ttlMs: number
}

/** One way to have an effect on an upstream. */
export interface Tool {
  readonly name: string
  readonly description: string
  readonly upstream: string
  readonly method: string
  /** `/tickets/{id}`: each `{name}` is one whole, percent-encoded path segment taken from the args. */
  readonly path: string
  /** Names of args that travel in the query, in the order they are written. */
  readonly query: readonly string[]
  readonly effectClass: EffectClass
  /** JSON Schema of the args, closed unless it says otherwise. */
  readonly argsSchema: JsonObject
  readonly resource: { readonly type: string; readonly idArg: string | null } | null
  /** Fixed cost in micro-units; a declared cost may raise it, never lower it. */
  readonly costMicros: bigint
  /** JSON pointers into the args where recipients are found: strings or arrays of strings. */
  readonly recipients: readonly string[]
  /** JSON pointer to an array (or a whole number) in the args that counts items; null: one item. */
  readonly items: string | null
  /** JSON pointers to path-valued args, for `path_whitelist`. */
  readonly paths: readonly string[]
  readonly facts: readonly FactLookup[]
  /**
   * Path templates of other tools (same upstream and method) that this one's template covers.
   * A path parameter whose value would land on one of them is refused.
   */
  readonly reservedPaths: readonly string[]
  readonly location: PolicyLocation
}

/** What a tool is that declares nothing but what it must. */
export const UNDECLARED = Object.freeze({
  query: [],
  resource: null,
  costMicros: 0n,
  recipients: [],
  items: null,
  paths: [],
  facts: [],
  reservedPaths: [],
} as const)
