import type { Caller } from '../../agents/keys.ts'
import { agentAsked, shownTo } from '../../agents/known.ts'
import { findApproval, listApprovals } from '../../approvals/tasks.ts'
import type { JsonObject } from '../../model/json.ts'
import { approvalView, approvalViews } from '../../operations/approval-view.ts'
import { cancelApproval, voteOn } from '../../operations/approvals.ts'
import { findAction } from '../../record/actions.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { HttpParts } from '../edge/parts.ts'
import { REASON, reasonIn, type ReasonBody } from './reason.ts'
import { ANYONE, READERS } from '../edge/roles.ts'
import {
  always,
  APPROVAL_ANSWER,
  APPROVAL_STATUSES,
  APPROVAL_WITH_REQUEST,
  page,
} from '../edge/schemas.ts'
import { NAME, object, PAGE, nextCursor, PAGE_DEFAULT, params, shape } from '../edge/validate.ts'

const STATUSES = [...APPROVAL_STATUSES]
const VOTE = shape<ReasonBody>(object(REASON))
const ONE = always({ approval: APPROVAL_ANSWER })
const LIST = params<{ status?: string; agent?: string; limit?: number; cursor?: string }>({
  status: { enum: STATUSES },
  agent: NAME,
  ...PAGE,
})

/** `GET /approvals`, `GET /approvals/{id}`, `POST .../approve`, `/deny`, `/cancel`. */
export function approvalEndpoints(parts: HttpParts): Endpoints {
  const { db } = parts
  const tag = 'approvals'
  const endpoints = new Endpoints(parts)
  // Without a viewer: answers to writes may be stored, and what the record masks is in none of them.
  const shown = (viewer?: Caller) => ({
    bundle: parts.policies.current,
    serverUrl: parts.config.publicServerUrl,
    mask: parts.mask,
    ...(viewer ? { viewer } : {}),
  })

  endpoints.on(
    {
      method: 'get',
      path: '/approvals',
      answer: page('approvals', APPROVAL_ANSWER),
      tag,
      summary:
        'List approvals with all it takes to judge them, newest first; an agent sees its own',
      roles: ANYONE,
      query: LIST,
      errors: ['not_found'],
    },
    async ({ caller, query: { status = null, agent, cursor = null, limit = PAGE_DEFAULT } }) => {
      const agentId = (await agentAsked(db, caller, agent)) ?? null
      const rows = await listApprovals(db, { status, agentId, before: cursor, limit })
      return {
        approvals: await approvalViews(db, rows, shown(caller)),
        next_cursor: nextCursor(rows, limit),
      }
    },
  )

  endpoints.on(
    {
      method: 'get',
      path: '/approvals/:id',
      answer: APPROVAL_WITH_REQUEST,
      tag,
      summary: 'Read an approval with its votes and the request it is for',
      roles: ANYONE,
      errors: ['not_found'],
    },
    async ({ id, caller }) => {
      const row = shownTo(caller, await findApproval(db, id), 'approval', id)
      const view = await approvalView(db, row, shown(caller))
      const action = await findAction(db, row.action_id)
      const request = action ? (JSON.parse(action.request) as JsonObject) : null
      const { args, resource, context, agent_reason: reason } = view
      const asked = { args, resource, context, reason } as JsonObject
      return { ...view, request: request && { ...request, ...asked } }
    },
  )

  for (const choice of ['approve', 'deny'] as const) {
    endpoints.write(
      {
        method: 'post',
        path: `/approvals/:id/${choice}`,
        answer: ONE,
        tag,
        summary: choice === 'approve' ? 'Approve what is held' : 'Deny what is held',
        // Everybody with a key may ask; whether the role may answer is the approval's own affair.
        roles: READERS,
        body: VOTE,
        errors: ['not_found', 'conflict', 'kill_switch_engaged'],
      },
      ({ id, body, caller }) =>
        async (tx) => {
          const { policies, keyRing: environment } = parts
          const voting = { approvals: policies.current.approvals, environment }
          const row = await voteOn(tx, id, caller, choice, reasonIn(body), voting)
          return { approval: await approvalView(tx, row, shown()) }
        },
    )
  }

  endpoints.write(
    {
      method: 'post',
      path: '/approvals/:id/cancel',
      answer: ONE,
      tag,
      summary: 'Withdraw what is held: by the agent that asked, or an operator',
      roles: ANYONE,
      body: VOTE,
      errors: ['not_found', 'conflict'],
    },
    ({ id, body, caller }) =>
      async (tx) => {
        const row = await cancelApproval(tx, id, caller, reasonIn(body))
        return { approval: await approvalView(tx, row, shown()) }
      },
  )

  return endpoints
}
