import type { Caller } from '../../agents/keys.ts'
import { shownTo } from '../../agents/known.ts'
import { findApproval, type Approval } from '../../approvals/tasks.ts'
import type { JsonObject } from '../../model/json.ts'
import { approvalViews } from '../../operations/approval-view.ts'
import { mayVote } from '../../operations/may-vote.ts'
import { findAction } from '../../record/actions.ts'
import type { HttpParts } from '../edge/parts.ts'

type Parts = Pick<HttpParts, 'db' | 'config' | 'pipeline' | 'mask'>

// Without a viewer: answers to writes may be stored, and what the record masks is in none of them.
export const shownWith = ({ config, pipeline, mask }: Omit<Parts, 'db'>, viewer?: Caller) => ({
  bundleOf: pipeline.policies.holding,
  serverUrl: config.publicServerUrl,
  mask,
  ...(viewer ? { viewer } : {}),
})

/** Approvals as somebody sees them: people also see whether they may vote; an agent never may. */
export async function approvalsShown(
  parts: Parts,
  caller: Caller,
  approvals: readonly Approval[],
): Promise<JsonObject[]> {
  const { db, pipeline } = parts
  const views = await approvalViews(db, approvals, shownWith(parts, caller))
  if (caller.agentId !== null) return views
  const rulesOf = (one: Approval) => pipeline.policies.holding(one).approvals
  const rights = await mayVote(db, approvals, caller, rulesOf)
  return views.map((view) => {
    const right = rights.get(view['id'] as string)
    return right ? { ...view, may_vote: right } : view
  })
}

/** One of them, with the request that it is for. @throws GatewayError `not_found` */
export async function readApproval(parts: Parts, caller: Caller, id: string): Promise<JsonObject> {
  const approval = shownTo(caller, await findApproval(parts.db, id), 'approval', id)
  const [view = {}] = await approvalsShown(parts, caller, [approval])
  const action = await findAction(parts.db, approval.actionId)
  const request = action ? (JSON.parse(action.request) as JsonObject) : null
  const { args, resource, context, agent_reason: reason } = view
  const asked = { args, resource, context, reason } as JsonObject
  return { ...view, request: request && { ...request, ...asked } }
}
