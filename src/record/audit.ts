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

/** Entries that match, newest first. */
export async function readTimeline(db: Db, filter: TimelineFilter): Promise<AuditEntry[]> {
  const rows = await db.query<EntryRow>(
    `select ${COLUMNS} from audit_entries
     where ($1::text is null or agent_id = $1) and ($2::text is null or tool = $2)
       and ($3::text is null or effect = $3) and ($4::text is null or kind = $4)
       and ($5::text is null or action_id = $5)
       and ($6::timestamptz is null or at >= $6) and ($7::timestamptz is null or at < $7)
       and ($8::bigint is null or seq < $8)
     order by seq desc limit $9`,
    [
      filter.agentId,
      filter.tool,
      filter.effect,
      filter.kind,
      filter.actionId,
      filter.since,
      filter.until,
      filter.before,
      filter.limit,
    ],
  )
  return rows.map(fromRow)
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

export async function readAuditKeys(db: Db): Promise<{ key_id: string; public_key: string }[]> {
  return db.query('select key_id, public_key from audit_keys order by first_seen, key_id')
}

function fromRow(row: EntryRow): AuditEntry {
  return { ...row, at: row.at.toISOString() }
}
