import type { Json, JsonObject } from '../model/json.ts'
import type { Db } from '../store/tx.ts'

// The record as the source of decision logs that are sent elsewhere. A cursor says how far the sink has accepted it; the
// replica that holds its lease moves it on, and only after an answer. So what is sent may be sent again, and nothing is left out.

const LEASE_S = 30

/** A decision of the record. */
export interface LoggedDecision {
  readonly seq: bigint
  readonly at: Date
  readonly kind: string
  readonly tool: string
  readonly effect: string
  /** The entry. */
  readonly body: JsonObject
  /** Of an action: as it was asked for, as far as that is on record. */
  readonly request: JsonObject | null
  /** The action was decided before, and a person approved it since. */
  readonly isAgain: boolean
}

interface DecisionRow extends Omit<LoggedDecision, 'body' | 'request'> {
  readonly body: string
  readonly request: string | null
}

/** Kinds that are decisions of this gate; those that others sent in are theirs to send. */
const KINDS = `e.kind in ('decision', 'decision.document')`

/**
 * The cursor, for the replica that may send: the one that holds the lease, or any where nobody does. Undefined: another sends.
 * The first time it stands at the head: what was decided before anybody listened is in the record.
 */
export async function takeDecisionLog(db: Db, holder: string): Promise<bigint | undefined> {
  await db.query(
    `insert into decision_log_cursor (seq) select audit_seq from ledger_head on conflict do nothing`,
  )
  const [row] = await db.query<{ seq: bigint }>(
    `update decision_log_cursor set holder = $1, lease_until = clock_timestamp() + interval '${LEASE_S} s'
     where holder = $1 or lease_until < clock_timestamp() returning seq`,
    [holder],
  )
  return row?.seq
}

/** Moves it on from where it was; false where the lease was lost: another one sends, perhaps the same again. */
export async function moveDecisionLog(
  db: Db,
  holder: string,
  from: bigint,
  to: bigint,
): Promise<boolean> {
  const rows = await db.query(
    `update decision_log_cursor set seq = $3, lease_until = clock_timestamp() + interval '${LEASE_S} s'
     where holder = $1 and seq = $2 and lease_until > clock_timestamp() returning seq`,
    [holder, from, to],
  )
  return rows.length > 0
}

/** Gives the lease back, so that nobody waits for it. */
export async function leaveDecisionLog(db: Db, holder: string): Promise<void> {
  await db.query(
    `update decision_log_cursor set holder = '', lease_until = to_timestamp(0) where holder = $1`,
    [holder],
  )
}

/** How many entries the record has that were not looked at. */
export async function decisionLogBehind(db: Db): Promise<number> {
  const [row] = await db.query<{ behind: bigint }>(
    'select h.audit_seq - c.seq as behind from ledger_head h, decision_log_cursor c',
  )
  return Number(row?.behind ?? 0)
}

/** Decisions of the next entries, in chain order, and how far was looked; `to` is `from` where there are no more. */
export async function nextDecisions(
  db: Db,
  from: bigint,
  limits: { readonly decisions: number; readonly entries: number },
): Promise<{ readonly decisions: readonly LoggedDecision[]; readonly to: bigint }> {
  const [head] = await db.query<{ seq: bigint }>('select audit_seq as seq from ledger_head')
  const end = minOf(head?.seq ?? from, from + BigInt(limits.entries))
  const rows = await db.query<DecisionRow>(
    `select e.seq, e.at, e.kind, e.tool, e.effect, e.body, a.request,
       e.action_id <> '' and exists (select 1 from audit_entries p
         where p.action_id = e.action_id and p.action_id <> '' and p.seq < e.seq and p.kind = 'decision') as "isAgain"
     from audit_entries e left join actions a on a.id = e.action_id and e.action_id <> ''
     where e.seq > $1 and e.seq <= $2 and ${KINDS} order by e.seq limit $3`,
    [from, end, limits.decisions],
  )
  const decisions = rows.map(({ body, request, ...row }) => ({
    ...row,
    body: JSON.parse(body) as JsonObject,
    request: request === null ? null : (JSON.parse(request) as JsonObject),
  }))
  const isFull = rows.length === limits.decisions
  return { decisions, to: isFull ? (rows.at(-1)?.seq ?? end) : end }
}

const minOf = (a: bigint, b: bigint): bigint => (a < b ? a : b)

/** A member of an entry that is a text. */
export const textIn = (body: JsonObject, name: string): string => {
  const value: Json | undefined = body[name]
  return typeof value === 'string' ? value : ''
}
