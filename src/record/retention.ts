import type { Archive } from '../model/audit.ts'
import type { Db, Tx } from '../store/tx.ts'

// The entries are partitioned by week, so that dropping old ones is dropping a table: no row of the record
// is ever deleted, and the trigger that forbids it stays. Only the oldest week may go, and only when nobody
// reads it, since a lock that is waited for would hold up the ledger.

const DAY_MS = 86_400_000
const WEEK_MS = 7 * DAY_MS
/** 1970-01-05, the first Monday there is. */
const FIRST_MONDAY_MS = 4 * DAY_MS
const WEEKS_AHEAD = 3
const LOCK_TIMEOUT_MS = 200
const LOCK_NOT_AVAILABLE = '55P03'

/** A table of the record: a week, or everything before it was cut into weeks. */
export interface Partition {
  readonly table: string
  readonly fromMs: number
  readonly toMs: number
}

/** The week that holds a time, Monday to Monday in UTC. */
export function weekOf(ms: number): Partition {
  const fromMs = ms - ((((ms - FIRST_MONDAY_MS) % WEEK_MS) + WEEK_MS) % WEEK_MS)
  const day = new Date(fromMs).toISOString().slice(0, 10).replaceAll('-', '')
  return { table: `audit_entries_${day}`, fromMs, toMs: fromMs + WEEK_MS }
}

/** Makes the tables of this week and the next ones, so that recording never waits for one. */
export async function prepareWeeks(db: Db, nowMs: number): Promise<void> {
  await adoptRest(db)
  const existing = await partitions(db)
  for (let week = 0; week <= WEEKS_AHEAD; week++) {
    const wanted = weekOf(nowMs + week * WEEK_MS)
    const isCovered = existing.some(
      ({ fromMs, toMs }) => fromMs <= wanted.fromMs && toMs >= wanted.toMs,
    )
    if (!isCovered) await createPartition(db, wanted)
  }
}

// What was recorded while no week was made for it, such as by hand after a month of standing still: a week cannot be made
// beside a row of its own in the table for the rest. So that table becomes the one of its weeks, and there is a new one.
async function adoptRest(db: Db): Promise<void> {
  const [rest] = await db.query<{ first: Date | null; last: Date | null }>(
    'select min(at) as first, max(at) as last from audit_entries_rest',
  )
  if (!rest?.first || !rest.last) return
  const { table, fromMs } = weekOf(rest.first.getTime())
  const { toMs } = weekOf(rest.last.getTime())
  await db.query('alter table audit_entries detach partition audit_entries_rest')
  await db.query(`alter table audit_entries_rest rename to ${table}`)
  await db.query(
    `alter table audit_entries attach partition ${table} ${boundsOf({ fromMs, toMs })}`,
  )
  await db.query('create table audit_entries_rest partition of audit_entries default')
  await refuseTruncate(db, 'audit_entries_rest')
}

const boundsOf = ({ fromMs, toMs }: Omit<Partition, 'table'>): string =>
  `for values from ('${new Date(fromMs).toISOString()}') to ('${new Date(toMs).toISOString()}')`

export async function createPartition(db: Db, { table, ...bounds }: Partition): Promise<void> {
  await db.query(
    `create table if not exists ${table} partition of audit_entries ${boundsOf(bounds)}`,
  )
  await refuseTruncate(db, table)
}

async function refuseTruncate(db: Db, table: string): Promise<void> {
  await db.query(
    `create or replace trigger no_truncate before truncate on ${table}
     for each statement execute function refuse_truncate()`,
  )
}

/** The tables of the record but the one for the rest, oldest first. */
export async function partitions(db: Db): Promise<Partition[]> {
  const rows = await db.query<{ name: string; bounds: string }>(
    `select c.relname as name, pg_get_expr(c.relpartbound, c.oid) as bounds
     from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = 'audit_entries'::regclass`,
  )
  return rows
    .flatMap(({ name, bounds }) => {
      const [, from, to] = BOUNDS.exec(bounds) ?? []
      if (!from || !to) return []
      const fromMs = from === 'MINVALUE' ? Number.NEGATIVE_INFINITY : Date.parse(unquoted(from))
      return [{ table: name, fromMs, toMs: Date.parse(unquoted(to)) }]
    })
    .sort((a, b) => a.fromMs - b.fromMs)
}

const BOUNDS = /FROM \((MINVALUE|'[^']+')\) TO \(('[^']+')\)/

// `2026-11-23 00:00:00+00`, in whatever zone the session prints: a form Date reads.
const unquoted = (text: string): string =>
  text
    .slice(1, -1)
    .replace(' ', 'T')
    .replace(/([+-]\d\d)$/, '$1:00')

/**
 * The oldest week, once it ended `days` ago or earlier, and the last entry in it, if it has any. A
 * week that is not the beginning of the record is never due: dropping it would tear a hole.
 */
export async function dueWeek(
  db: Db,
  nowMs: number,
  days: number,
): Promise<{ partition: Partition; last: { seq: bigint; hash: string } | null } | undefined> {
  const [partition] = await partitions(db)
  if (!partition || partition.toMs > nowMs - days * DAY_MS) return undefined
  const [last] = await db.query<{ seq: bigint; hash: string }>(
    `select seq, hash from ${partition.table} order by seq desc limit 1`,
  )
  if (!last) return { partition, last: null }
  const [older] = await db.query(
    `select 1 from audit_entries where seq < (select min(seq) from ${partition.table}) limit 1`,
  )
  if (older || (await isStillSent(db, last.seq))) return undefined
  return { partition, last }
}

// What a sink of decision logs has not had yet stays until it has, for as long as some replica sends.
async function isStillSent(db: Db, lastSeq: bigint): Promise<boolean> {
  const [behind] = await db.query(
    `select 1 from decision_log_cursor
     where seq < $1 and lease_until > clock_timestamp() - interval '1 hour'`,
    [lastSeq],
  )
  return behind !== undefined
}

/** Drops a week; false when a reader is in the way, since nothing may start while this waits. */
export async function dropWeek(tx: Tx, { table }: Partition): Promise<boolean> {
  await tx.query('savepoint week')
  await tx.query(`set local lock_timeout = ${LOCK_TIMEOUT_MS}`)
  try {
    await tx.query(`drop table ${table}`)
  } catch (error) {
    if ((error as { code?: string }).code !== LOCK_NOT_AVAILABLE) throw error
    await tx.query('rollback to savepoint week')
    return false
  }
  await tx.query('set local lock_timeout = 0')
  await tx.query('release savepoint week')
  return true
}

export async function insertArchive(tx: Tx, archive: Archive): Promise<void> {
  await tx.query(
    `insert into audit_archives (size, head, at, key_id, signature) values ($1, $2, $3, $4, $5)
     on conflict (size) do nothing`,
    [archive.size, archive.head, archive.at, archive.keyId, archive.signature],
  )
}

export async function readArchives(db: Db): Promise<Archive[]> {
  return db.query<Archive>(
    `select size, head, at, key_id as "keyId", signature from audit_archives order by size`,
  )
}
