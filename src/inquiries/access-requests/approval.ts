import { isObject } from '../../bundle/pointer.ts'
import type { AccessStand } from '../../approvals/access.ts'
import type { Inquiry } from '../../model/inquiry.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import type { AccessTokens } from './tokens.ts'

// An approval as it goes out and comes back (section 12). It is no bearer grant: what comes back only says which row of ours is
// meant, and must be what went out, to the last member.

const MEMBERS = ['approved_at', 'approved_until', 'id', 'state']

/** What of an approval is shown; `context.approval` of a question that is asked again. */
export function approvalJson(
  stand: Pick<
    AccessStand,
    'grantId' | 'approvedAt' | 'expiresAt' | 'evaluationId' | 'boundContext'
  >,
  { id: taskId, holder }: { readonly id: string; readonly holder: string },
  tokens: AccessTokens,
): JsonObject {
  const { grantId, approvedAt, expiresAt, evaluationId, boundContext } = stand
  const state = tokens.sign('approval', {
    iat: Math.floor((approvedAt?.getTime() ?? 0) / 1000),
    exp: Math.ceil(expiresAt.getTime() / 1000),
    jti: grantId,
    azp: holder,
    approval_id: grantId,
    task_id: taskId,
    evaluation_id: evaluationId,
    binding_context_members: [...boundContext],
  })
  return {
    id: grantId,
    ...(approvedAt ? { approved_at: approvedAt.toISOString() } : {}),
    approved_until: expiresAt.toISOString(),
    state,
  }
}

/** An approval that somebody shows, as far as its own signature vouches for it. */
export interface ShownApproval {
  readonly grantId: string
  readonly approvedAt: Json | undefined
  readonly approvedUntil: Json | undefined
  readonly taskId: Json | undefined
  readonly holder: Json | undefined
}

/** Undefined for what was not made here, was changed, or is put together of two. */
export function shownApproval(value: Json, tokens: AccessTokens): ShownApproval | undefined {
  if (!isObject(value) || Object.keys(value).some((name) => !MEMBERS.includes(name))) {
    return undefined
  }
  const { id, state, approved_at: approvedAt, approved_until: approvedUntil } = value
  const claims = tokens.read('approval', state)
  if (!claims || typeof id !== 'string' || claims['approval_id'] !== id) return undefined
  return {
    ...{ grantId: id, approvedAt, approvedUntil },
    taskId: claims['task_id'],
    holder: claims['azp'],
  }
}

/** A question, and the approval that was shown with it, which no rule is to see before it is known to be one. */
export function parted(inquiry: Inquiry): {
  readonly inquiry: Inquiry
  readonly shown: Json | undefined
} {
  const { approval: shown, ...context } = inquiry.context
  return shown === undefined ? { inquiry, shown } : { inquiry: { ...inquiry, context }, shown }
}
