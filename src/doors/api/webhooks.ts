import { GatewayError } from '../../errors.ts'
import type { AuditDraft } from '../../model/audit.ts'
import type { JsonObject } from '../../model/json.ts'
import { QUEUES, testNotice } from '../../record/outbox.ts'
import { type JobState, type KnownJob, newestJobs } from '../../store/jobs.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { OPERATORS } from '../edge/roles.ts'
import { always, AT, INTEGER, list, MAYBE_AT, MAYBE_STRING, STRING } from '../edge/schemas.ts'
import { object, params, shape } from '../edge/validate.ts'

// Notices are jobs, and what became of one is what the queue says of its job. A test is a notice like any other, so that it proves
// the whole way: the batch, the queue, the signature, the receiver.

const STATES = {
  waiting: ['created'],
  sending: ['active'],
  retrying: ['retry'],
  delivered: ['completed'],
  failed: ['failed', 'cancelled'],
} as const satisfies Readonly<Record<string, readonly JobState[]>>
type DeliveryState = keyof typeof STATES
const STATE_NAMES = Object.keys(STATES) as DeliveryState[]
const SHOWN_MAX = 200
const SHOWN_DEFAULT = 50
const RECEIVERS = ['approvals', 'alerts'] as const
type Receiver = (typeof RECEIVERS)[number]

const DELIVERY = always({
  id: {
    ...STRING,
    description: 'the `webhook-id` that the receiver gets, the same at each attempt',
  },
  to: { enum: [...RECEIVERS] },
  type: MAYBE_STRING,
  approval: MAYBE_STRING,
  agent: { ...MAYBE_STRING, description: 'its id, where an alert is about one' },
  state: { enum: STATE_NAMES },
  attempts: INTEGER,
  error: { ...MAYBE_STRING, description: 'of the last attempt that failed' },
  created_at: AT,
  next_at: { ...MAYBE_AT, description: 'of what waits' },
  ended_at: MAYBE_AT,
})
const LIST = params<{ state?: DeliveryState; limit?: number }>({
  state: { enum: STATE_NAMES },
  limit: {
    type: 'integer',
    minimum: 1,
    maximum: SHOWN_MAX,
    description: `default ${SHOWN_DEFAULT}`,
  },
})
const TEST = shape<{ to: Receiver }>(object({ to: { enum: [...RECEIVERS] } }, ['to']))

/** `/webhooks`: what became of notices, and a notice to try the way with. */
export function webhookEndpoints(parts: PartsOf<'db' | 'config'>): Endpoints {
  const { db, config } = parts
  const urls = { approvals: config.approvalWebhookUrl, alerts: config.alertWebhookUrl }
  return new Endpoints('webhooks', parts)
    .on(
      'get',
      '/webhooks/deliveries',
      {
        summary: 'What became of notices, newest first',
        description:
          'Those that ended are kept for a few days. Only checkpoints, and alerts of a broken record, go another way.',
        roles: OPERATORS,
        query: LIST,
        answer: always({
          receivers: always({ approvals: MAYBE_STRING, alerts: MAYBE_STRING }),
          deliveries: list(DELIVERY),
        }),
      },
      async ({ query: { state, limit = SHOWN_DEFAULT } }) => {
        const states = state === undefined ? Object.values(STATES).flat() : STATES[state]
        const jobs = await newestJobs(db, QUEUES.webhook, states, limit)
        return {
          receivers: { approvals: originOf(urls.approvals), alerts: originOf(urls.alerts) },
          deliveries: jobs.map(deliveryJson),
        }
      },
    )
    .write(
      'post',
      '/webhooks/test',
      {
        summary: 'Send a notice that says nothing, by the way of all others',
        description:
          'Answers before it is sent; `GET /webhooks/deliveries` says what became of it.',
        roles: OPERATORS,
        body: TEST,
        status: 202,
        answer: always({ id: STRING, to: { enum: [...RECEIVERS] } }),
        errors: ['conflict'],
      },
      ({ body: { to }, caller }) =>
        async (tx) => {
          if (urls[to] === null) {
            throw new GatewayError('conflict', `no receiver of ${to} is configured`)
          }
          const job = testNotice(to, caller.name)
          const id = textOf(job.data['webhook_id']) ?? ''
          tx.append(testedEntry({ to, webhook_id: id, actor: caller.name }))
          tx.enqueue(job)
          return { id, to }
        },
    )
}

const testedEntry = (detail: JsonObject): AuditDraft => {
  const nobody = { agentId: '', tool: '', effect: '', actionId: '' } as const
  return { kind: 'webhook.tested', ...nobody, detail }
}

/** Where notices go, without what may be secret in the rest of the URL. */
const originOf = (url: string | null): string | null => (url === null ? null : new URL(url).origin)

function deliveryJson(job: KnownJob): JsonObject {
  const { data, createdAt, nextAt, endedAt } = job
  const isAlert = data['kind'] === 'alert' || data['to'] === 'alerts'
  const state = stateOf(job.state)
  const entry = (data['entry'] ?? {}) as JsonObject
  return {
    id: textOf(data['webhook_id']) ?? job.id,
    to: isAlert ? 'alerts' : 'approvals',
    type: textOf(data['type']),
    approval: textOf(data['approval_id']),
    agent: textOf(entry['agent_id']) || null,
    state,
    attempts: job.attempts,
    error: state === 'delivered' ? null : job.error,
    created_at: createdAt.toISOString(),
    next_at: state === 'waiting' || state === 'retrying' ? nextAt.toISOString() : null,
    ended_at: endedAt?.toISOString() ?? null,
  }
}

const stateOf = (state: JobState): DeliveryState =>
  STATE_NAMES.find((name) => (STATES[name] as readonly JobState[]).includes(state)) ?? 'waiting'

const textOf = (value: unknown): string | null => (typeof value === 'string' ? value : null)
