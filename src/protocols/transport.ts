import type { Reason } from '../model/decision.ts'
import type { JsonObject } from '../model/json.ts'
import type { Target } from '../model/request.ts'
import type { StoredResult } from '../model/result.ts'
import type { Tool, Upstream } from '../model/tool.ts'
import type { Bundle } from '../bundle/types.ts'
import type { ActionOutcome } from '../record/actions.ts'
import type { CallOptions, CallResult } from './http/upstream-client.ts'

/** What a call means for its action. */
export interface CallOutcome {
  readonly outcome: Omit<ActionOutcome, 'id' | 'fence'>
  /** The whole answer, for the caller that waits; null when there is none. */
  readonly result: StoredResult | null
  readonly upstreamStatus: number | null
  /** What it really cost, where that is known apart from the reservation; the rest is given back. */
  readonly spentMicros?: bigint
  /** For the record, beside the outcome. */
  readonly detail?: JsonObject
}

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
