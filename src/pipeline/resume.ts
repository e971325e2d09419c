import { agentStates } from '../agents/registry.ts'
import { Counters } from '../agents/counters.ts'
import {
  approvalOfAction,
  fail as failApproval,
  votesOf,
  type Approval,
} from '../approvals/tasks.ts'
import {
  countingVoices,
  hasLostItsKeys,
  objectionsTo,
  type EnvironmentKeys,
} from '../approvals/voters.ts'
import { ofPhase, type Reason } from '../model/decision.ts'
import { denial, wireCode } from '../model/reason.ts'
import { findAction, moveAction, moveActions, type Action } from '../record/actions.ts'
import type { LedgerKind, Tx } from '../record/ledger.ts'
import { storable } from '../store/text.ts'
import { admit, type Verdict } from './admission.ts'
import type { Claim } from './claim.ts'
import { killTargetOf } from '../control/kill-state.ts'
import { ownExecuting, releaseCharges } from './claim-batch.ts'
import { bearConsequences } from './consequences.ts'
import { actionEntry, decisionEntry, explanation } from '../record/entries.ts'
import { withOwnLimits } from '../agents/own-limits.ts'

// An approval releases nothing that was stored: it has the action judged again. Policy, kill switch, agent
// and budgets are those of now, the approval must be for exactly this request and this call, and its votes
// must still suffice. What no longer holds refuses the action for good; what only has to wait (an engaged
// switch, a paused agent, no free instance) leaves it held, and the sweep wakes it again.

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
    releaseCharges(tx, actions)
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
  const { verdict, counters } = await judge(tx, asked)
  // The sweep wakes it again, and by then another of the agent's actions may have ended, or the switch be
  // released.
  if (verdict.outcome === 'later') return { type: 'settled' }
  const claim = { ...asked, decision: verdict.decision }
  const objections = [
    ...(await actable(tx, claim, environment)),
    // What is refused before it is known what would be executed is no mismatch.
    ...(verdict.outcome === 'execute' ? boundTo(claim, approval) : []),
    ...(await stillSufficient(tx, claim, approval.id, environment)),
  ]
  if (verdict.outcome === 'execute' && objections.length === 0) {
    return execute(tx, claim, verdict, counters, approval.id)
  }
  // Over its budget counts only where nothing else stood in the way.
  if (objections.length === 0) await bearConsequences(tx, claim.agent.id, verdict)
  const refusing = verdict.outcome === 'execute' ? [] : verdict.reasons
  return refuse(tx, claim, [...refusing, ...objections])
}

async function judge(
  tx: Tx,
  { agent, decision, costMicros, ...claim }: Claim,
): Promise<{ verdict: Verdict; counters: Counters }> {
  const state = (await agentStates(tx, [agent.id])).get(agent.id)
  const counters = await Counters.load(
    tx,
    ofPhase(withOwnLimits(decision, costMicros, state), 'effect'),
  )
  const target = killTargetOf({ ...claim, agent })
  const asking = { decision, costMicros, target, stage: 'approved' as const }
  return { verdict: admit(asking, { switches: tx.switches, agent: state, counters }), counters }
}

async function execute(
  tx: Tx,
  claim: Claim,
  verdict: Verdict,
  counters: Counters,
  approvalId: string,
): Promise<ResumeResult> {
  const charges = counters.takeAll(verdict.taken)
  const moved = await moveAction(tx, claim.actionId, 'held', 'executing', {
    replicaId: claim.replicaId,
    revision: claim.decision.revision,
    explain: explanation(claim.decision, claim.decision.reasons),
    reserved: JSON.stringify(charges),
  })
  if (!moved) return { type: 'settled' }
  counters.flush(tx)
  await bearConsequences(tx, claim.agent.id, verdict)
  await appendDecision(tx, claim, moved, approvalId)
  return { type: 'execute', fence: moved.fence }
}

function boundTo(claim: Claim, approval: Pick<Approval, 'requestHash' | 'targetHash'>): Reason[] {
  if (approval.requestHash !== claim.requestHash || approval.targetHash !== claim.targetHash) {
    return [denial('approval_mismatch', 'what would be executed is not what was approved')]
  }
  return []
}

// An agent whose keys were all revoked does not act, whoever approved it before.
async function actable(tx: Tx, { agent }: Claim, environment: EnvironmentKeys): Promise<Reason[]> {
  if (environment.actsAs(agent.name) || !(await hasLostItsKeys(tx, agent.id))) return []
  return [denial('agent_keys_revoked', 'all keys of the agent were revoked')]
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
    denial(
      'approval_insufficient',
      'by the policy of today the votes that were given are not enough',
    ),
  ]
}

async function refuse(tx: Tx, claim: Claim, reasons: readonly Reason[]): Promise<ResumeResult> {
  const [first] = reasons
  await moveAction(tx, claim.actionId, 'held', 'denied', {
    revision: claim.decision.revision,
    explain: explanation(claim.decision, reasons),
    errorCode: first ? wireCode(first) : 'policy_denied',
    errorMessage: storable(first?.message ?? ''),
  })
  failApproval(tx, claim.actionId)
  tx.append(decisionEntry(claim, 'deny', reasons))
  return { type: 'refused', reasons }
}

async function appendDecision(
  tx: Tx,
  claim: Claim,
  action: Action,
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
