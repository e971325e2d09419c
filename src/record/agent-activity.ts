import type { Db } from '../store/tx.ts'

/** What an agent does, as far as it is on record. */
export interface AgentActivity {
  /** Of its last decision; null: there is none. */
  readonly lastSeenAt: Date | null
  /** Decisions since midnight, UTC, by effect. */
  readonly today: { readonly allow: number; readonly deny: number; readonly held: number }
}

const QUIET: AgentActivity = { lastSeenAt: null, today: { allow: 0, deny: 0, held: 0 } }

interface Row {
  readonly id: string
  readonly at: Date | null
  readonly allow: bigint
  readonly deny: bigint
  readonly held: bigint
}

/** What these agents did, by id. */
export async function agentActivity(
  db: Db,
  ids: readonly string[],
): Promise<(id: string) => AgentActivity> {
  const rows = ids.length === 0 ? [] : await db.query<Row>(ACTIVITY, [ids])
  const known = new Map(
    rows.map(({ id, at, allow, deny, held }) => {
      const today = { allow: Number(allow), deny: Number(deny), held: Number(held) }
      return [id, { lastSeenAt: at, today }]
    }),
  )
  return (id) => known.get(id) ?? QUIET
}

const ACTIVITY = `select a.id,
    (select e.at from audit_entries e where e.agent_id = a.id and e.kind = 'decision'
      order by e.seq desc limit 1) as at,
    count(e.seq) filter (where e.effect = 'allow') as allow,
    count(e.seq) filter (where e.effect = 'deny') as deny,
    count(e.seq) filter (where e.effect = 'require_approval') as held
  from unnest($1::text[]) as a (id)
  left join audit_entries e on e.agent_id = a.id and e.kind = 'decision'
    and e.at >= date_trunc('day', now() at time zone 'UTC') at time zone 'UTC'
  group by a.id`
