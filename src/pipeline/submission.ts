import type { ReadBody } from '../bundle/body-args.ts'
import type { SentHeaders } from '../bundle/headers.ts'
import type { Caller } from '../agents/keys.ts'
import type { ErrorCode } from '../errors.ts'
import type { Seal } from '../lib/seal.ts'
import type { SentFiles } from '../lib/spool.ts'
import type { ActionSink } from '../protocols/http/exchange.ts'
import type { Effect, Reason, TraceStep } from '../model/decision.ts'
import type { JsonObject } from '../model/json.ts'
import type { Resource } from '../model/request.ts'
import type { StoredResult } from '../model/result.ts'
import type { Tool } from '../model/tool.ts'
import type { ActionState } from '../record/actions.ts'

/** A tool by its name. */
export interface NamedCall {
  readonly tool: string
  readonly args: JsonObject
  /** What the client sends along, by lower-case name. */
  readonly headers?: Readonly<Record<string, string>>
}

/** An HTTP request as it was sent, for which a tool stands: which one, the bundle that judges it says. */
export interface HttpCall {
  readonly upstream: string
  readonly method: string
  /** What follows the proxy prefix, as sent: nothing that normalises may touch it before it is matched. */
  readonly path: string
  readonly query: string
  readonly headers: SentHeaders
  /** Reads its body, in its own form, as the tool takes it; asked for once, when a tool stands for the request. */
  readonly body: (tool: Tool) => Promise<ReadBody>
}

export type Call = NamedCall | HttpCall

/** An action as it arrives at the pipeline, whatever door it came through. */
export interface Submission {
  readonly caller: Caller
  readonly requestId: string
  readonly call: Call
  readonly resource: Resource | null
  readonly context: JsonObject
  readonly reason: string | null
  readonly costMicros: bigint | null
  readonly idempotencyKey: string | null
  /** How long to wait for a held action before answering that it is held. */
  readonly waitMs: number
  /** False: what a person would have to approve is denied, because nobody comes back for it. */
  readonly mayBeHeld?: boolean
  /** Seals the answer for whoever repeats the request with the same secret, where the record is masked. */
  readonly seal?: Seal | null
  /** Gets the answer as it comes, where it is the first to be told of it. */
  readonly sink?: ActionSink
  /** Whether a large answer is worth keeping for it. */
  readonly fetchesLater?: boolean
  /** The files it came with. */
  readonly files?: SentFiles
  /** Set where who asks enforces the answer: by which surface. Nothing is carried out or taken then. */
  readonly surface?: string
  /** What a model was told and proposed before, uncut, where it may hold what the record must not. */
  readonly told?: readonly JsonObject[]
}

interface Identified {
  readonly actionId: string
  readonly decisionId: string
  readonly revision: string
  /** The same request had been sent before and is held, or had just ended: this is that one. */
  readonly joined?: boolean
  /** The answer that the request under this `Idempotency-Key` had before. */
  readonly replayed?: boolean
}

/** What became of a submission: a value, which each door puts into its own words. */
export type Answer =
  | (Identified & {
      readonly type: 'executed'
      readonly state: Extract<ActionState, 'succeeded' | 'failed'>
      readonly result: StoredResult
      /** The sink has had all of it, and may end it now: the outcome is on record. */
      readonly isStreamed?: true
    })
  | (Identified & {
      readonly type: 'held'
      readonly approval: { readonly id: string; readonly status: string; readonly expiresAt: Date }
      readonly reasons: readonly Reason[]
    })
  | (Identified & {
      readonly type: 'refused'
      readonly code: ErrorCode
      readonly message: string
      readonly reasons: readonly Reason[]
      readonly retryAfterS?: number
      /** When a full window opens again: the same request may succeed then. */
      readonly retryAtMs?: number
    })
  | {
      readonly type: 'dry_run'
      readonly decisionId: string
      readonly revision: string
      readonly effect: Effect
      readonly reasons: readonly Reason[]
      readonly shadow: readonly Reason[]
      readonly trace: readonly TraceStep[]
    }
