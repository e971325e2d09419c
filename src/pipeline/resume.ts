import { agentStates, type AgentState } from '../agents/registry.ts'
import { Counters, type Held } from '../agents/counters.ts'
import { approvalOfAction, fail as failApproval, votesOf } from '../approvals/tasks.ts'
import { covers } from '../control/kill-state.ts'
import type { Reason } from '../model/decision.ts'
import { findAction, moveAction, moveActions, type ActionRow } from '../record/actions.ts'
import type { LedgerKind, Tx } from '../record/ledger.ts'
import {
  exceeded,
  ownExecuting,
  releaseHeld,
  storable,
  undoneEntry,
  wireCode,
  type Claim,
} from './claim.ts'
import { decisionEntry, explanation } from './entries.ts'
import { withOwnLimits } from './own-limits.ts'

export type ResumeResult =
  | { readonly type: 'execute'; readonly fence: number }
  | { readonly type: 'refused'; readonly reasons: readonly Reason[] }
  /** Nothing to do: it ran, ended or was never approved. */
  | { readonly type: 'settled' }

/** Claims of approved actions. One whose commit got no answer is held again, for the sweep to wake. */
export const RESUME: LedgerKind<Claim, ResumeResult> = {
  name: 'resume',
  order: 2,
  async apply(tx, claims) {
    const results: ResumeResult[] = []
    for (const claim of claims) results.push(await resume(tx, claim))
    return results
  },
  async recover(tx, claims) {
    const actions = await ownExecuting(tx, claims)
    const ids = actions.map(({ id }) => id)
    await moveActions(tx, ids, 'executing', 'held', { reserved: '[]', replicaId: '' })
    await releaseHeld(tx, actions)
    for (const action of actions) {
      tx.append(undoneEntry(action, { state: 'held', message: 'not dispatched: held again' }))
    }
  },
}

/**
 * Claims an approved action: everything is judged again, against today's policy, switch, agent and
 * budget, and the approval must still be for exactly this request. Compare-and-set on `held`
 * makes any number of wake-ups run it once.
 */
async function resume(tx: Tx, asked: Claim): Promise<ResumeResult> {
  const action = await findAction(tx, asked.actionId)
  const approval = await approvalOfAction(tx, asked.actionId)
  if (action?.state !== 'held' || approval?.status !== 'approved') return { type: 'settled' }
  const state = (await agentStates(tx, [asked.agent.id])).get(asked.agent.id)
  // The sweep wakes it again, and by then another of the agent's actions may have ended.
  if (isAtCapacity(state)) return { type: 'settled' }
  const claim = withOwnLimits(asked, state)
  const counters = await Counters.load(tx, effectReservations(claim))
  const reasons = [
    ...standing(tx, claim, state),
    ...boundTo(claim, approval),
    ...(await stillSufficient(tx, claim, approval.id)),
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

function standing(tx: Tx, claim: Claim, state: AgentState | undefined): Reason[] {
  const { agent, request, upstream, decision } = claim
  const target = { agentId: agent.id, agentName: agent.name, tool: request.tool, upstream }
  const row = tx.killRows.find((one) => covers(one, target))
  if (row) return [reason('kill_switch_engaged', `the kill switch is engaged: ${row.reason}`)]
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

// A stricter policy since then may ask for more voices than the ones that were given.
async function stillSufficient(tx: Tx, claim: Claim, approvalId: string): Promise<Reason[]> {
  if (claim.decision.effect !== 'require_approval') return []
  const votes = (await votesOf(tx, approvalId)).filter(({ vote }) => vote === 'approve')
  if (votes.length >= claim.decision.approval.quorum) return []
  return [reason('approval_insufficient', 'the policy now asks for more approvals')]
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
