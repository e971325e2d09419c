import { microsToText } from '../../lib/money.ts'
import { ownToolNames } from '../../bundle/protocol.ts'
import { SPEND_BY, type SpendBy, spendSeries } from '../../record/spend-series.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { READERS } from '../edge/roles.ts'
import { STRING } from '../edge/schemas.ts'
import { params } from '../edge/validate.ts'
import {
  linesOf,
  RANGE,
  type RangeQuery,
  rangeOf,
  seriesAnswer,
  seriesJson,
  withNames,
} from './series.ts'

const SERIES = params<RangeQuery & { by?: SpendBy }>({
  by: {
    enum: SPEND_BY,
    description: 'default: agent. `tool`: what agents report counts by its type. `upstream`: as ``',
  },
  ...RANGE,
})

/** `GET /api/v1/spend/series`: spend in steps of time. */
export function spendSeriesEndpoints(parts: PartsOf<'db'>): Endpoints {
  return new Endpoints('spend', parts).on(
    'get',
    '/api/v1/spend/series',
    {
      answer: seriesAnswer(STRING),
      summary: 'Spend in steps of time, by agent, tool or upstream',
      description:
        '`points` has one amount for each step from `since` on. An action counts when it was decided; what is under way, or of ' +
        'which nobody knows how it ended, counts with its charge.',
      roles: READERS,
      query: SERIES,
    },
    async ({ query }) => {
      const range = rangeOf(query)
      const by = query.by ?? 'agent'
      const metered = ownToolNames(parts.policies.current)
      const points = await spendSeries(parts.db, { ...range, by, metered })
      const lines = linesOf(points, range, 0n)
      const named = by === 'agent' ? await withNames(parts.db, lines) : lines
      return seriesJson(
        range,
        named.map((line) => ({ ...line, points: line.points.map(microsToText) })),
      )
    },
  )
}
