import { knownAgentId } from '../../agents/known.ts'
import { GatewayError } from '../../errors.ts'
import type { JsonObject } from '../../model/json.ts'
import { acknowledgeAlert, type Alert, countOpenAlerts, listAlerts } from '../../record/alerts.ts'
import type { HeadFloor } from '../../store/head-floor.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { OPERATORS, READERS } from '../edge/roles.ts'
import { always, AT, INTEGER, list, MAYBE_AT, MAYBE_STRING, STRING } from '../edge/schemas.ts'
import { NAME, PAGE, nextCursor, OPEN, PAGE_DEFAULT, params } from '../edge/validate.ts'

const STATES = ['open', 'acknowledged'] as const
const LIST = params<{
  agent?: string
  type?: string
  state?: (typeof STATES)[number]
  limit?: number
  cursor?: string
}>({
  agent: NAME,
  type: NAME,
  state: { enum: [...STATES], description: 'whether anybody has said that they have seen it' },
  ...PAGE,
})
const ALERT = always({
  id: STRING,
  type: STRING,
  agent: MAYBE_STRING,
  message: STRING,
  details: OPEN,
  at: AT,
  state: { enum: [...STATES] },
  acknowledged_at: MAYBE_AT,
  acknowledged_by: MAYBE_STRING,
})

/** `GET /api/v1/alerts`, `POST /api/v1/alerts/{id}/acknowledge`. */
export function alertEndpoints(parts: PartsOf<'db' | 'floor'>): Endpoints {
  const { db, floor } = parts
  const endpoints = new Endpoints('alerts', parts)

  endpoints.on(
    'get',
    '/api/v1/alerts',
    {
      answer: always({
        alerts: list(ALERT),
        open: { ...INTEGER, description: 'all that nobody has acknowledged, on whatever page' },
        next_cursor: MAYBE_STRING,
      }),
      summary: 'List alerts, newest first',
      roles: READERS,
      query: LIST,
      errors: ['not_found'],
    },
    async ({
      query: { agent: named, type = null, state, cursor = null, limit = PAGE_DEFAULT },
    }) => {
      const agent = named === undefined ? null : await knownAgentId(db, named)
      const isOpen = state === undefined ? null : state === 'open'
      const alerts = await listAlerts(db, { agent, type, isOpen, before: cursor, limit })
      const standing = standingAlert(floor)
      const isAsked = type === null || type === standing?.type
      const isShown = isAsked && agent === null && cursor === null && isOpen !== false
      return {
        alerts: [...(standing && isShown ? [standing] : []), ...alerts].map(alertJson),
        open: (await countOpenAlerts(db)) + (standing ? 1 : 0),
        next_cursor: nextCursor(alerts, limit),
      }
    },
  )

  endpoints.write(
    'post',
    '/api/v1/alerts/:id/acknowledge',
    {
      answer: ALERT,
      summary: 'Say that an alert was seen; who did so first stays on record',
      roles: OPERATORS,
      errors: ['not_found'],
    },
    ({ id, caller }) =>
      async (tx) => {
        const { broken } = floor
        if (broken && id === STANDING_ID)
          throw new GatewayError('audit_unavailable', broken.finding)
        const alert = await acknowledgeAlert(tx, id, caller.name)
        if (alert) return alertJson(alert)
        throw new GatewayError('not_found', `there is no alert \`${id.slice(0, 64)}\``)
      },
  )

  return endpoints
}

const STANDING_ID = 'alr_audit_broken'

/** What cannot be stored, since it is the record that is broken: open for as long as it is. */
function standingAlert({ broken }: HeadFloor): Alert | undefined {
  if (!broken) return undefined
  const { finding: message, at } = broken
  const nobody = { agentId: '', acknowledgedAt: null, acknowledgedBy: '' }
  return { id: STANDING_ID, type: 'audit_broken', message, details: '{}', at, ...nobody }
}

function alertJson({
  agentId: agent,
  details,
  at,
  acknowledgedAt,
  acknowledgedBy,
  ...rest
}: Alert) {
  return {
    ...rest,
    agent: agent || null,
    details: JSON.parse(details) as JsonObject,
    at: at.toISOString(),
    state: acknowledgedAt ? 'acknowledged' : 'open',
    acknowledged_at: acknowledgedAt?.toISOString() ?? null,
    acknowledged_by: acknowledgedBy || null,
  }
}
