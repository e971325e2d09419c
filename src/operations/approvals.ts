import type { Caller } from '../agents/keys.ts'
import { shownTo } from '../agents/known.ts'
import { agentOf, findAgent } from '../agents/registry.ts'
import { accessAsker, accessStands, findAccessTask } from '../approvals/access.ts'
import { cancel, expire, findApproval, openTask, vote, type Approval } from '../approvals/tasks.ts'
import type { EnvironmentKeys, Requester } from '../approvals/voters.ts'
import { covers } from '../control/kill-state.ts'
import { GatewayError } from '../errors.ts'
import type { AuditDraft } from '../model/audit.ts'
import type { JsonObject } from '../model/json.ts'
import { approvalFor } from '../decide/approval.ts'
import type { ApprovalRules } from '../bundle/types.ts'
import { findAction, moveAction } from '../record/actions.ts'
import { raiseAlert } from '../record/alerts.ts'
import type { Tx } from '../record/ledger.ts'
import { accessNotice, resumeJob } from '../record/outbox.ts'
import type { Db } from '../store/tx.ts'

/** What voting needs to know beside the task. */
export interface VoteParts {
  /** Who must agree, by the policy that holds it. */
  readonly rulesOf: (approval: Approval) => ApprovalRules
  readonly environment: EnvironmentKeys
}

/** @throws GatewayError `not_found`, `forbidden`, `conflict`, `kill_switch_engaged` for an approval */
export async function voteOn(
  tx: Tx,
  id: string,
  caller: Caller,
  choice: 'approve' | 'deny',
  reason: string,
  { rulesOf, environment }: VoteParts,
): Promise<Approval> {
  const task = await openTask(tx, id)
  const { requester, roles } = await asking(tx, task)
  if (choice === 'approve') await assertNotKilled(tx, task, requester.agentName)
  const terms = approvalFor(task.tool, roles, rulesOf(task))
  const rules = { terms, requester, environment }
  const { approval, counted } = await vote(tx, id, caller, choice, reason, rules)
  if (!counted) return approval
  const { status, quorum } = approval
  const kind = status === task.status ? 'approval.voted' : `approval.${status}`
  const who = { approver: caller.name, key_id: caller.keyId }
  // `comment` is what `reason` was called before.
  const detail = { vote: choice, ...who, reason, comment: reason, quorum }
  tx.append(approvalEntry(kind, approval, detail))
  if (status === 'approved') await goOn(tx, approval, task.status)
  if (status === 'denied') await endHeld(tx, approval, 'denied', by('denied', caller, reason))
  return approval
}

/** Who asks, as far as votes are concerned, and the roles that the terms go by. */
export async function asking(
  db: Db,
  { id, agentId, origin }: Approval,
): Promise<{ readonly requester: Requester; readonly roles: readonly string[] }> {
  const isRequest = origin === 'access_request'
  const agent = isRequest ? await findAgent(db, agentId) : await agentOf(db, agentId)
  const asker = isRequest ? await accessAsker(db, id) : undefined
  const { name = '', owner = '', roles = [] } = agent ?? {}
  const others = asker ? { others: asker.voices, keyId: asker.keyId } : {}
  return { requester: { agentId, agentName: name, owner, ...others }, roles }
}

// An action is judged again; who enforces the answer has to ask again, and nothing happens here.
async function goOn(tx: Tx, approval: Approval, before: Approval['status']): Promise<void> {
  if (approval.origin === 'action') tx.enqueue(resumeJob(approval.actionId))
  else if (before !== approval.status) await tellAsker(tx, approval)
}

// Who asked enforces the answer, and may want to be told that there is one.
async function tellAsker(tx: Tx, { id, status, approvedAt }: Approval): Promise<void> {
  // One that is taken back was told of when it was approved; the next evaluation says that it counts no more.
  if (approvedAt !== null && status !== 'approved') return
  const asker = await accessAsker(tx, id)
  const task = asker && (await findAccessTask(tx, asker.taskId))
  if (!task?.hasCallback) return
  const stands = await accessStands(tx, task.id)
  const isOver = stands.every((one) => one.approvalId === id || one.status !== 'pending')
  if (isOver) tx.enqueue(accessNotice(task.id))
}

// To approve what is stopped at the moment would lose it: it stays held, to be approved after the release.
async function assertNotKilled(tx: Tx, task: Approval, agentName: string): Promise<void> {
  const action = await findAction(tx, task.actionId)
  const target = { agentId: task.agentId, agentName, tool: task.tool }
  const row = tx.switches.find((one) =>
    covers(one, { ...target, upstream: action?.upstream ?? '' }),
  )
  if (!row) return
  const message = `the kill switch is engaged: ${row.reason}; a denial counts, an approval has to wait`
  throw new GatewayError('kill_switch_engaged', message)
}

/** Withdraws a held action: by the agent that asked, or by an operator. */
export async function cancelApproval(
  tx: Tx,
  id: string,
  caller: Caller,
  reason: string,
): Promise<Approval> {
  await assertMayCancel(tx, id, caller)
  return withdraw(tx, id, caller, reason)
}

/** The same for one who is known to be allowed to. @throws GatewayError `not_found`, `conflict` */
export async function withdraw(
  tx: Tx,
  id: string,
  caller: Caller,
  reason: string,
): Promise<Approval> {
  const approval = await cancel(tx, id)
  const detail = { actor: caller.name, key_id: caller.keyId, reason }
  tx.append(approvalEntry('approval.cancelled', approval, detail))
  await endHeld(tx, approval, 'cancelled', by('cancelled', caller, reason))
  return approval
}

async function assertMayCancel(tx: Tx, id: string, caller: Caller): Promise<void> {
  shownTo(caller, await findApproval(tx, id), 'approval', id)
  const isOperator = caller.role === 'operator' || caller.role === 'admin'
  if (caller.role !== 'agent' && !isOperator) {
    throw new GatewayError('forbidden', 'only the requester or an operator can cancel')
  }
}

/** Ends a pending approval whose time is over; no-op otherwise. */
export async function expireApproval(tx: Tx, id: string): Promise<void> {
  const approval = await expire(tx, id)
  if (!approval) return
  tx.append(approvalEntry('approval.expired', approval, {}))
  await endHeld(tx, approval, 'expired', 'nobody decided in time')
  const message = `approval of ${approval.tool} expired undecided`
  raiseAlert(tx, 'approval_expired', approval.agentId, message, { approval_id: id })
}

// The agent that waits is told who ended it and why.
const by = (what: string, { name }: Caller, reason: string): string =>
  `${what} by ${name}${reason === '' ? '' : `: ${reason}`}`

/** Ends what a task that ended without an approval was for: the held action, or the waiting of who asked. */
export async function endHeld(
  tx: Tx,
  approval: Approval,
  state: 'denied' | 'expired' | 'cancelled',
  message: string,
): Promise<void> {
  if (approval.origin === 'access_request') return tellAsker(tx, approval)
  await moveAction(tx, approval.actionId, 'held', state, {
    errorCode: 'policy_denied',
    errorMessage: `approval ${message}`,
  })
}

export function approvalEntry(kind: string, approval: Approval, detail: JsonObject): AuditDraft {
  return {
    kind,
    agentId: approval.agentId,
    tool: approval.tool,
    effect: '',
    actionId: approval.actionId,
    detail: { approval_id: approval.id, request_hash: approval.requestHash, ...detail },
  }
}
