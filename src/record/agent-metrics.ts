import { columns } from '../store/columns.ts'
import type { Db, Tx } from '../store/tx.ts'

/** One figure that an agent, or somebody who watches it, reports. */
export interface Metric {
  readonly id: string
  readonly agentId: string
  /** Such as `execution_time_ms`, `success`, `cost_usd`, `tokens`, `api_calls` or `quality`. */
  readonly type: string
  readonly value: number
  readonly unit: string
  /** JSON text. */
  readonly metadata: string
  readonly at: Date
}

export interface MetricFilter {
  readonly agent?: string | undefined
  readonly type?: string | undefined
  readonly since?: Date | undefined
  readonly until?: Date | undefined
}

/** Figures over a group of values; the percentiles are interpolated. */
export interface MetricAggregate {
  readonly agent: string | null
  readonly type: string
  /** Beginning of the period; null over all time. */
  readonly periodStart: Date | null
  readonly count: bigint
  readonly sum: number
  readonly mean: number
  readonly min: number
  readonly max: number
  readonly p50: number
  readonly p95: number
}

export const PERIODS = ['hour', 'day', 'week', 'month', 'all'] as const
export type Period = (typeof PERIODS)[number]

const NAMES = 'id, agent_id, type, value, unit, metadata, at'
const COLUMNS = columns(NAMES)
const GROUPS_MAX = 1_000

export async function insertMetrics(tx: Tx, metrics: readonly Metric[]): Promise<void> {
  await tx.query(
    `insert into agent_metrics (${NAMES}) select id, "agentId", type, value, unit, metadata, at
     from json_to_recordset($1::json) as m (id text, "agentId" text, type text, value double precision, unit text, metadata text,
        at timestamptz)`,
    [JSON.stringify(metrics)],
  )
}

/** Newest first, by when they were recorded. */
export async function listMetrics(
  db: Db,
  filter: MetricFilter & { readonly before?: string | undefined; readonly limit: number },
): Promise<Metric[]> {
  return db.query<Metric>(
    `select ${COLUMNS} from agent_metrics where ${MATCHES} and ($5::text is null or id < $5)
     order by id desc limit $6`,
    [...valuesOf(filter), filter.before ?? null, filter.limit],
  )
}

/** By type, and by agent and period where asked for; periods are UTC. At most a thousand groups. */
export async function aggregateMetrics(
  db: Db,
  filter: MetricFilter,
  by: { readonly agent: boolean; readonly period: Period },
): Promise<MetricAggregate[]> {
  const agent = by.agent ? 'agent_id' : 'null::text'
  const start =
    by.period === 'all'
      ? 'null::timestamptz'
      : `date_trunc('${by.period}', at at time zone 'utc') at time zone 'utc'`
  return db.query<MetricAggregate>(
    `select ${agent} as agent, type, ${start} as "periodStart", count(*) as count, sum(value) as sum,
       avg(value) as mean, min(value) as min, max(value) as max,
       percentile_cont(0.5) within group (order by value) as p50,
       percentile_cont(0.95) within group (order by value) as p95
     from agent_metrics where ${MATCHES}
     group by 1, 2, 3 order by 3 desc nulls last, 2, 1 limit ${GROUPS_MAX}`,
    valuesOf(filter),
  )
}

const MATCHES = `($1::text is null or agent_id = $1) and ($2::text is null or type = $2)
  and ($3::timestamptz is null or at >= $3) and ($4::timestamptz is null or at < $4)`

const valuesOf = ({ agent, type, since, until }: MetricFilter): unknown[] => [
  agent ?? null,
  type ?? null,
  since ?? null,
  until ?? null,
]
