import type { IncomingMessage } from 'node:http'
import type { Caller } from '../../agents/keys.ts'
import type { ExposedMethod } from '../../bundle/exposed.ts'
import type { JsonObject } from '../../model/json.ts'
import type { RawJson } from '../../lib/raw-json.ts'
import type { Answer } from '../../pipeline/submission.ts'
import type { Incoming } from '../../mcp/wire.ts'
import type { ActionSink, ServerAsk } from '../../protocols/http/exchange.ts'
import type { Replying } from './replying.ts'
import type { HttpParts } from '../edge/parts.ts'

/** What the MCP door is built from. */
export type McpParts = Pick<
  HttpParts,
  | 'agents'
  | 'config'
  | 'db'
  | 'events'
  | 'killState'
  | 'log'
  | 'mask'
  | 'metrics'
  | 'operations'
  | 'peers'
  | 'pipeline'
  | 'policies'
  | 'streams'
  | 'version'
>

/** Who asks, and what. */
export interface Asking {
  readonly req: IncomingMessage
  readonly caller: Caller
  readonly message: Incoming
}

export type Executed = Extract<Answer, { type: 'executed' }>

/** A tool as a client calls it. */
export interface CalledTool {
  /** What it is called in policies and on record. */
  readonly tool: string
  /** JSON Schema of its args. */
  readonly schema: JsonObject
  /** A client holds `structuredContent` against it, of an error too. */
  readonly hasOutputSchema: boolean
  /** Whether this caller may know of it. */
  readonly isShown: boolean
  /** Of which server it is, where there are several under one path. */
  readonly server?: string
}

/** Lists of what a server has besides tools, by the member of the result that holds them. */
export type ListName = 'resources' | 'resourceTemplates' | 'prompts'

/** Which of them the caller may know of. */
export interface Offers {
  readonly resources: boolean
  readonly prompts: boolean
}

export const NOTHING: Offers = { resources: false, prompts: false }

/** What is asked for, as a tool that stands for the method. */
export interface Found {
  readonly tool: CalledTool
  readonly server: string
  readonly args: JsonObject
}

/** What stands behind one path besides tools. */
export interface Beside {
  offers(asking: Asking): Promise<Offers>
  /** @throws GatewayError where it cannot be had */
  list(asking: Asking, list: ListName): Promise<readonly JsonObject[]>
  /** @throws McpError for params that are none */
  find(asking: Pick<Asking, 'caller' | 'message'>, method: ExposedMethod): Promise<Found>
}

/** Whose call a server carries out, in the words of a kill switch. */
export interface CallTarget {
  readonly asking: Asking
  readonly tool: string
  readonly upstream: string
}

/** Puts what servers ask to the clients whose calls they carry out. */
export interface AskingClients {
  /** Asks the client of one call; undefined where it can be asked nothing. */
  of(target: CallTarget, replying: Replying): ServerAsk | undefined
}

/** What stands behind one path under `/mcp`. */
export interface Served {
  readonly name: string
  /** Versions it is spoken to in. */
  versions(): readonly string[]
  /** Changes when the list of the caller may. */
  revision(asking: Asking): Promise<string>
  instructions(): string
  /** The tools that the caller may know of, as a client lists them. */
  tools(asking: Asking): Promise<readonly JsonObject[]>
  /** Undefined: there is none of this name. */
  find(asking: Asking, name: string): Promise<CalledTool | undefined>
  /**
   * An answer of the upstream as the result of the call of this tool; JSON text where it is handed on as it came.
   * @throws McpError
   */
  result(answer: Executed, replying: Replying, tool: string): JsonObject | RawJson
  /** Calls a tool that is no action but a question to the gate; absent: calls go through the pipeline. @throws McpError */
  call?(asking: Asking): Promise<JsonObject>
  /** Whether a legacy client may hear what a server logs during its calls. */
  readonly logs?: boolean
  /** What there is besides tools; absent: nothing. */
  readonly beside?: Beside
  /** Gets what the upstream says, and asks, before its answer. */
  sink?(asking: Asking, replying: Replying, asks: AskingClients): ActionSink | undefined
}
