import type { Db } from '../store/tx.ts'

export interface AuditStats {
  readonly total: number
  readonly by_decision: Readonly<Record<string, number>>
  readonly by_kind: Readonly<Record<string, number>>
  readonly by_agent: Readonly<Record<string, number>>
  readonly by_operation: Readonly<Record<string, number>>
  readonly by_day: Readonly<Record<string, number>>
}

const GROUPS_MAX = 100

/** Counts over the record between two times; of each grouping the largest hundred. Days are UTC. */
export async function auditStats(
  db: Db,
  filter: {
    readonly since: Date | null
    readonly until: Date | null
    readonly agentId: string | null
  },
): Promise<AuditStats> {
  const rows = await db.query<{ grouping: string; value: string; n: bigint }>(STATS, [
    filter.since,
    filter.until,
    filter.agentId,
    GROUPS_MAX,
  ])
  const group = (name: string) =>
    Object.fromEntries(
      rows.filter((row) => row.grouping === name).map(({ value, n }) => [value, Number(n)]),
    )
  return {
    total: Number(rows.find((row) => row.grouping === 'total')?.n ?? 0),
    by_decision: group('decision'),
    by_kind: group('kind'),
    by_agent: group('agent'),
    by_operation: group('operation'),
    by_day: group('day'),
  }
}

const STATS = `with counted as (
    select kind, effect, agent_id, tool, to_char(at at time zone 'utc', 'YYYY-MM-DD') as day,
      count(*) as n
    from audit_entries
    where ($1::timestamptz is null or at >= $1) and ($2::timestamptz is null or at < $2)
      and ($3::text is null or agent_id = $3)
    group by 1, 2, 3, 4, 5
  ), groups as (
    select 'total' as grouping, '' as value, sum(n) as n from counted
    union all select 'decision', effect, sum(n) from counted
      where effect <> '' and kind in ('decision', 'event.ingested') group by effect
    union all select 'kind', kind, sum(n) from counted group by kind
    union all select 'agent', agent_id, sum(n) from counted where agent_id <> '' group by agent_id
    union all select 'operation', tool, sum(n) from counted where tool <> '' group by tool
    union all select 'day', day, sum(n) from counted group by day
  ), ranked as (
    select grouping, value, n::bigint as n,
      row_number() over (partition by grouping order by n desc, value) as rank
    from groups where n is not null
  )
  select grouping, value, n from ranked where rank <= $4 order by grouping, rank`
