import type { Db } from '../store/tx.ts'

// What budgets hold, for whoever only looks. What takes of them is in `counters.ts`.

export interface BudgetStand {
  readonly key: string
  readonly periodStart: string
  readonly limitMicros: bigint
  readonly reserved: bigint
  readonly settled: bigint
}

/** What the budget of this key holds in the month that begins on `periodStart`, in micro-units. */
export async function monthOf(
  db: Db,
  key: string,
  periodStart: string,
): Promise<{ readonly reserved: bigint; readonly settled: bigint }> {
  const [row] = await db.query<{ reserved: bigint; settled: bigint }>(
    'select reserved, settled from budgets where key = $1 and period_start = $2',
    [key, periodStart],
  )
  return row ?? { reserved: 0n, settled: 0n }
}

/** The budgets kept for one agent, newest period first. */
export async function agentBudgets(db: Db, agentId: string): Promise<BudgetStand[]> {
  return db.query<BudgetStand>(
    `select key, period_start::text as "periodStart", limit_micros as "limitMicros", reserved, settled
     from budgets
     where key like '%:agent:' || $1 order by period_start desc, key`,
    [agentId],
  )
}

/** What agents have spent of a month, by `own:agent:` budgets, those who spent most first; in micro-units. */
export async function ownMonths(db: Db, periodStart: string, limit: number) {
  return db.query<{
    readonly agent: string
    readonly name: string | null
    readonly reserved: bigint
    readonly settled: bigint
  }>(
    `select substr(b.key, 11) as agent, a.name, b.reserved, b.settled
     from budgets b left join agents a on a.id = substr(b.key, 11)
     where b.key like 'own:agent:%' and b.period_start = $1
     order by b.settled + b.reserved desc, b.key limit $2`,
    [periodStart, limit],
  )
}

/** `YYYY-MM` by the database clock, which is what budgets roll over by. */
export async function currentMonth(db: Db): Promise<string> {
  const [row] = await db.query<{ month: string }>(
    `select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM') as month`,
  )
  return row?.month ?? ''
}
