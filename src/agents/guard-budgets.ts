import type { Db } from '../store/tx.ts'

/** A budget that a guard keeps, as it stands in the period that is now; amounts in micro-units. */
export interface GuardBudget {
  readonly guard: string
  readonly period: 'day' | 'month' | 'total'
  readonly scope: 'agent' | 'tool' | 'role' | 'global'
  /** Whose it is: an agent's id, a tool, a role, or `*`. */
  readonly of: string
  readonly limit: bigint
  readonly reserved: bigint
  readonly settled: bigint
}

/** As a budget guard names its counters. */
const KEY = /^(.+?):spend:(day|month|total):(agent|tool|role|global):(.*)$/s

const NOW = `select key, limit_micros as limit, reserved, settled from budgets
  where key not like 'own:agent:%' and period_start = case
    when key ~ ':spend:day:' then (clock_timestamp() at time zone 'utc')::date
    when key ~ ':spend:month:' then date_trunc('month', clock_timestamp() at time zone 'utc')::date
    else date '1970-01-01' end
  order by (reserved + settled) / greatest(limit_micros, 1)::numeric desc, key limit $1`

/** Those that are nearest to their limits first. One that nothing was taken from is not there yet. */
export async function guardBudgets(db: Db, limit: number): Promise<GuardBudget[]> {
  const rows = await db.query<Omit<GuardBudget, 'guard'> & { readonly key: string }>(NOW, [limit])
  return rows.flatMap(({ key, ...amounts }) => {
    const [, guard = '', period, scope, of = ''] = KEY.exec(key) ?? []
    if (period === undefined) return []
    const named = { guard, period, scope, of } as Pick<
      GuardBudget,
      'guard' | 'period' | 'scope' | 'of'
    >
    return [{ ...amounts, ...named }]
  })
}
