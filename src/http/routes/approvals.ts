import { Router, type Request } from 'express'
import {
  findApproval,
  listApprovals,
  votesOf,
  type ApprovalRow,
  type VoteRow,
} from '../../approvals/tasks.ts'
import { GatewayError } from '../../errors.ts'
import type { JsonObject } from '../../model/json.ts'
import { findAction } from '../../record/actions.ts'
import { bodyObject, callerOf, idParam } from '../context.ts'
import { allow, strictBody } from '../edge.ts'
import type { HttpParts } from '../parts.ts'
import { Query } from '../query.ts'
import { object, shape, TEXT } from '../validate.ts'

const STATUSES = ['pending', 'approved', 'denied', 'expired', 'cancelled', 'failed']
const checkVote = shape<{ comment?: string }>(object({ comment: TEXT }))

/** `GET /approvals`, `GET /approvals/{id}`, `POST .../approve`, `/deny`, `/cancel`. */
export function approvalRoutes({ db, operations }: HttpParts): Router {
  const router = Router({ caseSensitive: true })
  const readers = allow('agent', 'observer', 'approver', 'operator', 'admin')
  // Everybody with a key may ask; whether the role may answer is the approval's own affair.
  const voters = allow('observer', 'approver', 'operator', 'admin')

  router.get('/approvals', readers, async (req, res) => {
    const query = new Query(req, ['status', 'agent', 'limit', 'cursor'])
    const limit = query.limit()
    const rows = await listApprovals(db, {
      status: query.oneOf('status', STATUSES),
      agentId: callerOf(req).agentId ?? query.text('agent'),
      before: query.text('cursor'),
      limit,
    })
    const next = rows.length === limit ? (rows.at(-1)?.id ?? null) : null
    res.json({ approvals: rows.map((row) => approvalJson(row)), next_cursor: next })
  })

  router.get('/approvals/:id', readers, async (req, res) => {
    const row = await visible(db, req)
    const action = await findAction(db, row.action_id)
    const request = action ? (JSON.parse(action.request) as JsonObject) : null
    res.json({ ...approvalJson(row, await votesOf(db, row.id)), request })
  })

  for (const choice of ['approve', 'deny'] as const) {
    router.post(`/approvals/:id/${choice}`, voters, strictBody, async (req, res) => {
      const { comment = '' } = checkVote(bodyObject(req))
      const id = idParam(req)
      const row = await operations.vote(id, callerOf(req), choice, comment)
      res.json({ approval: approvalJson(row, await votesOf(db, id)) })
    })
  }

  router.post('/approvals/:id/cancel', readers, strictBody, async (req, res) => {
    checkVote(bodyObject(req))
    const row = await operations.cancel(idParam(req), callerOf(req))
    res.json({ approval: approvalJson(row) })
  })

  return router
}

async function visible(db: HttpParts['db'], req: Request): Promise<ApprovalRow> {
  const id = idParam(req)
  const row = await findApproval(db, id)
  const { agentId } = callerOf(req)
  if (row && (agentId === null || row.agent_id === agentId)) return row
  throw new GatewayError('not_found', `there is no approval \`${id.slice(0, 64)}\``)
}

function approvalJson(row: ApprovalRow, votes?: readonly VoteRow[]) {
  const isOverdue = row.status === 'pending' && row.expires_at.getTime() <= Date.now()
  return {
    id: row.id,
    action_id: row.action_id,
    agent: row.agent_id,
    tool: row.tool,
    // The deadline counts, not the job that tidies up after it.
    status: isOverdue ? 'expired' : row.status,
    reason: row.reason,
    quorum: row.quorum,
    approver_roles: row.approver_roles,
    request_hash: row.request_hash,
    revision: row.revision,
    created_at: row.created_at.toISOString(),
    expires_at: row.expires_at.toISOString(),
    decided_at: row.decided_at?.toISOString() ?? null,
    ...(votes
      ? {
          votes: votes.map(({ approver, vote, comment, at }) => ({
            approver,
            vote,
            comment,
            at: at.toISOString(),
          })),
        }
      : {}),
  }
}
