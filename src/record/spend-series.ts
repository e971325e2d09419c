import { firstId } from '../lib/ids.ts'
import type { Db } from '../store/tx.ts'
import { LINES_MAX, type Range, type SeriesPoint } from './series.ts'

// Spend in steps of time, from the rows of actions and of what agents report. An action counts when it was decided, with what
// was charged to the agent's month: one that failed was given its charge back, and of one of a metered tool (a model) the
// outcome says what it came to.

const BY = {
  agent: { action: 'a.agent_id', report: 'r.agent_id' },
  tool: { action: 'a.tool', report: 'r.type' },
  upstream: { action: 'a.upstream', report: "''" },
} as const
export type SpendBy = keyof typeof BY
export const SPEND_BY = Object.keys(BY) as SpendBy[]

/** Ids sort by the clock of whoever made them. */
const NEAR_MS = 3_600_000

/** Micro-units in steps of time, of the largest lines by themselves. */
export async function spendSeries(
  db: Db,
  asked: Range & { readonly by: SpendBy; readonly metered: readonly string[] },
): Promise<SeriesPoint<bigint>[]> {
  const { since, until, stepS, by, metered } = asked
  return db.query<SeriesPoint<bigint>>(seriesOf(BY[by].action, BY[by].report), [
    ...[since, until, stepS, [...metered]],
    firstId('act', since.getTime() - NEAR_MS),
    firstId('act', until.getTime() + NEAR_MS),
  ])
}

const seriesOf = (action: string, report: string): string => `with spent as (
    select a.created_at as at, ${action} as name, coalesce(
      case when a.tool = any($4) then (select ((e.body::json ->> 'spent')::numeric * 1000000)::bigint
        from audit_entries e where e.action_id = a.id and e.kind = 'outcome' order by e.seq desc limit 1) end,
      (c ->> 'amount')::bigint) as amount
    from actions a cross join lateral json_array_elements(a.reserved::json) as c
    where a.created_at >= $1 and a.created_at < $2 and a.id >= $5 and a.id < $6
      and (a.state in ('executing', 'succeeded', 'indeterminate') or (a.state = 'failed' and a.tool = any($4)))
      and c ->> 'key' = 'own:agent:' || a.agent_id
    union all
    select r.at, ${report}, r.cost from reports r where r.at >= $1 and r.at < $2
  ), counted as (
    select date_bin(make_interval(secs => $3), at, $1) as bucket, name, sum(amount) as n
    from spent where amount > 0 group by 1, 2
  ), largest as (
    select name from counted group by name order by sum(n) desc, name limit ${LINES_MAX}
  )
  select c.bucket, l.name, sum(c.n)::bigint as n from counted c left join largest l on l.name = c.name
  group by 1, 2 order by 1, 2`
