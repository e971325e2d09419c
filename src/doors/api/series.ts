import { GatewayError } from '../../errors.ts'
import { agentNames } from '../../agents/known.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import {
  decisionSeries,
  type Range,
  SERIES_BY,
  type SeriesBy,
  type SeriesPoint,
} from '../../record/series.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { READERS } from '../edge/roles.ts'
import { always, AT, INTEGER, list, MAYBE_STRING } from '../edge/schemas.ts'
import { params, TIME } from '../edge/validate.ts'

const POINTS_MAX = 500
const DAY_MS = 86_400_000

/** Which time, in which steps, as it is asked for. */
export interface RangeQuery {
  readonly since?: string
  readonly until?: string
  readonly step_s?: number
}

export const RANGE = {
  since: { ...TIME, description: 'default: a day before `until`' },
  until: { ...TIME, description: 'default: now' },
  step_s: {
    type: 'integer',
    minimum: 1,
    maximum: 31 * 86_400,
    description: `default: what makes 100 points; at most ${POINTS_MAX}`,
  },
} as const

const SERIES = params<RangeQuery & { metric?: string; by?: SeriesBy }>({
  metric: { enum: ['decisions'] },
  by: { enum: SERIES_BY, description: 'default: effect' },
  ...RANGE,
})

/** Lines over one range, one value for each of its steps. */
export const seriesAnswer = (value: JsonObject): JsonObject =>
  always({
    since: AT,
    until: AT,
    step_s: INTEGER,
    series: list(
      always({
        name: { ...MAYBE_STRING, description: 'null: all that are not among the 20 largest' },
        points: list(value),
      }),
    ),
  })

/** `GET /stats/series`: what the record holds, in steps of time. */
export function seriesEndpoints(parts: PartsOf<'db'>): Endpoints {
  return new Endpoints('status', parts).on(
    'get',
    '/stats/series',
    {
      answer: seriesAnswer(INTEGER),
      summary: 'Decisions in steps of time, by effect, tool or agent',
      description: '`points` has one count for each step from `since` on.',
      roles: READERS,
      query: SERIES,
    },
    async ({ query }) => {
      const range = rangeOf(query)
      const by = query.by ?? 'effect'
      const lines = linesOf(await decisionSeries(parts.db, { by, ...range }), range, 0)
      return seriesJson(range, by === 'agent' ? await withNames(parts.db, lines) : lines)
    },
  )
}

/** @throws GatewayError `invalid_request` for a range that is none, or of too many steps */
export function rangeOf(query: RangeQuery): Range {
  const until = query.until === undefined ? new Date() : new Date(query.until)
  const since =
    query.since === undefined ? new Date(until.getTime() - DAY_MS) : new Date(query.since)
  const seconds = (until.getTime() - since.getTime()) / 1000
  if (seconds <= 0) throw new GatewayError('invalid_request', '`since` is not before `until`')
  const stepS = query.step_s ?? Math.max(1, Math.ceil(seconds / 100))
  if (Math.ceil(seconds / stepS) > POINTS_MAX) {
    throw new GatewayError(
      'invalid_request',
      `more than ${POINTS_MAX} points: take a larger \`step_s\``,
    )
  }
  return { since, until, stepS }
}

export const seriesJson = <N extends Json>(
  { since, until, stepS }: Range,
  series: readonly Line<N>[],
): JsonObject => ({
  since: since.toISOString(),
  until: until.toISOString(),
  step_s: stepS,
  series: series.map(({ name, points }) => ({ name, points })),
})

export interface Line<N> {
  readonly name: string | null
  readonly points: N[]
}

/** One line for each name, with `none` where it has no point. */
export function linesOf<N>(
  points: readonly SeriesPoint<N>[],
  { since, until, stepS }: Range,
  none: N,
): Line<N>[] {
  const count = Math.ceil((until.getTime() - since.getTime()) / (stepS * 1000))
  const lines = new Map<string | null, N[]>()
  for (const { bucket, name, n } of points) {
    const line = lines.get(name) ?? Array.from({ length: count }, () => none)
    lines.set(name, line)
    const at = Math.round((bucket.getTime() - since.getTime()) / (stepS * 1000))
    if (at < count) line[at] = n
  }
  return [...lines].map(([name, values]) => ({ name, points: values }))
}

/** The lines of agents, by their names. */
export async function withNames<N>(
  db: PartsOf<'db'>['db'],
  lines: readonly Line<N>[],
): Promise<Line<N>[]> {
  const ids = lines.flatMap(({ name }) => name ?? [])
  const names = await agentNames(db, ids)
  return lines.map(({ name, points }) => ({ name: name && (names.get(name) ?? name), points }))
}
