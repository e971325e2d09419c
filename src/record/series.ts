import type { Db } from '../store/tx.ts'

/** What decisions are told apart by, and the column that says so. */
const BY = { effect: 'effect', tool: 'tool', agent: 'agent_id' } as const
export type SeriesBy = keyof typeof BY
export const SERIES_BY = Object.keys(BY) as SeriesBy[]

/** Lines of one picture; all others are one more. */
export const LINES_MAX = 20

export interface Range {
  readonly since: Date
  readonly until: Date
  readonly stepS: number
}

export interface SeriesPoint<N = number> {
  readonly bucket: Date
  /** Null: all that are not among the largest. */
  readonly name: string | null
  readonly n: N
}

/** Decisions on record in steps of time, of the largest lines by themselves. */
export async function decisionSeries(
  db: Db,
  asked: Range & { readonly by: SeriesBy },
): Promise<SeriesPoint[]> {
  const column = BY[asked.by]
  const rows = await db.query<{ bucket: Date; name: string | null; n: bigint }>(
    `with counted as (
       select date_bin(make_interval(secs => $3), at, $1) as bucket, ${column} as name, count(*) as n
       from audit_entries where kind = 'decision' and at >= $1 and at < $2 group by 1, 2
     ), largest as (
       select name from counted group by name order by sum(n) desc, name limit ${LINES_MAX}
     )
     select c.bucket, l.name, sum(c.n)::bigint as n from counted c left join largest l on l.name = c.name
     group by 1, 2 order by 1, 2`,
    [asked.since, asked.until, asked.stepS],
  )
  return rows.map((row) => ({ ...row, n: Number(row.n) }))
}
