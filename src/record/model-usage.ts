import type { Db } from '../store/tx.ts'
import { LINES_MAX, type Range } from './series.ts'

const BY = { model: "e.body::json ->> 'model'", agent: 'e.agent_id' } as const
export type UsageBy = keyof typeof BY
export const USAGE_BY = Object.keys(BY) as UsageBy[]

/** What calls of a model came to in one step of time. Tokens are what the server said; calls of which it said none are counted. */
export interface UsagePoint {
  readonly bucket: Date
  /** Null: all that are not among the largest. */
  readonly name: string | null
  readonly calls: bigint
  readonly failed: bigint
  readonly promptTokens: bigint
  readonly completionTokens: bigint
  /** Micro-units. */
  readonly spent: bigint
}

/** Calls of models' tools on record, in steps of time, of the largest lines by themselves. */
export async function modelUsage(
  db: Db,
  asked: Range & { readonly tools: readonly string[]; readonly by: UsageBy },
): Promise<UsagePoint[]> {
  const { since, until, stepS, tools, by } = asked
  return db.query<UsagePoint>(usageOf(BY[by]), [since, until, stepS, [...tools]])
}

const usageOf = (name: string): string => `with called as (
    select date_bin(make_interval(secs => $3), e.at, $1) as bucket, coalesce(${name}, '') as name, count(*) as calls,
      count(*) filter (where e.body::json ->> 'state' <> 'succeeded') as failed,
      coalesce(sum((e.body::json -> 'usage' ->> 'prompt_tokens')::bigint), 0) as prompt,
      coalesce(sum((e.body::json -> 'usage' ->> 'completion_tokens')::bigint), 0) as completion,
      coalesce(sum(coalesce(e.body::json ->> 'spent', e.body::json ->> 'cost')::numeric), 0) * 1000000 as spent
    from audit_entries e
    where e.tool = any($4) and e.kind = 'outcome' and e.at >= $1 and e.at < $2 group by 1, 2
  ), largest as (
    select name from called group by name order by sum(prompt + completion) desc, name limit ${LINES_MAX}
  )
  select c.bucket, l.name, sum(c.calls)::bigint as calls, sum(c.failed)::bigint as failed,
    sum(c.prompt)::bigint as "promptTokens", sum(c.completion)::bigint as "completionTokens", sum(c.spent)::bigint as spent
  from called c left join largest l on l.name = c.name group by 1, 2 order by 1, 2`
