import type { AuditEntry, Checkpoint } from '../model/audit.ts'
import type { Db } from '../store/tx.ts'

export interface TimelineFilter {
  readonly agentId: string | null
  readonly tool: string | null
  /** `allow`, `deny` or `require_approval`. */
  readonly effect: string | null
  readonly kind: string | null
  readonly actionId: string | null
  readonly since: Date | null
  readonly until: Date | null
  /** Only entries before this sequence number. */
  readonly before: bigint | null
  readonly limit: number
}

type EntryRow = Omit<AuditEntry, 'at'> & { readonly at: Date }

const COLUMNS = `seq, at, kind, agent_id as "agentId", tool, effect, action_id as "actionId", body,
  prev_hash as "prevHash", hash`

/** Entries after a sequence number, in chain order. */
export async function readEntriesAfter(db: Db, seq: bigint, limit: number): Promise<AuditEntry[]> {
  const rows = await db.query<EntryRow>(
    `select ${COLUMNS} from audit_entries where seq > $1 order by seq limit $2`,
    [seq, limit],
  )
  return rows.map(fromRow)
}

/** One entry by its number. */
export async function readEntry(db: Db, seq: bigint): Promise<AuditEntry | undefined> {
  const rows = await db.query<EntryRow>(
    `select ${COLUMNS} from audit_entries where seq = $1 limit 1`,
    [seq],
  )
  return rows.map(fromRow)[0]
}

/** Signed heads, newest first. */
export async function listCheckpoints(
  db: Db,
  before: bigint | null,
  limit: number,
): Promise<Checkpoint[]> {
  return db.query<Checkpoint>(
    `select size, head, at, key_id as "keyId", signature from audit_checkpoints
     where ($1::bigint is null or size < $1) order by size desc, key_id limit $2`,
    [before, limit],
  )
}

/** Entries that match, newest first. */
export async function readTimeline(db: Db, filter: TimelineFilter): Promise<AuditEntry[]> {
  const { where, values } = conditionsOf(filter)
  const rows = await db.query<EntryRow>(
    `select ${COLUMNS} from audit_entries where ${where.join(' and ')} order by seq desc limit $1`,
    values,
  )
  return rows.map(fromRow)
}

// Indexes leave out what nearly all entries have; a statement finds one only where it says so itself.
const RARE_EFFECTS = new Set(['deny', 'require_approval'])
const COMMON_KINDS = new Set(['decision', 'outcome'])

function conditionsOf(filter: TimelineFilter): { where: string[]; values: unknown[] } {
  const [where, values] = [['true'], [filter.limit] as unknown[]]
  const add = (condition: string, value: unknown) => {
    if (value === null) return
    values.push(value)
    where.push(`${condition} $${values.length}`)
  }
  add('agent_id =', filter.agentId)
  add('tool =', filter.tool)
  add('effect =', filter.effect)
  add('kind =', filter.kind)
  add('action_id =', filter.actionId)
  add('at >=', filter.since)
  add('at <', filter.until)
  add('seq <', filter.before)
  if (filter.effect !== null && RARE_EFFECTS.has(filter.effect)) {
    where.push(`effect in ('deny', 'require_approval')`)
  }
  if (filter.kind !== null && !COMMON_KINDS.has(filter.kind)) {
    where.push(`kind not in ('decision', 'outcome')`)
  }
  if (filter.actionId) where.push(`action_id <> ''`)
  return { where, values }
}

export async function readHead(db: Db): Promise<{ readonly size: bigint; readonly head: string }> {
  const [row] = await db.query<{ size: bigint; head: string }>(
    'select audit_seq as size, audit_hash as head from ledger_head',
  )
  if (!row) throw new Error('the ledger head is missing')
  return row
}

export async function readCheckpoints(db: Db, fromSize: bigint): Promise<Checkpoint[]> {
  return db.query<Checkpoint>(
    `select size, head, at, key_id as "keyId", signature from audit_checkpoints
     where size >= $1 order by size, key_id`,
    [fromSize],
  )
}

export async function latestCheckpoint(db: Db): Promise<Checkpoint | undefined> {
  const [row] = await db.query<Checkpoint>(
    `select size, head, at, key_id as "keyId", signature from audit_checkpoints
     order by size desc, at desc limit 1`,
  )
  return row
}

/** A key that the record was or is signed with. */
export interface AuditKey {
  readonly keyId: string
  /** PEM. */
  readonly publicKey: string
}

/** Oldest first. */
export async function readAuditKeys(db: Db): Promise<AuditKey[]> {
  return db.query(
    `select key_id as "keyId", public_key as "publicKey" from audit_keys
     order by first_seen, key_id`,
  )
}

function fromRow(row: EntryRow): AuditEntry {
  return { ...row, at: row.at.toISOString() }
}
