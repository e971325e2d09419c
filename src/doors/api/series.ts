import { GatewayError } from '../../errors.ts'
import { agentNames } from '../../agents/known.ts'
import { decisionSeries, SERIES_BY, type SeriesBy, type SeriesPoint } from '../../record/series.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { READERS } from '../edge/roles.ts'
import { always, AT, INTEGER, list, MAYBE_STRING } from '../edge/schemas.ts'
import { params, TIME } from '../edge/validate.ts'

const POINTS_MAX = 500
const DAY_MS = 86_400_000
const SERIES = params<{
  metric?: string
  by?: SeriesBy
  since?: string
  until?: string
  step_s?: number
}>({
  metric: { enum: ['decisions'] },
  by: { enum: SERIES_BY, description: 'default: effect' },
  since: { ...TIME, description: 'default: a day before `until`' },
  until: { ...TIME, description: 'default: now' },
  step_s: {
    type: 'integer',
    minimum: 1,
    maximum: 31 * 86_400,
    description: `default: what makes 100 points; at most ${POINTS_MAX}`,
  },
})
const ANSWER = always({
  since: AT,
  until: AT,
  step_s: INTEGER,
  series: list(
    always({
      name: { ...MAYBE_STRING, description: 'null: all that are not among the 20 largest' },
      points: list(INTEGER),
    }),
  ),
})

/** `GET /stats/series`: what the record holds, in steps of time. */
export function seriesEndpoints(parts: PartsOf<'db'>): Endpoints {
  return new Endpoints('status', parts).on(
    'get',
    '/stats/series',
    {
      answer: ANSWER,
      summary: 'Decisions in steps of time, by effect, tool or agent',
      description: '`points` has one count for each step from `since` on.',
      roles: READERS,
      query: SERIES,
    },
    async ({ query }) => {
      const until = query.until === undefined ? new Date() : new Date(query.until)
      const since =
        query.since === undefined ? new Date(until.getTime() - DAY_MS) : new Date(query.since)
      const seconds = (until.getTime() - since.getTime()) / 1000
      if (seconds <= 0) throw new GatewayError('invalid_request', '`since` is not before `until`')
      const stepS = query.step_s ?? Math.max(1, Math.ceil(seconds / 100))
      const count = Math.ceil(seconds / stepS)
      if (count > POINTS_MAX) {
        throw new GatewayError(
          'invalid_request',
          `more than ${POINTS_MAX} points: take a larger \`step_s\``,
        )
      }
      const by = query.by ?? 'effect'
      const points = await decisionSeries(parts.db, { by, since, until, stepS })
      const series = linesOf(points, since, stepS, count)
      const named = by === 'agent' ? await withNames(parts.db, series) : series
      return {
        since: since.toISOString(),
        until: until.toISOString(),
        step_s: stepS,
        series: named,
      }
    },
  )
}

interface Line {
  readonly name: string | null
  readonly points: number[]
}

function linesOf(
  points: readonly SeriesPoint[],
  since: Date,
  stepS: number,
  count: number,
): Line[] {
  const lines = new Map<string | null, number[]>()
  for (const { bucket, name, n } of points) {
    const line = lines.get(name) ?? Array.from({ length: count }, () => 0)
    lines.set(name, line)
    const at = Math.round((bucket.getTime() - since.getTime()) / (stepS * 1000))
    if (at < count) line[at] = n
  }
  return [...lines].map(([name, values]) => ({ name, points: values }))
}

async function withNames(db: PartsOf<'db'>['db'], lines: readonly Line[]): Promise<Line[]> {
  const ids = lines.flatMap(({ name }) => name ?? [])
  const names = await agentNames(db, ids)
  return lines.map(({ name, points }) => ({ name: name && (names.get(name) ?? name), points }))
}
