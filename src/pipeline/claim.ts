import type { Agent } from '../agents/agent.ts'
import type { Held } from '../agents/counters.ts'
import type { ApprovalRow } from '../approvals/tasks.ts'
import type { KillTarget } from '../control/kill-state.ts'
import type { Seal } from '../lib/seal.ts'
import type { Decision, Effect, Reason } from '../model/decision.ts'
import type { ActionRequest } from '../model/request.ts'
import type { ActionRow } from '../record/actions.ts'
import type { Masking } from './masking.ts'

/** A decided action that asks the ledger for leave to happen. What of it the record may not hold is masked in it. */
export interface Claim {
  readonly actionId: string
  readonly decisionId: string
  readonly requestId: string
  readonly keyId: string
  readonly replicaId: string
  readonly agent: Agent
  readonly request: ActionRequest
  /** RFC 8785 text of the request, and its hash. */
  readonly requestText: string
  readonly requestHash: string
  /** Hash of the exact upstream call, '' when there is none to make. */
  readonly targetHash: string
  readonly upstream: string
  readonly decision: Decision
  /** Micro-units: the larger of what the tool costs and what the request declares. */
  readonly costMicros: bigint
  readonly idempotencyKey: string | null
  readonly dryRun: boolean
  /** Masks what is written of the outcome; null where the policy hides nothing from the record. */
  readonly masking: Masking | null
  /** The clear request, to be kept while it is held; null where the request is on record as it is. */
  readonly sealed: string | null
  /** What the agent can open its answer with later, where the record is masked. */
  readonly seal: Seal | null
}

/** What the ledger made of a claim. Only `execute` lets an effect start. */
export type ClaimResult =
  | { readonly type: 'execute'; readonly fence: number; readonly held: readonly Held[] }
  | { readonly type: 'held'; readonly approval: ApprovalRow; readonly reasons: readonly Reason[] }
  | {
      readonly type: 'denied'
      readonly reasons: readonly Reason[]
      /** When it would fit, if it was a full window that refused it. */
      readonly retryAtMs?: number | undefined
    }
  | {
      readonly type: 'dry_run'
      readonly effect: Effect
      readonly reasons: readonly Reason[]
      /** With what limits in shadow would have refused. */
      readonly shadow: readonly Reason[]
    }
  /** `joined`: sent again without a key while the first one is held, or to collect what became of it. */
  | { readonly type: 'replay'; readonly action: ActionRow; readonly joined: boolean }
  | { readonly type: 'mismatch' }
  /** Refused for its rate: no record is made of it, or a flood would fill the record. */
  | {
      readonly type: 'rate_limited'
      readonly reasons: readonly Reason[]
      readonly retryAtMs?: number | undefined
    }

/** What a claim touches, as a kill switch sees it. */
export function killTargetOf({
  agent,
  request,
  upstream,
}: Pick<Claim, 'agent' | 'request' | 'upstream'>): KillTarget {
  return { agentId: agent.id, agentName: agent.name, tool: request.tool, upstream }
}
