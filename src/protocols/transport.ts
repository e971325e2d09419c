import type { Reason } from '../model/decision.ts'
import type { JsonObject } from '../model/json.ts'
import type { Target } from '../model/request.ts'
import type { Tool, Upstream } from '../model/tool.ts'
import type { Bundle } from '../bundle/types.ts'
import type { CallOutcome } from '../record/actions.ts'
import type { CallOptions, CallResult } from './http/exchange.ts'

/** What an answer is read with. */
export interface Reading {
  readonly tool: Tool
  readonly bundle: Bundle
  /** What the risk patterns say of a text of the upstream's; empty: nothing against it. */
  readonly screen: (text: JsonObject) => readonly Reason[]
}

/** One call that was made: what came of the exchange, and how it is read. */
export interface Called {
  readonly exchange: CallResult
  read(reading: Reading): CallOutcome
}

/** The half of a protocol that has effects. */
export interface Transport {
  /** @throws GatewayError where it cannot be called at all */
  assertReady(): void
  call(upstream: Upstream, target: Target, options: CallOptions): Promise<Called>
}
