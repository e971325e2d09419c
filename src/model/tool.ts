import type { JsonObject } from './json.ts'
import type { PolicyLocation } from './decision.ts'

/** What calling the tool does to the world, declared by its author. */
export type EffectClass = 'read' | 'write' | 'irreversible'

/**
 * What the gate shows an upstream that nobody else may see; the secrets themselves stay in the environment. One in a
 * header has no mark of its own, because approvals are given for upstreams as they were first described.
 */
export type Credential =
  | { readonly header: string; readonly env: string; readonly prefix: string }
  | { readonly query: string; readonly env: string }
  | { readonly basic: { readonly userEnv: string; readonly passwordEnv: string } }
  | { readonly oauth2: ClientCredentials }

/** RFC 6749, section 4.4: a token that the gate fetches for itself. */
export interface ClientCredentials {
  readonly tokenUrl: string
  readonly clientIdEnv: string
  readonly clientSecretEnv: string
  readonly scopes: readonly string[]
  readonly audience: string | null
}

/** How an upstream is spoken to over HTTP, beyond its address. */
export interface HttpUpstream {
  /** Fixed, by lower-case name; never from a client. */
  readonly headers: Readonly<Record<string, string>>
  /** Lower-case names of headers that a client may send along. */
  readonly passHeaders: readonly string[]
  /** How long a streamed answer may say nothing, and how long it may take in all. */
  readonly idleTimeoutMs: number
  readonly totalTimeoutMs: number
  /** How large an answer may be that is not held in memory. */
  readonly answerBytesMax: number
}

/** A program that the gate starts, and speaks to over its standard input and output. */
export interface ChildProgram {
  /** The program and its args; no shell reads them. */
  readonly command: readonly string[]
  /** All of its environment: `NAME`, with the gate's own value of it, or `NAME=value`. */
  readonly env: readonly string[]
  /** Null: where the gate works. */
  readonly cwd: string | null
}

/** What an MCP server can ask of its client. */
export type ServerRequest = 'sampling' | 'elicitation' | 'roots'

/** A system the gate may call. Credentials come from the environment, never from an agent. */
export interface Upstream {
  readonly name: string
  /** The name of its `Protocol`. */
  readonly protocol: string
  /** Origin plus optional path prefix, without a trailing slash. */
  readonly baseUrl: string
  /** In place of an address: there is none, and the gate starts it. */
  readonly program?: ChildProgram
  /** What it may ask of the client whose call it carries out; absent: nothing. */
  readonly serverRequests?: readonly ServerRequest[]
  readonly timeoutMs: number
  /** How much of an answer is held in memory. */
  readonly responseBytesMax: number
  readonly connectionsMax: number
  readonly credential: Credential | null
  /** Header in which the upstream takes an idempotency key (the action id), or null. */
  readonly idempotencyHeader: string | null
  readonly http: HttpUpstream
  /** Of what effects depend on, as written: what only newer files can say. It is part of what is approved. */
  readonly declared: JsonObject
}

/** Where an arg travels. */
export interface Param {
  readonly arg: string
  readonly in: 'path' | 'query' | 'header' | 'body'
  /** What it is called there: of the path, the variable of the template. */
  readonly name: string
  readonly style: ParamStyle
  /** Each item of a list by itself rather than all in one. */
  readonly explode: boolean
  /** Of the path: its value may hold separators, which travel escaped. */
  readonly slash: boolean
}

/** As in OpenAPI. */
export type ParamStyle = 'simple' | 'form' | 'spaceDelimited' | 'pipeDelimited' | 'deepObject'

/** What a body is: `plain` is JSON, or none where the method has none, as of tools that do not say. */
export type BodyKind = 'plain' | 'none' | 'json' | 'form' | 'multipart' | 'text' | 'raw'

/** How a tool is called over HTTP, beyond method and path. */
export interface HttpCallRules {
  /** What does not go to the body under its own name, in the order it is written. */
  readonly params: readonly Param[]
  readonly body: BodyKind
  /** Lower case; null: that of the kind. */
  readonly contentType: string | null
  /** The arg whose value is the whole body; null: the body has a member for each. */
  readonly bodyArg: string | null
  readonly bodyBytesMax: number
  /** Args, or the items of args, that are files. */
  readonly files: readonly string[]
  /** Whether query parameters that nobody declared travel too, as the arg `extra_query`. */
  readonly extraQuery: boolean
  readonly response: ResponseRules
  /** Statuses after which nothing has happened: the same request may be sent again. Null: those that say when. */
  readonly retryableStatus: readonly number[] | null
  /** Lower-case names of headers that callers of `/act` get besides the usual ones. */
  readonly returnHeaders: readonly string[]
  /** What a client is told while a person is asked. */
  readonly onHold: 'accepted' | 'refused' | 'wait'
  readonly waitMs: number
  /** How long a large answer is kept. */
  readonly resultTtlMs: number
}

export interface ResponseRules {
  readonly stream: 'auto' | 'never'
  /** Null: what the upstream says. */
  readonly bytesMax: number | null
  readonly redirects: 'pass_on_read' | 'pass' | 'refuse'
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
  /** `/tickets/{id}.json`: each `{name}` is percent-encoded text within one segment, taken from the args. */
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
   * Path templates of other tools (same upstream and method) that this one's template covers or crosses.
   * A path parameter whose value would land on one of them is refused.
   */
  readonly reservedPaths: readonly string[]
  readonly http: HttpCallRules
  /** Of what effects depend on, as written: what only newer files can say. It is part of what is approved. */
  readonly declared: JsonObject
  readonly location: PolicyLocation
}

const MIB = 1 << 20
const RESULT_TTL_MS = 3_600_000

/** What a client may send along where the policy does not say: it negotiates, and changes nothing. */
export const PASS_HEADERS: readonly string[] = Object.freeze([
  'accept',
  'accept-language',
  'range',
  'if-none-match',
  'if-match',
  'if-modified-since',
  'prefer',
])

export const PLAIN_UPSTREAM: HttpUpstream = Object.freeze({
  headers: Object.freeze({}),
  passHeaders: PASS_HEADERS,
  idleTimeoutMs: 60_000,
  totalTimeoutMs: 900_000,
  answerBytesMax: 100 * MIB,
})

/** A call that says nothing but method and path. */
export const PLAIN_CALL: HttpCallRules = Object.freeze({
  params: Object.freeze([]),
  body: 'plain',
  contentType: null,
  bodyArg: null,
  bodyBytesMax: MIB,
  files: Object.freeze([]),
  extraQuery: false,
  response: Object.freeze({ stream: 'auto', bytesMax: null, redirects: 'pass_on_read' }),
  retryableStatus: null,
  returnHeaders: Object.freeze([]),
  onHold: 'accepted',
  waitMs: 0,
  resultTtlMs: RESULT_TTL_MS,
})

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
  http: PLAIN_CALL,
  declared: {},
} as const)
