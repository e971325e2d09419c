import type { Logger } from '../lib/log.ts'
import type { AuditEntry } from '../model/audit.ts'
import type { Db } from '../store/tx.ts'
import { readEntriesAfter } from './audit.ts'

// Every replica delivers every entry, its own and those of others, in chain order and without a gap. Its own
// come straight from the commit; when one is missing in between, the record is read from the last delivered
// on. So a notice from a peer is only a hint how far to read, and may be lost or come twice.

const CATCH_UP_PAGE = 1_000

export type EventListener = (entry: AuditEntry) => void

/**
 * The live stream: audit entries in chain order, each exactly once per replica, whoever wrote them.
 * An event's id is its sequence number, so a reader that comes back resumes from the record itself.
 */
export class EventStream {
  readonly #db: Db
  readonly #log: Logger
  readonly #listeners = new Set<EventListener>()
  #seq = 0n
  #target = 0n
  #catchingUp: Promise<void> | undefined

  constructor(db: Db, log: Logger) {
    this.#db = db
    this.#log = log
  }

  async start(): Promise<void> {
    const [head] = await this.#db.query<{ audit_seq: bigint }>('select audit_seq from ledger_head')
    this.#seq = head?.audit_seq ?? 0n
  }

  /** Sequence number of the last event delivered. */
  get seq(): bigint {
    return this.#seq
  }

  get listenerCount(): number {
    return this.#listeners.size
  }

  subscribe(listener: EventListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Entries this replica just made durable. */
  publish(entries: readonly AuditEntry[]): void {
    const [first] = entries
    const last = entries.at(-1)
    if (!first || !last) return
    // Entries of another replica may lie in between; then the record tells what is missing.
    if (first.seq === this.#seq + 1n && !this.#catchingUp) for (const e of entries) this.#deliver(e)
    else this.advanceTo(last.seq).catch(() => {}) // the next batch, or the next beat, tries again
  }

  /** Another replica says the chain has grown to `seq`. */
  advanceTo(seq: bigint): Promise<void> {
    if (seq > this.#target) this.#target = seq
    if (this.#target <= this.#seq) return Promise.resolve()
    this.#catchingUp ??= this.#catchUp().finally(() => {
      this.#catchingUp = undefined
    })
    return this.#catchingUp
  }

  async #catchUp(): Promise<void> {
    while (this.#seq < this.#target) {
      const entries = await readEntriesAfter(this.#db, this.#seq, CATCH_UP_PAGE)
      if (entries.length === 0) return
      for (const entry of entries) this.#deliver(entry)
    }
  }

  // It is durable, and the others have to hear it: who closes the streams of a revoked key is one of them.
  #tell(listener: EventListener, entry: AuditEntry): void {
    try {
      listener(entry)
    } catch (error) {
      this.#log.error({ err: error, seq: Number(entry.seq) }, 'a listener of events failed')
    }
  }

  #deliver(entry: AuditEntry): void {
    this.#seq = entry.seq
    for (const listener of this.#listeners) this.#tell(listener, entry)
  }
}
