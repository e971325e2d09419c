import path from 'node:path'
import { createPublicKey, type KeyObject } from 'node:crypto'
import { keyIdOf, signCheckpoint, verifyCheckpoint } from '../lib/checkpoint.ts'
import type { Logger } from '../lib/log.ts'
import { isLost, LOSS_KIND, lossDetail, lossOf, signLoss, verifyLoss } from '../lib/loss.ts'
import type { Archive, AuditDraft, AuditEntry, Checkpoint, Loss } from '../model/audit.ts'
import { readHeadOver, type HeadFloor } from '../store/head-floor.ts'
import type { Db, Tx } from '../store/tx.ts'
import { readAuditKeys, readHead } from './audit.ts'
import {
  appendCheckpoint,
  appendDurably,
  endTornLine,
  readCheckpointFiles,
} from './checkpoint-file.ts'
import { readArchives } from './retention.ts'
import { KEY_LOST, SigningKey, toPem } from './signing-key.ts'

// The hash chain shows that something was changed only to who knows its head. So the head is signed with a
// key that is not in the database, and kept in a file that is not either, about a second old at most. At the
// start the database is compared with the largest one kept: if the chain does not descend from it, no effect
// starts any more. The same when signing fails for too long, since a tail that nobody signed could be cut
// unseen.

const INTERVAL_MS = 1_000
/** Without a new checkpoint outside the database for this long, or this many entries, effects stop. */
const UNSIGNED_MS_MAX = 60_000
const UNSIGNED_ENTRIES_MAX = 10_000n

/** Where signed heads go besides the database, so that whoever owns the database cannot rewrite it. */
export type CheckpointSink = (checkpoint: Checkpoint) => Promise<void>

/**
 * Signs the head of the chain once a second while it grows, and keeps the result outside the database
 * too: a bare chain cannot show a cut-off tail or a rewrite from the start. A head that does not descend
 * from the largest one known is never signed.
 */
export class Checkpointer {
  readonly #db: Db
  readonly #log: Logger
  readonly #floor: HeadFloor
  readonly #key: SigningKey
  readonly #file: string
  readonly #archiveFile: string
  readonly #sinks: readonly CheckpointSink[]
  readonly #othersAlive: () => Promise<boolean>
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #lastSize = 0n
  #unsignedSince: number | undefined
  #seenSize = 0n
  #rollback: string | null = null
  #largest: Checkpoint | undefined

  constructor(options: {
    db: Db
    dataDir: string
    log: Logger
    floor: HeadFloor
    sinks: readonly CheckpointSink[]
    /** Whether another replica is running on the same database: then a key of one's own is no loss. */
    othersAlive: () => Promise<boolean>
  }) {
    this.#db = options.db
    this.#log = options.log
    this.#floor = options.floor
    this.#key = new SigningKey(options.dataDir)
    this.#file = path.join(options.dataDir, 'checkpoints.jsonl')
    this.#archiveFile = path.join(options.dataDir, 'archives.jsonl')
    this.#sinks = options.sinks
    this.#othersAlive = options.othersAlive
  }

  /** The public keys of this gate as PEM, the present one first. */
  get publicKeyPem(): string {
    return this.#key.publicPem
  }

  /**
   * Compares the database with the largest checkpoint kept outside it, before anything may run.
   * @throws Error with code `AUDIT_KEY_LOST` when the key that signed this record is not here
   */
  async start(): Promise<void> {
    await this.open()
    this.#timer = setInterval(() => void this.checkpoint().catch(() => {}), INTERVAL_MS)
  }

  /** What `start` does, without signing by itself from then on. */
  async open(): Promise<void> {
    await this.#assertKey()
    await this.#register()
    endTornLine(this.#file)
    this.#rollback = await this.#findRollback()
    this.#floor.seal(this.#rollback)
    if (this.#rollback === null && this.#largest) {
      this.#floor.raise(this.#largest.size, this.#largest.head)
    }
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.checkpoint().catch(() => {})
  }

  /** Why no effect may start, or null: a rolled-back record, or signing that failed for too long. */
  get refusal(): string | null {
    if (this.#rollback) return this.#rollback
    if (this.#floor.finding) return this.#floor.finding
    const unsigned = this.#seenSize - this.#lastSize
    const tooLong =
      this.#unsignedSince !== undefined && performance.now() - this.#unsignedSince > UNSIGNED_MS_MAX
    if (unsigned > UNSIGNED_ENTRIES_MAX || tooLong) {
      return 'checkpoints of the audit record cannot be signed or kept'
    }
    return null
  }

  get isDegraded(): boolean {
    return this.#unsignedSince !== undefined
  }

  /** The checkpoints in the file, which whoever owns the database cannot change. */
  keptOutside(): readonly Checkpoint[] {
    return readCheckpointFiles(this.#file)
  }

  /** Tells how far the chain has grown, so that an overdue signature is noticed without a query. */
  grown(size: bigint): void {
    if (size > this.#seenSize) this.#seenSize = size
  }

  /** Signs the present head, if it moved. */
  async checkpoint(): Promise<void> {
    this.#running ??= this.#sign()
      .then(() => {
        this.#unsignedSince = undefined
      })
      .catch((error: unknown) => {
        this.#unsignedSince ??= performance.now()
        this.#log.error({ err: error }, 'checkpoint not kept')
        throw error
      })
      .finally(() => {
        this.#running = undefined
      })
    return this.#running
  }

  /**
   * Signs that the entries up to `size` are dropped for their age, and keeps the statement outside the
   * database before anybody may act on it.
   */
  archive(size: bigint, head: string): Archive {
    const at = new Date().toISOString()
    const archive = signCheckpoint({ size, head, at }, this.#key.private, 'archive')
    appendDurably(this.#archiveFile, `${JSON.stringify({ ...archive, size: Number(size) })}\n`)
    return archive
  }

  /** The record was rolled back behind the largest checkpoint; undefined: it was not. */
  get rolledBackBehind(): Checkpoint | undefined {
    return this.#rollback ? this.#largest : undefined
  }

  /**
   * The loss that another gate on this database accepted, where it explains why `lost` is gone: by a key that the record
   * knows, which only a person may believe.
   */
  async acceptedElsewhere(lost: Checkpoint): Promise<Loss | undefined> {
    const keys = await this.#allKeys()
    const rows = await this.#lossRows()
    return rows
      .flatMap((row) => {
        const loss = lossOf(row)
        const isInPlace = loss?.size === row.seq - 1n && loss.head === row.prevHash
        const key = loss && keys.get(loss.keyId)
        return loss && isInPlace && key && verifyLoss(loss, key) ? [loss] : []
      })
      .findLast(({ size, at }) => size < lost.size && lost.at <= at)
  }

  /**
   * The entry that puts on record, signed, that the entries between `left` and `lost` are gone and why. What another gate
   * accepted is accepted as of its moment: what was signed since then is not gone.
   */
  acceptLoss(
    lost: Checkpoint,
    left: { size: bigint; head: string; at?: string },
    reason: string,
  ): AuditDraft {
    const { size, head, at = new Date().toISOString() } = left
    const loss = signLoss(
      { lostSize: lost.size, lostHead: lost.head, size, head, at, reason },
      this.#key.private,
    )
    this.#rollback = null
    this.#floor.seal(null)
    this.#lastSize = 0n
    return { ...NOBODY, kind: LOSS_KIND, detail: lossDetail(loss) }
  }

  /** Makes a new key, and answers the entry that puts on record that the one before is gone and why. */
  async replaceKey(tx: Tx, reason: string): Promise<void> {
    const before = this.keptOutside().at(-1)?.keyId ?? (await readAuditKeys(tx)).at(-1)?.keyId
    this.#key.create()
    await this.#register(tx)
    const detail = { old_key_id: before ?? null, new_key_id: this.#key.id, reason }
    tx.append({ ...NOBODY, kind: 'audit.key_replaced', detail })
  }

  async #assertKey(): Promise<void> {
    const outside = this.keptOutside()
    if (this.#key.exists && outside.some(({ keyId }) => keyId === this.#key.id)) return
    const known = await readAuditKeys(this.#db)
    if (this.#key.exists && known.some(({ keyId }) => keyId === this.#key.id)) return
    const isNewReplica = outside.length === 0 && (known.length === 0 || (await this.#othersAlive()))
    if (!isNewReplica) {
      const message =
        'the key that signed this audit record is not in the data directory; restore audit-signing-key.pem, or say why it is gone: portcullis audit new-key --reason "..."'
      throw Object.assign(new Error(message), { code: KEY_LOST })
    }
    if (!this.#key.exists) this.#key.create()
  }

  async #register(db: Db = this.#db): Promise<void> {
    await db.query(
      'insert into audit_keys (key_id, public_key) values ($1, $2) on conflict do nothing',
      [this.#key.id, toPem(this.#key.public)],
    )
    this.#key.publish()
  }

  async #sign(): Promise<void> {
    const floor = this.#floor.current
    const seen = await readHeadOver(this.#db, floor)
    if (this.#rollback || !this.#floor.accepts(floor, seen)) {
      throw new Error(this.#rollback ?? this.#floor.finding ?? '')
    }
    const { seq: size, hash: head } = seen
    this.grown(size)
    if (size === this.#lastSize) return
    const at = new Date().toISOString()
    const checkpoint = signCheckpoint({ size, head, at }, this.#key.private)
    appendCheckpoint(this.#file, checkpoint)
    await Promise.all(this.#sinks.map((sink) => sink(checkpoint)))
    await this.#db.query(
      `insert into audit_checkpoints (size, head, at, key_id, signature)
       values ($1, $2, $3, $4, $5) on conflict do nothing`,
      [size, head, checkpoint.at, checkpoint.keyId, checkpoint.signature],
    )
    this.#lastSize = size
  }

  async #findRollback(): Promise<string | null> {
    const keys = await this.#allKeys()
    const losses = await this.#losses(keys)
    const kept = this.keptOutside().filter((one) => {
      const key = keys.get(one.keyId)
      return key !== undefined && verifyCheckpoint(one, key) && !isLost(one, losses)
    })
    const last = kept.reduce<Checkpoint | undefined>(
      (best, one) => (best && best.size >= one.size ? best : one),
      undefined,
    )
    this.#largest = last
    if (!last) return null
    const { size } = await readHead(this.#db)
    this.#lastSize = last.size
    if (size < last.size) {
      const facts = `the record has ${size} entries, but a checkpoint of ${last.at} counted ${last.size}`
      return `${facts}; if a backup was restored: portcullis audit accept-loss --reason "..."`
    }
    const [row] = await this.#db.query<{ hash: string }>(
      'select hash from audit_entries where seq = $1',
      [last.size],
    )
    const isArchived = !row && (await this.#isArchived(last.size, keys))
    if (last.size > 0n && row?.hash !== last.head && !isArchived) {
      return `entry ${last.size} differs from the checkpoint of ${last.at}`
    }
    return null
  }

  // The keys of this directory count whatever the database says of them.
  async #allKeys(): Promise<ReadonlyMap<string, KeyObject>> {
    const stored = (await readAuditKeys(this.#db)).map((row) => createPublicKey(row.publicKey))
    return new Map([...stored, ...this.#key.known].map((key) => [keyIdOf(key), key]))
  }

  // Believed only by a key of this directory: whoever writes the database could add keys there.
  async #losses(keys: ReadonlyMap<string, KeyObject>): Promise<Loss[]> {
    const rows = await this.#lossRows()
    const own = new Set(this.#key.known.map(keyIdOf))
    return rows.flatMap((row) => {
      const loss = lossOf(row)
      const key = loss && own.has(loss.keyId) ? keys.get(loss.keyId) : undefined
      return loss && key && verifyLoss(loss, key) ? [loss] : []
    })
  }

  #lossRows() {
    return this.#db.query<Pick<AuditEntry, 'seq' | 'kind' | 'body' | 'prevHash'>>(
      `select seq, kind, body, prev_hash as "prevHash" from audit_entries where kind = $1 order by seq`,
      [LOSS_KIND],
    )
  }

  async #isArchived(size: bigint, keys: ReadonlyMap<string, KeyObject>): Promise<boolean> {
    const archives = await readArchives(this.#db)
    return archives.some((one) => {
      const key = keys.get(one.keyId)
      return one.size >= size && key !== undefined && verifyCheckpoint(one, key, 'archive')
    })
  }
}

const NOBODY = { agentId: '', tool: '', effect: '', actionId: '' } as const
