import type { AccessStand, AccessTask } from '../../approvals/access.ts'
import type { ApprovalStatus } from '../../approvals/tasks.ts'
import type { JsonObject } from '../../model/json.ts'
import type { RecordMask } from '../../record/mask.ts'
import { openedAsk } from '../../record/sealed-asks.ts'
import { approvalJson } from './approval.ts'
import type { AccessTokens } from './tokens.ts'

// A task as who sent it sees it (sections 10.2 and 11): how it stands, and of what was approved the approval to show. Who
// approves, by which rule, and what they said is not in it.

export type TaskStatus = ApprovalStatus | 'partial'

/** How an item stands. What was approved once stays so, also when the approval is taken back: that is said when it is shown. */
export function itemStatus({ status, approvedAt, expiresAt }: AccessStand, nowMs: number) {
  if (approvedAt !== null) return 'approved'
  return status === 'pending' && expiresAt.getTime() <= nowMs ? 'expired' : status
}

/** Section 10.2: pending while any is; the same end where all have it; else partial. */
export function taskStatus(stands: readonly AccessStand[], nowMs: number): TaskStatus {
  const ends = new Set(stands.map((one) => itemStatus(one, nowMs)))
  const [first] = ends
  if (ends.has('pending') || first === undefined) return 'pending'
  return ends.size === 1 ? first : 'partial'
}

export interface TaskViewParts {
  readonly tokens: AccessTokens
  readonly mask: RecordMask
}

export function taskJson(
  task: AccessTask,
  stands: readonly AccessStand[],
  nowMs: number,
  parts: TaskViewParts,
): JsonObject {
  const status = taskStatus(stands, nowMs)
  const endpoint = `${parts.tokens.endpoint}/${task.id}`
  const [only] = stands
  const isApproved = only !== undefined && itemStatus(only, nowMs) === 'approved'
  return {
    task: {
      id: task.id,
      status,
      status_endpoint: endpoint,
      expires_at: task.expiresAt.toISOString(),
      links: { cancel: `${endpoint}/cancel` },
      display: { title: 'Access request', description: DESCRIPTIONS[status] },
      ...(task.isBundle ? { items: stands.map((one) => itemJson(task, one, nowMs, parts)) } : {}),
    },
    ...(isApproved && !task.isBundle ? { result: resultJson(task, only, parts.tokens) } : {}),
  }
}

const DESCRIPTIONS: Readonly<Record<TaskStatus, string>> = {
  pending: 'It waits for a person to decide.',
  approved: 'It was approved: evaluate again with the approval.',
  denied: 'It was denied.',
  expired: 'Nobody decided in time.',
  cancelled: 'It was withdrawn.',
  failed: 'It could not be completed.',
  partial: 'Its items ended differently.',
}

function itemJson(
  task: AccessTask,
  stand: AccessStand,
  nowMs: number,
  { tokens, mask }: TaskViewParts,
): JsonObject {
  const { resource = null, action = null } = openedAsk(mask, stand.approvalId, stand.sealed) ?? {}
  const status = itemStatus(stand, nowMs)
  const result = status === 'approved' ? { result: resultJson(task, stand, tokens) } : {}
  return { resource, action, status, ...result }
}

const resultJson = (task: AccessTask, stand: AccessStand, tokens: AccessTokens): JsonObject => ({
  mode: 'reevaluate',
  approval: approvalJson(stand, task, tokens),
})
