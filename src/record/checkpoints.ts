import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { keyIdOf, parseCheckpoints, signCheckpoint, verifyCheckpoint } from '../lib/checkpoint.ts'
import type { Logger } from '../lib/log.ts'
import type { Archive, Checkpoint } from '../model/audit.ts'
import type { Db } from '../store/tx.ts'
import { readHead } from './audit.ts'
import { readArchives } from './retention.ts'

const INTERVAL_MS = 1_000
/** Without a new checkpoint outside the database for this long, or this many entries, effects stop. */
const UNSIGNED_MS_MAX = 60_000
const UNSIGNED_ENTRIES_MAX = 10_000n
const FILE_BYTES_MAX = 8 << 20

/** Where signed heads go besides the database, so that whoever owns the database cannot rewrite it. */
export type CheckpointSink = (checkpoint: Checkpoint) => Promise<void>

/**
 * Signs the head of the chain once a second while it grows, and keeps the result outside the database
 * too: a bare chain cannot show a cut-off tail or a rewrite from the start.
 */
export class Checkpointer {
  readonly publicKeyPem: string
  readonly keyId: string
  readonly #db: Db
  readonly #log: Logger
  readonly #file: string
  readonly #archiveFile: string
  readonly #keyFile: string
  readonly #sinks: readonly CheckpointSink[]
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #lastSize = 0n
  #unsignedSince: number | undefined
  #seenSize = 0n
  #rollback: string | null = null

  constructor(options: {
    db: Db
    dataDir: string
    log: Logger
    sinks: readonly CheckpointSink[]
  }) {
    this.#db = options.db
    this.#log = options.log
    this.#file = path.join(options.dataDir, 'checkpoints.jsonl')
    this.#archiveFile = path.join(options.dataDir, 'archives.jsonl')
    this.#keyFile = path.join(options.dataDir, 'audit-signing-key.pem')
    this.#sinks = options.sinks
    const publicKey = createPublicKey(loadOrCreateKey(this.#keyFile))
    this.publicKeyPem = publicKey.export({ type: 'spki', format: 'pem' }) as string
    this.keyId = keyIdOf(publicKey)
  }

  /** Compares the database with the last checkpoint kept outside it, before anything may run. */
  async start(): Promise<void> {
    await this.#db.query(
      'insert into audit_keys (key_id, public_key) values ($1, $2) on conflict do nothing',
      [this.keyId, this.publicKeyPem],
    )
    fs.writeFileSync(path.join(path.dirname(this.#file), 'audit-public-key.pem'), this.publicKeyPem)
    endTornLine(this.#file)
    this.#rollback = await this.#findRollback()
    if (this.#rollback)
      this.#log.fatal({ finding: this.#rollback }, 'the audit record was cut or replaced')
    this.#timer = setInterval(() => void this.checkpoint().catch(() => {}), INTERVAL_MS)
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.checkpoint().catch(() => {})
  }

  /** Why no effect may start, or null: a rolled-back record, or signing that failed for too long. */
  get refusal(): string | null {
    if (this.#rollback) return this.#rollback
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
    return [...readCheckpointFile(`${this.#file}.old`), ...readCheckpointFile(this.#file)]
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
    const privateKey = createPrivateKey(fs.readFileSync(this.#keyFile))
    const at = new Date().toISOString()
    const archive = signCheckpoint({ size, head, at }, privateKey, 'archive')
    appendDurably(this.#archiveFile, `${JSON.stringify({ ...archive, size: Number(size) })}\n`)
    return archive
  }

  async #sign(): Promise<void> {
    const { size, head } = await readHead(this.#db)
    this.grown(size)
    if (size === this.#lastSize) return
    // The key is read each time: taking it away stops the signing, as an operator would expect.
    const privateKey = createPrivateKey(fs.readFileSync(this.#keyFile))
    const checkpoint = signCheckpoint({ size, head, at: new Date().toISOString() }, privateKey)
    rotate(this.#file)
    appendDurably(this.#file, `${JSON.stringify({ ...checkpoint, size: Number(size) })}\n`)
    await Promise.all(this.#sinks.map((sink) => sink(checkpoint)))
    await this.#db.query(
      `insert into audit_checkpoints (size, head, at, key_id, signature)
       values ($1, $2, $3, $4, $5) on conflict do nothing`,
      [size, head, checkpoint.at, checkpoint.keyId, checkpoint.signature],
    )
    this.#lastSize = size
  }

  async #findRollback(): Promise<string | null> {
    const last = lastOf(this.keptOutside(), createPublicKey(this.publicKeyPem))
    if (!last) return null
    const { size } = await readHead(this.#db)
    this.#lastSize = last.size
    if (size < last.size) {
      const facts = `the record has ${size} entries, but a checkpoint of ${last.at} counted ${last.size}`
      return `${facts}; if this is another database on purpose, move ${this.#file} aside`
    }
    const [row] = await this.#db.query<{ hash: string }>(
      'select hash from audit_entries where seq = $1',
      [last.size],
    )
    const isArchived = !row && (await this.#isArchived(last.size))
    if (last.size > 0n && row?.hash !== last.head && !isArchived) {
      return `entry ${last.size} differs from the checkpoint of ${last.at}`
    }
    return null
  }

  async #isArchived(size: bigint): Promise<boolean> {
    const key = createPublicKey(this.publicKeyPem)
    const archives = await readArchives(this.#db)
    return archives.some(
      (one) =>
        one.size >= size && one.keyId === this.keyId && verifyCheckpoint(one, key, 'archive'),
    )
  }
}

/** Checkpoints in a file as `Checkpointer` writes it; a torn last line is passed over. */
export function readCheckpointFile(file: string): Checkpoint[] {
  if (!fs.existsSync(file)) return []
  return parseCheckpoints(fs.readFileSync(file, 'utf8'))
}

function lastOf(checkpoints: readonly Checkpoint[], key: KeyObject): Checkpoint | undefined {
  const own = checkpoints.filter((one) => one.keyId === keyIdOf(key) && verifyCheckpoint(one, key))
  return own.at(-1)
}

function loadOrCreateKey(file: string): KeyObject {
  if (!fs.existsSync(file)) {
    const { privateKey } = generateKeyPairSync('ed25519')
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' })
    fs.writeFileSync(file, pem, { mode: 0o600, flag: 'wx' })
  }
  return createPrivateKey(fs.readFileSync(file))
}

// A crash may have cut the last line off; the next one must not be glued to it.
function endTornLine(file: string): void {
  if (fs.existsSync(file) && !fs.readFileSync(file, 'utf8').endsWith('\n'))
    appendDurably(file, '\n')
}

// One line a second of activity. The file before is kept; what is older is covered by what is newer.
function rotate(file: string): void {
  const isLarge = fs.existsSync(file) && fs.statSync(file).size > FILE_BYTES_MAX
  if (isLarge) fs.renameSync(file, `${file}.old`)
}

function appendDurably(file: string, text: string): void {
  const fd = fs.openSync(file, 'a', 0o600)
  try {
    fs.writeSync(fd, text)
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
  }
}
