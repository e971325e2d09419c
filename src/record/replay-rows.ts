import type { Effect, Reason } from '../model/decision.ts'
import type { Json } from '../model/json.ts'
import { textArray } from '../store/arrays.ts'
import type { Db } from '../store/tx.ts'

// Recorded decisions in the order in which they were recorded, page by page. The order is that of the chain, since ids
// are made by the clocks of several replicas a moment before; the rest is read from the actions' own rows. Entries of
// approved actions that were judged again have another effect than the action, and are passed over.

/** Which decisions. */
export interface ReplayRange {
  readonly from: Date
  readonly to: Date
  readonly agentId: string | null
  readonly tool: string | null
  readonly effect: Effect | null
}

/** A decided action as a replay reads it. */
export interface RecordedDecision {
  readonly seq: bigint
  readonly id: string
  readonly agentId: string
  readonly agentName: string
  readonly tool: string
  readonly effect: Effect
  readonly state: string
  readonly errorCode: string
  readonly request: string
  readonly facts: string
  readonly createdAt: Date
  readonly startedAt: Date | null
}

/** The entries between which they stand, and how many there are. */
export interface ReplayBounds {
  readonly after: bigint
  readonly last: bigint
  readonly total: number
}

const WHICH = `e.kind = 'decision' and e.action_id <> '' and e.at >= $1 and e.at < $2
  and ($3::text is null or e.agent_id = $3) and ($4::text is null or e.tool = $4)`

/** Where the range begins and ends; its size is that of the entries, without looking at their actions. */
export async function replayBounds(db: Db, range: ReplayRange): Promise<ReplayBounds> {
  const [row] = await db.query<{ first: bigint | null; last: bigint | null; n: bigint }>(
    `select min(e.seq) as first, max(e.seq) as last, count(*) as n from audit_entries e
     where ${WHICH} and ($5::text is null or e.effect = $5)`,
    [range.from, range.to, range.agentId, range.tool, range.effect],
  )
  return {
    after: (row?.first ?? 1n) - 1n,
    last: row?.last ?? 0n,
    total: Number(row?.n ?? 0),
  }
}

/** The next page after an entry; of entries that were no first decision only the place. */
export async function replayPage(
  db: Db,
  range: ReplayRange,
  bounds: Pick<ReplayBounds, 'after' | 'last'>,
  limit: number,
): Promise<(RecordedDecision | { readonly seq: bigint; readonly id: null })[]> {
  return db.query(
    `select e.seq, a.id, a.agent_id as "agentId", a.agent_name as "agentName", a.tool, a.effect, a.state,
       a.error_code as "errorCode", a.request, a.facts, a.created_at as "createdAt", a.started_at as "startedAt"
     from (select e.seq, e.action_id, e.effect from audit_entries e
       where ${WHICH} and e.seq > $6 and e.seq <= $7 and ($5::text is null or e.effect = $5)
       order by e.seq limit $8) as e
     left join actions a on a.id = e.action_id and a.effect = e.effect
     order by e.seq`,
    [
      ...[range.from, range.to, range.agentId, range.tool, range.effect],
      ...[bounds.after, bounds.last, limit],
    ],
  )
}

/** What the record says of why it was decided so, by action. */
export interface RecordedWhy {
  readonly revision: string
  readonly reasons: readonly Reason[]
  readonly trace: Json
}

/** The reasons of these entries, and the traces of their actions. */
export async function recordedWhy(
  db: Db,
  rows: readonly Pick<RecordedDecision, 'seq' | 'id'>[],
): Promise<Map<string, RecordedWhy>> {
  if (rows.length === 0) return new Map()
  const found = await db.query<{ id: string; body: string; explain: string }>(
    `select a.id, e.body, a.explain from unnest($1::bigint[], $2::text[]) as q (seq, id)
     join audit_entries e on e.seq = q.seq join actions a on a.id = q.id`,
    [rows.map(({ seq }) => seq), textArray(rows.map(({ id }) => id))],
  )
  return new Map(
    found.map(({ id, body, explain }) => {
      type Entry = Pick<RecordedWhy, 'revision' | 'reasons'>
      const { revision, reasons } = JSON.parse(body) as Entry
      const { trace } = JSON.parse(explain) as { trace: Json }
      return [id, { revision, reasons, trace }]
    }),
  )
}
