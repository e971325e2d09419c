import { knownAgentId } from '../../agents/known.ts'
import { listAlerts, type Alert } from '../../record/alerts.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { READERS } from '../edge/roles.ts'
import { always, AT, MAYBE_STRING, page, STRING } from '../edge/schemas.ts'
import { NAME, PAGE, nextCursor, OPEN, PAGE_DEFAULT, params } from '../edge/validate.ts'

const LIST = params<{ agent?: string; type?: string; limit?: number; cursor?: string }>({
  agent: NAME,
  type: NAME,
  ...PAGE,
})

/** `GET /api/v1/alerts`. */
export function alertEndpoints(parts: PartsOf<'db'>): Endpoints {
  return new Endpoints('alerts', parts).on(
    'get',
    '/api/v1/alerts',
    {
      answer: page(
        'alerts',
        always({
          id: STRING,
          type: STRING,
          agent: MAYBE_STRING,
          message: STRING,
          details: OPEN,
          at: AT,
        }),
      ),
      summary: 'List alerts, newest first',
      roles: READERS,
      query: LIST,
      errors: ['not_found'],
    },
    async ({ query: { agent: named, type = null, cursor = null, limit = PAGE_DEFAULT } }) => {
      const agent = named === undefined ? null : await knownAgentId(parts.db, named)
      const alerts = await listAlerts(parts.db, { agent, type, before: cursor, limit })
      return { alerts: alerts.map(alertJson), next_cursor: nextCursor(alerts, limit) }
    },
  )
}

function alertJson({ agentId: agent, details, at, ...rest }: Alert) {
  return {
    ...rest,
    agent: agent || null,
    details: JSON.parse(details) as unknown,
    at: at.toISOString(),
  }
}
