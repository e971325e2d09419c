import type { ApprovalRow } from '../approvals/tasks.ts'
import { ERRORS, type ErrorCode } from '../errors.ts'
import type { Decision, Reason } from '../model/decision.ts'
import { wireCode } from '../model/reason.ts'
import { stored, type ActionRow } from '../record/actions.ts'
import type { Claim, ClaimResult } from './claim.ts'
import type { StoredResult } from '../model/result.ts'
import type { Answer } from './submission.ts'

/** What a recorded action answers now; `clear` is what the upstream said, where that is not what is on record. */
export function answerWith(row: ActionRow, clear: StoredResult | null): Answer {
  const result = clear ?? (stored(row.result) as unknown as StoredResult | null)
  if ((row.state === 'succeeded' || row.state === 'failed') && result) {
    return { type: 'executed', ...identify(row), state: row.state, result }
  }
  const { code, message } = endOf(row)
  return {
    type: 'refused',
    ...identify(row),
    code,
    message,
    reasons: row.state === 'denied' ? reasonsOf(row) : [],
  }
}

export const reasonsOf = (row: ActionRow): readonly Reason[] =>
  (JSON.parse(row.explain) as { reasons: Reason[] }).reasons

export function identify(row: ActionRow) {
  return { actionId: row.id, decisionId: row.decision_id, revision: row.revision }
}

export function heldAnswer(
  of: { actionId: string; decisionId: string; revision?: string; decision?: Decision },
  approval: ApprovalRow,
  reasons: readonly Reason[],
): Answer {
  return {
    type: 'held',
    actionId: of.actionId,
    decisionId: of.decisionId,
    revision: of.revision ?? of.decision?.revision ?? approval.revision,
    approval: { id: approval.id, status: approval.status, expiresAt: approval.expires_at },
    reasons,
  }
}

export function refused(claim: Claim, reasons: readonly Reason[]): Answer & { type: 'refused' } {
  const [first] = reasons
  return {
    type: 'refused',
    actionId: claim.actionId,
    decisionId: claim.decisionId,
    revision: claim.decision.revision,
    code: first ? (wireCode(first) as ErrorCode) : 'policy_denied',
    message: first?.message.toWellFormed() ?? 'the policy denies this action',
    reasons,
  }
}

export const retryAt = ({ retryAtMs }: { readonly retryAtMs?: number | undefined }) =>
  retryAtMs === undefined ? {} : { retryAtMs }

export function dryRun(claim: Claim, result: Extract<ClaimResult, { type: 'dry_run' }>): Answer {
  const { trace, revision } = claim.decision
  const { effect, reasons, shadow } = result
  return { type: 'dry_run', decisionId: claim.decisionId, revision, effect, reasons, shadow, trace }
}

function endOf(row: ActionRow): { code: ErrorCode; message: string } {
  if (row.state === 'expired') return { code: 'policy_denied', message: 'the approval expired' }
  if (row.state === 'cancelled')
    return { code: 'policy_denied', message: row.error_message || 'the action was cancelled' }
  if (row.state === 'executing') return { code: 'in_flight', message: 'the action is under way' }
  const known = row.error_code in ERRORS
  const code = known ? (row.error_code as ErrorCode) : 'policy_denied'
  return { code, message: row.error_message || 'the action did not happen' }
}
