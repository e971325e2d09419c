import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { agentAsked, shownTo } from '../../agents/known.ts'
import { countPending, findApproval, listApprovals, type Approval } from '../../approvals/tasks.ts'
import { GatewayError } from '../../errors.ts'
import { approvalView, filesOf, type HeldFile } from '../../operations/approval-view.ts'
import { cancelApproval, voteOn } from '../../operations/approvals.ts'
import { findAction, type Action } from '../../record/actions.ts'
import { Endpoints } from '../edge/endpoints.ts'
import { idParam } from '../edge/context.ts'
import type { PartsOf } from '../edge/parts.ts'
import { approvalsShown, readApproval, shownWith } from './approvals-shown.ts'
import { REASON, reasonIn, type ReasonBody } from './reason.ts'
import { ANYONE, READERS } from '../edge/roles.ts'
import {
  always,
  APPROVAL_ANSWER,
  APPROVAL_STATUSES,
  APPROVAL_WITH_REQUEST,
  INTEGER,
  list,
  MAYBE_STRING,
} from '../edge/schemas.ts'
import { NAME, object, PAGE, nextCursor, PAGE_DEFAULT, params, shape } from '../edge/validate.ts'

const STATUSES = [...APPROVAL_STATUSES]
const VOTE = shape<ReasonBody>(object(REASON))
const ONE = always({ approval: APPROVAL_ANSWER })
const LIST = params<{
  status?: string
  agent?: string
  order?: 'newest' | 'expiry'
  limit?: number
  cursor?: string
}>({
  status: { enum: STATUSES },
  agent: NAME,
  order: { enum: ['newest', 'expiry'], description: 'default: newest first' },
  ...PAGE,
})

/** `GET /approvals`, `GET /approvals/{id}`, `POST .../approve`, `/deny`, `/cancel`. */
export function approvalEndpoints(
  parts: PartsOf<'db' | 'config' | 'keyRing' | 'heldFiles' | 'pipeline'>,
): Endpoints {
  const { db } = parts
  const endpoints = new Endpoints('approvals', parts)
  const rulesOf = (one: Approval) => parts.pipeline.policies.holding(one).approvals

  endpoints.on(
    'get',
    '/approvals',
    {
      answer: always({
        approvals: list(APPROVAL_ANSWER),
        pending: { ...INTEGER, description: 'all that wait for a vote, on whatever page' },
        next_cursor: MAYBE_STRING,
      }),
      summary:
        'List approvals with all it takes to judge them, newest first; an agent sees its own',
      roles: ANYONE,
      query: LIST,
      errors: ['not_found'],
    },
    async ({
      caller,
      query: { status = null, agent, order, cursor = null, limit = PAGE_DEFAULT },
    }) => {
      const agentId = (await agentAsked(db, caller, agent)) ?? null
      const byExpiry = order === 'expiry'
      const filter = { status, agentId, before: cursor, limit, byExpiry }
      const approvals = await listApprovals(db, filter)
      return {
        approvals: await approvalsShown(parts, caller, approvals),
        pending: await countPending(db, agentId),
        next_cursor: nextCursor(approvals, limit),
      }
    },
  )

  endpoints.on(
    'get',
    '/approvals/:id',
    {
      answer: APPROVAL_WITH_REQUEST,
      summary: 'Read an approval with its votes and the request it is for',
      roles: ANYONE,
      errors: ['not_found'],
    },
    ({ id, caller }) => readApproval(parts, caller, id),
  )

  endpoints.stream(
    'get',
    '/approvals/:id/files/:n',
    {
      summary: 'Download a file of what is held, by its number in `files`',
      roles: ANYONE,
      answer: { type: 'string', format: 'binary' },
      media: 'application/octet-stream',
      errors: ['not_found'],
    },
    async ({ id, req, res, caller }) => {
      const approval = shownTo(caller, await findApproval(db, id), 'approval', id)
      if (caller.agentId === null && !approval.approverRoles.includes(caller.role)) {
        throw new GatewayError('forbidden', 'only whoever may decide reads what is held')
      }
      const action = await findAction(db, approval.actionId)
      await sendFile(res, approval.actionId, heldFileOf(action, idParam(req, 'n')), parts)
    },
  )

  for (const choice of ['approve', 'deny'] as const) {
    endpoints.write(
      'post',
      `/approvals/:id/${choice}`,
      {
        answer: ONE,
        summary: choice === 'approve' ? 'Approve what is held' : 'Deny what is held',
        // Everybody with a key may ask; whether the role may answer is the approval's own affair.
        roles: READERS,
        body: VOTE,
        errors: ['not_found', 'conflict', 'kill_switch_engaged'],
      },
      ({ id, body, caller }) =>
        async (tx) => {
          const voting = { rulesOf, environment: parts.keyRing }
          const row = await voteOn(tx, id, caller, choice, reasonIn(body), voting)
          return { approval: await approvalView(tx, row, shownWith(parts)) }
        },
    )
  }

  endpoints.write(
    'post',
    '/approvals/:id/cancel',
    {
      answer: ONE,
      summary: 'Withdraw what is held: by the agent that asked, or an operator',
      roles: ANYONE,
      body: VOTE,
      errors: ['not_found', 'conflict'],
    },
    ({ id, body, caller }) =>
      async (tx) => {
        const row = await cancelApproval(tx, id, caller, reasonIn(body))
        return { approval: await approvalView(tx, row, shownWith(parts)) }
      },
  )

  return endpoints
}

/** The file of this number of a held action. @throws GatewayError `not_found` */
function heldFileOf(action: Action | undefined, n: string): HeldFile {
  const files = action && action.state === 'held' ? filesOf(action) : []
  const file = /^(?:0|[1-9]\d{0,5})$/.test(n) ? files[Number(n)] : undefined
  if (file) return file
  throw new GatewayError('not_found', 'there is no such file, or its action is not held any more')
}

// An agent wrote it: it is saved, and never shown as if it were the gate's own page.
async function sendFile(
  res: ServerResponse,
  actionId: string,
  file: HeldFile,
  { heldFiles }: PartsOf<'heldFiles'>,
): Promise<void> {
  res.setHeader('Content-Type', 'application/octet-stream')
  res.setHeader('Content-Length', String(file.bytes))
  res.setHeader('Content-Disposition', attachment(file.filename ?? 'file'))
  res.setHeader('X-Content-Type-Options', 'nosniff')
  res.setHeader('Content-Security-Policy', "sandbox; default-src 'none'")
  res.setHeader('Cache-Control', 'no-store')
  // One that is shorter than it says ends the connection.
  await pipeline(Readable.from(heldFiles.read(actionId, file.sha256)), res)
}

const attachment = (name: string): string =>
  `attachment; filename*=UTF-8''${encodeURIComponent(name).replaceAll("'", '%27')}`
