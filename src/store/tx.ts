import type { AuditDraft } from '../model/audit.ts'
import type { JsonObject } from '../model/json.ts'

/** An engaged kill switch: empty strings stand for everything. */
export interface EngagedSwitch {
  readonly agent: string
  readonly tool: string
  readonly upstream: string
  readonly reason: string
  readonly actor: string
  readonly epoch: bigint
  readonly engagedAt: Date
}

/** Statements outside the ledger: reads, leases, and rows no guarantee rests on. */
export interface Db {
  query<Row>(text: string, values?: readonly unknown[]): Promise<Row[]>
}

/** Work for a queue, which exists exactly when the batch that made it needed does. */
export interface Job {
  readonly queue: string
  readonly data: JsonObject
  /** Not before this time, ms since the epoch. */
  readonly startAfterMs?: number
  /** An entry of the same batch that the job carries, as it is recorded, in `data.entry`. */
  readonly entry?: AuditDraft
  /** Whom it tells: nobody who is not configured is told, and then there is no job. */
  readonly notice?: 'approvals' | 'alerts'
}

/** Where the jobs of a batch go, inside its transaction. */
export interface JobSink {
  put(tx: Tx, job: Job): Promise<void>
}

/**
 * One ledger batch, inside its transaction. Batches of all replicas run one after another, so
 * what is read here is still true when it is written.
 */
export interface Tx extends Db {
  /** Ledger time in ms since the epoch: the database clock, never running backwards. */
  readonly nowMs: number
  /** The engaged switches, those that this batch engaged included. */
  readonly switches: readonly EngagedSwitch[]
  readonly killEpoch: bigint
  /** Adds an audit entry to this batch. It is durable when the batch is. */
  append(draft: AuditDraft): void
  /** Adds a job to this batch. */
  enqueue(job: Job): void
  /** Says which switches are engaged now, so that what this batch claims is held against them. */
  changeKillSwitches(rows: readonly EngagedSwitch[]): void
  /** Makes every replica look at the kill switch again; returns the new epoch. */
  raiseKillEpoch(): bigint
  /** Runs once the batch is durable. */
  afterCommit(action: () => void): void
  /** Sends a statement whose rows nobody needs. It is answered, and what it says is looked at, with the commit. */
  send(text: string, values: readonly unknown[]): void
}

/** What was sent ahead and may fail before anybody waits for it: the batch fails then, and says why. */
export function ahead<T>(sent: Promise<T>): Promise<T> {
  sent.catch(() => {})
  return sent
}

/** Asks for nothing. @throws where nobody answers */
export async function ping(db: Db): Promise<void> {
  await db.query('select 1')
}
