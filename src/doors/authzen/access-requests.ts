import type { Caller } from '../../agents/keys.ts'
import { itemStatus } from '../../inquiries/access-requests/task-view.ts'
import { GatewayError } from '../../errors.ts'
import type { JsonObject } from '../../model/json.ts'
import { withdraw } from '../../operations/approvals.ts'
import { stateOf } from '../edge/context.ts'
import { Endpoints, Reply } from '../edge/endpoints.ts'
import { idempotencyKey } from '../edge/once.ts'
import type { PartsOf } from '../edge/parts.ts'
import { INQUIRERS } from '../edge/roles.ts'
import { always, list, STRING } from '../edge/schemas.ts'
import { OPEN } from '../edge/validate.ts'
import { submissionOf } from './access-wire.ts'
import { AUTHZEN_ERRORS, authzenBody, bodyIfAny } from './body.ts'
import { problems } from './problems.ts'

// The Access Request and Approval Profile, sections 10, 11 and 11.4: what was denied is asked for, looked after and withdrawn.

const RETRY_AFTER_S = '5'
const REASON_CHARS_MAX = 1_000
const KEYS_MAX_AGE_S = 300

const TASK = always(
  {
    id: STRING,
    status: STRING,
    status_endpoint: STRING,
    expires_at: STRING,
    links: always({ cancel: STRING }),
    display: OPEN,
    items: list(OPEN),
  },
  ['items'],
)
const ANSWER = always({ task: TASK, result: OPEN }, ['result'])

const SCHEMA = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  properties: {
    context: {
      type: 'object',
      properties: {
        business_justification: { type: 'string', description: 'shown to whoever approves' },
      },
    },
    requested_access: {
      type: 'object',
      properties: {
        requested_until: {
          type: 'string',
          format: 'date-time',
          description: 'the approval counts no longer than this',
        },
      },
    },
  },
} as const

type Parts = PartsOf<'inquiries' | 'config'>

/** `/access/v1/requests`, and what its users need to read. */
export function accessRequestEndpoints(parts: Parts): Endpoints {
  const endpoints = new Endpoints('decisions', parts)
  addSubmission(endpoints, parts)
  addTask(endpoints, parts)
  addDocuments(endpoints, parts)
  return endpoints
}

function addSubmission(endpoints: Endpoints, parts: Parts): void {
  endpoints.on(
    'post',
    '/access/v1/requests',
    {
      summary: 'Ask people for what was denied (AuthZEN Access Request and Approval Profile)',
      description:
        'A denial with `context.access_request` can be asked for, once, by who was denied. An approval carries nothing out: ' +
        'evaluate again with it as `context.approval`.',
      roles: INQUIRERS,
      accepts: ['application/json'],
      status: 202,
      answer: ANSWER,
      also: {
        400: problems('`not_requestable`, `invalid_denial_binding`, or no request at all'),
        409: problems('`duplicate_request`: the Idempotency-Key was used for another request'),
        410: problems('`expired_denial`: evaluate again'),
      },
      errors: AUTHZEN_ERRORS,
    },
    async ({ req, caller }) => {
      const body = await authzenBody(req)
      const submission = submissionOf(body, {
        caller,
        requestId: stateOf(req).requestId,
        idempotencyKey: idempotencyKey(req),
        callbacks: parts.config.accessCallbacks,
      })
      for (const { inquiry } of submission.items) assertMayAsk(caller, inquiry.subject)
      return taskReply(202, await parts.inquiries.requestAccess(submission))
    },
  )
}

function addTask(endpoints: Endpoints, parts: Parts): void {
  endpoints.on(
    'get',
    '/access/v1/requests/:id',
    {
      summary: 'How an access request stands; of an approved one, the approval to evaluate with',
      roles: INQUIRERS,
      answer: ANSWER,
      also: {
        404: problems('`unknown_task`: there is none, or it is somebody else’s'),
        410: problems('`task_expired`: it is not answered any more'),
      },
    },
    async ({ id, caller }) => taskReply(200, await parts.inquiries.accessRequests.task(id, caller)),
  )

  endpoints.on(
    'post',
    '/access/v1/requests/:id/cancel',
    {
      summary: 'Withdraw what of an access request still waits',
      roles: INQUIRERS,
      accepts: ['application/json'],
      answer: ANSWER,
      also: {
        404: problems('`unknown_task`'),
        409: problems('`invalid_task_state`: nothing of it waits'),
        410: problems('`task_expired`'),
      },
      errors: AUTHZEN_ERRORS,
    },
    async ({ req, id, caller }) => {
      await cancelled(parts, id, caller, reasonIn(await bodyIfAny(req)))
      return taskReply(200, await parts.inquiries.accessRequests.task(id, caller))
    },
  )
}

function addDocuments(endpoints: Endpoints, parts: Parts): void {
  endpoints
    .on(
      'get',
      '/access/v1/jwks',
      {
        summary: 'What tokens of denials and approvals are verified with (a JWK Set)',
        roles: 'open',
        answer: always({ keys: list(OPEN) }),
      },
      () => {
        const headers = { 'Cache-Control': `public, max-age=${KEYS_MAX_AGE_S}` }
        return new Reply(200, parts.inquiries.accessRequests.keys, headers)
      },
    )
    .on(
      'get',
      '/access/v1/request-schema',
      {
        summary: 'What an access request may say beside what was denied (a JSON Schema)',
        roles: 'open',
        answer: OPEN,
      },
      () => SCHEMA,
    )
}

// An agent asks about itself, here too.
function assertMayAsk(
  { role, agentId, name }: Caller,
  subject: { readonly type: string; readonly id: string },
): void {
  if (role !== 'agent') return
  if (subject.type === 'agent' && (subject.id === agentId || subject.id === name)) return
  throw new GatewayError('forbidden', 'an agent may ask for itself only')
}

function taskReply(status: number, answer: JsonObject): Reply {
  const { status_endpoint: at, status: stands } = answer['task'] as JsonObject
  const location = status === 202 ? { Location: at as string } : {}
  const retry = stands === 'pending' ? { 'Retry-After': RETRY_AFTER_S } : {}
  return new Reply(status, answer, { ...location, ...retry })
}

async function cancelled(
  { inquiries, operations }: Parts,
  id: string,
  caller: Caller,
  reason: string,
): Promise<void> {
  await operations.write(async (tx) => {
    const { stands } = await inquiries.accessRequests.known(id, caller, tx)
    const waiting = stands.filter((one) => itemStatus(one, tx.nowMs) === 'pending')
    if (waiting.length === 0) {
      throw new GatewayError('invalid_task_state', 'nothing of this task waits any more')
    }
    for (const { approvalId } of waiting) await withdraw(tx, approvalId, caller, reason)
  })
}

/** For the record: the code, the note, or both. */
function reasonIn({ reason = '', comment = '' }: JsonObject): string {
  if (typeof reason !== 'string' || typeof comment !== 'string') {
    throw new GatewayError('invalid_request', '`reason` and `comment` must be texts')
  }
  return [reason, comment]
    .filter((text) => text !== '')
    .join(': ')
    .slice(0, REASON_CHARS_MAX)
}
