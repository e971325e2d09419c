import { Counters } from '../../agents/counters.ts'
import { agentStates } from '../../agents/registry.ts'
import { withOwnLimits } from '../../agents/own-limits.ts'
import { accessGrant, unuseGrants, useGrant, type AccessGrant } from '../../approvals/access.ts'
import { votesOf } from '../../approvals/tasks.ts'
import {
  countingVoices,
  hasLostItsKeys,
  objectionsTo,
  type EnvironmentKeys,
} from '../../approvals/voters.ts'
import { killTargetOf } from '../../control/kill-state.ts'
import type { Effect, Reason } from '../../model/decision.ts'
import { admit, effectOf, type Verdict } from '../../pipeline/admission.ts'
import type { Claim } from '../../pipeline/claim.ts'
import { decisionEntry } from '../../record/entries.ts'
import type { LedgerKind, Tx } from '../../record/ledger.ts'
import type { ShownApproval } from './approval.ts'

// A question that is asked again with an approval (section 12) is judged like any other: by the policy, the switch, the agent and
// the limits of now. The approval stands in for a person where one is needed and for nothing else. Whether it does is looked at
// in the batch that uses it, so that of two questions with one approval one has it. What is wrong with it is said, with
// what to do next; the question is answered as if it had not been shown.

/** Why an approval that was shown does not count, in the profile's words. */
export type Objection =
  | 'approval_unverifiable'
  | 'approval_expired'
  | 'out_of_scope'
  | 'policy_denied'

export interface ShownClaim {
  readonly claim: Claim
  /** Undefined: what was shown is none of ours. */
  readonly shown: ShownApproval | undefined
  readonly holder: string
  /** The digest of what is asked, by the members of the context that the approval names and those that would be bound now. */
  readonly boundHash: (names: readonly string[]) => string
  readonly isReusable: boolean
}

export interface Reevaluated {
  readonly effect: Effect
  readonly reasons: readonly Reason[]
  /** The limits that asking took something of. */
  readonly consumed: readonly string[]
  /** The approval that it is allowed by. */
  readonly approval: { readonly id: string; readonly approvedUntil: Date } | undefined
  /** Why it is not allowed, where it is not, and what to do. */
  readonly refusal: Refusal | undefined
}

export interface Refusal {
  /** In place of the code of the first reason; undefined: that one. */
  readonly reason: string | undefined
  readonly nextAction: 'request' | 'retry' | 'none'
  readonly retryAfterS?: number
}

/** What is only engaged for a while, such as the kill switch, is asked again after this long. */
const RETRY_S = 30

const NEXT: Readonly<Record<Objection, Refusal['nextAction']>> = {
  approval_unverifiable: 'none',
  approval_expired: 'request',
  out_of_scope: 'request',
  policy_denied: 'none',
}

export const reevaluationKind = (
  environment: EnvironmentKeys,
): LedgerKind<ShownClaim, Reevaluated> => ({
  name: 'reevaluation',
  order: 2,
  lane: 'work',
  agentOf: ({ claim }) => claim.agent.id,
  async apply(tx, asked) {
    const answers: Reevaluated[] = []
    for (const one of asked) answers.push(await reevaluate(tx, one, environment))
    return answers
  },
  // The commit got no answer, so nobody was told: the approval is as good as before.
  async recover(tx, asked) {
    const decisions = asked.map(({ claim }) => claim.decisionId)
    for (const approvalId of await unuseGrants(tx, decisions)) {
      const detail = { approval_id: approvalId, message: 'the answer was not confirmed' }
      const draft = { agentId: '', tool: '', effect: '', actionId: '', detail }
      tx.append({ kind: 'approval.unused', ...draft })
    }
  },
})

async function reevaluate(
  tx: Tx,
  asked: ShownClaim,
  environment: EnvironmentKeys,
): Promise<Reevaluated> {
  const { verdict, opensAtMs } = await judged(tx, asked.claim)
  const claim = { ...asked.claim, decision: verdict.decision }
  const found = await applicable(tx, { ...asked, claim }, environment)
  const { reasons } = verdict
  const consumed = [...new Set(verdict.taken.map(({ exceeded }) => exceeded.source))]
  if (verdict.outcome === 'hold' && 'grant' in found) {
    const { approvalId, grantId: id, expiresAt: approvedUntil } = found.grant
    useGrant(tx, approvalId, claim.decisionId)
    append(tx, claim, 'allow', reasons, {
      approval_id: approvalId,
      ...(await approvers(tx, approvalId)),
    })
    return {
      ...{ effect: 'allow', reasons, consumed },
      ...{ approval: { id, approvedUntil }, refusal: undefined },
    }
  }
  const effect = effectOf(verdict)
  const objection = 'objection' in found ? found.objection : undefined
  // Refused for its rate, it is not on record, like any other question.
  if (verdict.outcome !== 'rate_limited') {
    append(tx, claim, effect, reasons, objection ? { approval_refused: objection } : {})
  }
  const refusal =
    effect === 'allow' ? undefined : refusalOf(verdict, objection, opensAtMs, tx.nowMs)
  return { effect, reasons, consumed, approval: undefined, refusal }
}

async function judged(tx: Tx, { agent, decision, costMicros, inquiry, ...claim }: Claim) {
  const state = inquiry?.standing ?? (await agentStates(tx, [agent.id])).get(agent.id)
  const { reservations } = withOwnLimits(decision, costMicros, state)
  const counters = await Counters.load(tx, reservations)
  const target = killTargetOf({ ...claim, agent })
  const stage = inquiry?.consumes ? ('dry_run' as const) : ('inquiry' as const)
  const asking = { decision, costMicros, target, stage }
  const verdict = admit(asking, { switches: tx.switches, agent: state, counters })
  counters.takeAll(verdict.taken)
  counters.flush(tx)
  const { full } = verdict
  const openings = full.length > 0 ? await counters.opensAt(tx, full) : new Map()
  const times = full.flatMap((one) => openings.get(one) ?? [])
  return { verdict, opensAtMs: times.length > 0 ? Math.max(...times) : undefined }
}

type Found = { readonly grant: AccessGrant } | { readonly objection: Objection }

/** The approval that is shown, if it counts for this question, of this one, now. */
async function applicable(tx: Tx, asked: ShownClaim, environment: EnvironmentKeys): Promise<Found> {
  const { shown, holder, claim, boundHash, isReusable } = asked
  const grant = shown && (await accessGrant(tx, shown.grantId))
  if (!grant || !isSame(shown, grant) || grant.holder !== holder) {
    return { objection: 'approval_unverifiable' }
  }
  const isOver = grant.status !== 'approved' || grant.expiresAt.getTime() <= tx.nowMs
  if (isOver || (grant.usedAt !== null && !isReusable)) return { objection: 'approval_expired' }
  // A name goes from one agent to another; what was approved for the one is nothing of the other's.
  const isFor =
    grant.agentId === claim.agent.id && boundHash(grant.boundContext) === grant.boundHash
  if (!isFor || grant.targetHash !== claim.targetHash) return { objection: 'out_of_scope' }
  if (!(await mayAct(tx, claim, environment))) return { objection: 'policy_denied' }
  return (await isSufficient(tx, claim, grant, environment))
    ? { grant }
    : { objection: 'approval_expired' }
}

// What went out, to the last member (the PEP must hand it back unchanged).
const isSame = (
  { approvedAt, approvedUntil, taskId, holder }: ShownApproval,
  grant: AccessGrant,
): boolean =>
  approvedAt === grant.approvedAt?.toISOString() &&
  approvedUntil === grant.expiresAt.toISOString() &&
  taskId === grant.taskId &&
  holder === grant.holder

// An agent whose keys were all revoked does not act, whoever approved it before.
async function mayAct(tx: Tx, { agent }: Claim, environment: EnvironmentKeys): Promise<boolean> {
  if (agent.id === '' || environment.actsAs(agent.name)) return true
  return !(await hasLostItsKeys(tx, agent.id))
}

// By today's terms: a policy may ask for more voices or other roles, and a voter's key be gone.
async function isSufficient(
  tx: Tx,
  { agent, decision }: Claim,
  { approvalId, voices, keyId }: AccessGrant,
  environment: EnvironmentKeys,
): Promise<boolean> {
  const { approval: terms } = decision
  const { id: agentId, name: agentName, owner } = agent
  const requester = { agentId, agentName, owner, others: voices, keyId }
  const objection = await objectionsTo(tx, requester, terms, tx.nowMs)
  const votes = await votesOf(tx, approvalId)
  const counting = await countingVoices(tx, votes, terms, objection, environment)
  return counting.size >= terms.quorum
}

const approvers = async (tx: Tx, approvalId: string) => {
  const votes = await votesOf(tx, approvalId)
  const approving = votes.filter(({ vote }) => vote === 'approve')
  return { approved_by: approving.map(({ approver }) => approver) }
}

function append(
  tx: Tx,
  claim: Claim,
  effect: Effect,
  reasons: readonly Reason[],
  more: Readonly<Record<string, string | string[]>>,
): void {
  const entry = decisionEntry(claim, effect, reasons)
  tx.append({ ...entry, detail: { ...entry.detail, ...more } })
}

function refusalOf(
  { outcome, reasons }: Verdict,
  objection: Objection | undefined,
  opensAtMs: number | undefined,
  nowMs: number,
): Refusal {
  const isKilled = reasons[0]?.code === 'kill_switch_engaged'
  if (outcome === 'rate_limited' || opensAtMs !== undefined || isKilled) {
    const waitMs = opensAtMs === undefined ? RETRY_S * 1000 : opensAtMs - nowMs
    const retryAfterS = Math.max(1, Math.ceil(waitMs / 1000))
    return { reason: undefined, nextAction: 'retry', retryAfterS }
  }
  if (outcome === 'hold' && objection) return { reason: objection, nextAction: NEXT[objection] }
  // What is shown with what the policy denies: with an approval that counts, that is the reason.
  const reason = objection === undefined ? ('policy_denied' as const) : undefined
  return { reason, nextAction: 'none' }
}
