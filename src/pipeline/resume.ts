import { agentStates, type AgentState } from '../agents/registry.ts'
import { Counters, type Held } from '../agents/counters.ts'
import { approvalOfAction, fail as failApproval, votesOf } from '../approvals/tasks.ts'
import {
  countingVoices,
  hasLostItsKeys,
  objectionsTo,
  type EnvironmentKeys,
} from '../approvals/voters.ts'
import { covers } from '../control/kill-state.ts'
import type { Reason } from '../model/decision.ts'
import { findAction, moveAction, moveActions, type ActionRow } from '../record/actions.ts'
import type { LedgerKind, Tx } from '../record/ledger.ts'
import { exceeded, ownExecuting, releaseHeld, storable, wireCode, type Claim } from './claim.ts'
import { actionEntry, decisionEntry, explanation } from './entries.ts'
import { withOwnLimits } from './own-limits.ts'

export type ResumeResult =
  | { readonly type: 'execute'; readonly fence: number }
  | { readonly type: 'refused'; readonly reasons: readonly Reason[] }
  /** Nothing to do: it ran, ended or was never approved. */
  | { readonly type: 'settled' }

/** Claims of approved actions. One whose commit got no answer is held again, for the sweep to wake. */
export const resumeKind = (environment: EnvironmentKeys): LedgerKind<Claim, ResumeResult> => ({
  name: 'resume',
  order: 2,
  async apply(tx, claims) {
    const results: ResumeResult[] = []
    for (const claim of claims) results.push(await resume(tx, claim, environment))
    return results
  },
  async recover(tx, claims) {
    const actions = await ownExecuting(tx, claims)
    const ids = actions.map(({ id }) => id)
    await moveActions(tx, ids, 'executing', 'held', { reserved: '[]', replicaId: '' })
    await releaseHeld(tx, actions)
    for (const action of actions) {
      const detail = { state: 'held', message: 'not dispatched: held again' }
      tx.append(actionEntry('outcome', action, detail))
    }
  },
})

/**
 * Claims an approved action: everything is judged again, against today's policy, switch, agent and
 * budget, and the approval must still be for exactly this request. Compare-and-set on `held`
 * makes any number of wake-ups run it once.
 */
async function resume(tx: Tx, asked: Claim, environment: EnvironmentKeys): Promise<ResumeResult> {
  const action = await findAction(tx, asked.actionId)
  const approval = await approvalOfAction(tx, asked.actionId)
  if (action?.state !== 'held' || approval?.status !== 'approved') return { type: 'settled' }
  const state = (await agentStates(tx, [asked.agent.id])).get(asked.agent.id)
  // The sweep wakes it again, and by then another of the agent's actions may have ended, or the switch be
  // released.
  if (isAtCapacity(state) || isKilled(tx, asked)) return { type: 'settled' }
  const claim = withOwnLimits(asked, state)
  const counters = await Counters.load(tx, effectReservations(claim))
  const reasons = [
    ...standing(claim, state),
    ...(await actable(tx, claim, environment)),
    ...boundTo(claim, approval),
    ...(await stillSufficient(tx, claim, approval.id, environment)),
    ...exceeded(counters, effectReservations(claim)).filter(({ effect }) => effect === 'deny'),
  ]
  if (reasons.length > 0) return refuse(tx, claim, reasons)
  const held = take(counters, claim)
  await counters.flush(tx)
  const moved = await moveAction(tx, claim.actionId, 'held', 'executing', {
    replicaId: claim.replicaId,
    revision: claim.decision.revision,
    explain: explanation(claim.decision, claim.decision.reasons),
    reserved: JSON.stringify(held),
  })
  if (!moved) return { type: 'settled' }
  await appendDecision(tx, claim, moved, approval.id)
  return { type: 'execute', fence: moved.fence }
}

function effectReservations(claim: Claim) {
  return claim.decision.reservations.filter(({ phase }) => phase === 'effect')
}

const isAtCapacity = (state: AgentState | undefined): boolean =>
  state !== undefined && state.instances !== null && state.executing >= state.instances

function isKilled(tx: Tx, { agent, request, upstream }: Claim): boolean {
  const target = { agentId: agent.id, agentName: agent.name, tool: request.tool, upstream }
  return tx.killRows.some((one) => covers(one, target))
}

function standing({ decision }: Claim, state: AgentState | undefined): Reason[] {
  if (state?.status !== 'active')
    return [reason('agent_paused', `the agent is ${state?.status ?? 'gone'}`)]
  return decision.effect === 'deny' ? [...decision.reasons] : []
}

function boundTo(
  claim: Claim,
  approval: { readonly request_hash: string; readonly target_hash: string },
): Reason[] {
  if (approval.request_hash !== claim.requestHash || approval.target_hash !== claim.targetHash) {
    return [reason('approval_mismatch', 'what would be executed is not what was approved')]
  }
  return []
}

// An agent whose keys were all revoked does not act, whoever approved it before.
async function actable(tx: Tx, { agent }: Claim, environment: EnvironmentKeys): Promise<Reason[]> {
  if (environment.actsAs(agent.name) || !(await hasLostItsKeys(tx, agent.id))) return []
  return [reason('agent_keys_revoked', 'all keys of the agent were revoked')]
}

// By today's terms: a policy may ask for more voices or other roles, and a voter's key be gone.
async function stillSufficient(
  tx: Tx,
  { agent, decision }: Claim,
  approvalId: string,
  environment: EnvironmentKeys,
): Promise<Reason[]> {
  if (decision.effect !== 'require_approval') return []
  const { approval: terms } = decision
  const requester = { agentId: agent.id, agentName: agent.name, owner: agent.owner }
  const objection = await objectionsTo(tx, requester, terms, tx.nowMs)
  const votes = await votesOf(tx, approvalId)
  const voices = await countingVoices(tx, votes, terms, objection, environment)
  if (voices.size >= terms.quorum) return []
  return [
    reason(
      'approval_insufficient',
      'by the policy of today the votes that were given are not enough',
    ),
  ]
}

function take(counters: Counters, claim: Claim): Held[] {
  return effectReservations(claim).flatMap((reservation) => {
    if (reservation.kind === 'budget' && !counters.fits(reservation)) return []
    const { held } = counters.take(reservation)
    return held ? [held] : []
  })
}

async function refuse(tx: Tx, claim: Claim, reasons: readonly Reason[]): Promise<ResumeResult> {
  const [first] = reasons
  await moveAction(tx, claim.actionId, 'held', 'denied', {
    revision: claim.decision.revision,
    explain: explanation(claim.decision, reasons),
    errorCode: first ? wireCode(first) : 'policy_denied',
    errorMessage: storable(first?.message ?? ''),
  })
  await failApproval(tx, claim.actionId)
  tx.append(decisionEntry(claim, 'deny', reasons))
  return { type: 'refused', reasons }
}

async function appendDecision(
  tx: Tx,
  claim: Claim,
  action: ActionRow,
  approvalId: string,
): Promise<void> {
  const entry = decisionEntry(claim, 'allow', claim.decision.reasons)
  const votes = await votesOf(tx, approvalId)
  tx.append({
    ...entry,
    detail: {
      ...entry.detail,
      approval_id: approvalId,
      approved_by: votes.filter(({ vote }) => vote === 'approve').map(({ approver }) => approver),
      fence: action.fence,
    },
  })
}

function reason(code: string, message: string): Reason {
  return { code, message, effect: 'deny', source: 'portcullis' }
}
