import type { Db } from './tx.ts'

// A database that is restored from a backup, failed over to a lagging standby or rolled back by somebody
// forgets actions that ran: under their idempotency keys they would run again, and a signature on the
// shorter head would bless it. So the largest head this process ever saw is a floor. Each ledger batch,
// each renewal of the lease and each signature holds the head of the moment against it: a head below the
// floor, or one that does not descend from it, closes the gate for good, until somebody explains the loss.

/** A head of the chain, and the hash that the entry at the floor has there (null: there is none). */
export interface SeenHead {
  readonly seq: bigint
  readonly hash: string
  readonly hashAtFloor: string | null
}

/** The place in the chain below which the record may never fall. */
export interface Floor {
  readonly seq: bigint
  readonly hash: string
}

export class HeadFloor {
  readonly #onBroken: (finding: string) => void
  #floor: Floor = { seq: 0n, hash: '' }
  #finding: string | null = null
  #sealed: string | null = null
  #brokenAt = new Date(0)

  /** `onBroken` is called with what was found, once. */
  constructor(onBroken: (finding: string) => void = () => {}) {
    this.#onBroken = onBroken
  }

  /** Taken before a head is read: what was durable then must still be there. */
  get current(): Floor {
    return this.#floor
  }

  /** Why nothing may run any more, or null. */
  get finding(): string | null {
    return this.#finding
  }

  /** What is wrong with the record, by either, and since when this process knows; null: nothing. */
  get broken(): { readonly finding: string; readonly at: Date } | null {
    const finding = this.#finding ?? this.#sealed
    return finding === null ? null : { finding, at: this.#brokenAt }
  }

  /** A head that is known to be durable. */
  raise(seq: bigint, hash: string): void {
    if (seq > this.#floor.seq) this.#floor = { seq, hash }
  }

  /** Why nothing is appended, or null: what was kept of the record is not in the database. */
  get sealed(): string | null {
    return this.#sealed
  }

  /** What is appended to a record that lost its end would be another past beside the one that was signed. */
  seal(finding: string | null): void {
    this.#sealed = finding
    if (finding !== null) this.#tell(finding)
  }

  /** Holds a head against the floor as it was before the head was read; true when it descends from it. */
  accepts(floor: Floor, head: SeenHead): boolean {
    if (floor.seq === 0n) this.raise(head.seq, head.hash)
    else if (head.seq < floor.seq) this.#break(`${head.seq} entries, where there were ${floor.seq}`)
    else if (this.#hashAt(floor, head) !== floor.hash) this.#break(`another entry ${floor.seq}`)
    else this.raise(head.seq, head.hash)
    return this.#finding === null
  }

  /** The epoch of the kill switch went down, which it never does in one history. */
  epochFell(from: bigint, to: bigint): void {
    this.#break(`epoch ${to} of the kill switch, where it was ${from}`)
  }

  #hashAt(floor: Floor, head: SeenHead): string {
    // An entry that was archived on purpose is not there any more, and what follows is signed.
    return head.seq === floor.seq ? head.hash : (head.hashAtFloor ?? floor.hash)
  }

  #tell(finding: string): void {
    this.#brokenAt = new Date()
    this.#onBroken(finding)
  }

  #break(what: string): void {
    if (this.#finding !== null) return
    this.#finding = `the record in the database was rolled back or replaced: it has ${what}`
    this.#tell(this.#finding)
  }
}

/** The head of the chain as it is now, with the hash at the floor. */
export async function readHeadOver(db: Db, floor: Floor): Promise<SeenHead> {
  const [row] = await db.query<SeenHead>(
    `select audit_seq as seq, audit_hash as hash,
       (select e.hash from audit_entries e where e.seq = $1) as "hashAtFloor"
     from ledger_head`,
    [floor.seq],
  )
  if (!row) throw new Error('the ledger head is missing')
  return row
}
