import { GatewayError } from '../errors.ts'
import path from 'node:path'
import { type Bytes, SentFiles, Spool } from '../lib/spool.ts'
import { KeptResults } from './kept-results.ts'
import type { Db, Tx } from '../store/tx.ts'

// Files of held actions are in the database, where every replica finds them and a backup has them. They are written
// before the action is held, outside the ledger, whose batches they would keep waiting; what belongs to no action that
// may still run is swept. So they are bounded: one action's, and all of them together.

/** Of one held action. */
export const HELD_BYTES_MAX = 64 * 2 ** 20
/** Of all held actions together. */
const TOTAL_BYTES_MAX = 2 ** 30
const PIECE_BYTES = 512 * 1024
/** One that was written for an action that is not there yet. */
const UNCLAIMED_S = 600

interface Piece {
  readonly sha256: string
  readonly piece: number
  readonly data: Buffer
}

export class HeldFiles {
  readonly #db: Db
  /** Where bytes are on their way in and out. */
  readonly spool: Spool
  /** Answers that are too large to be answered at once. */
  readonly results = new KeptResults()

  constructor(db: Db, dataDir: string) {
    this.#db = db
    this.spool = new Spool(path.join(dataDir, 'spool'))
  }

  start(): Promise<void> {
    return this.spool.start()
  }

  stop(): Promise<void> {
    return this.spool.stop()
  }

  /** @throws GatewayError `payload_too_large`, `store_unavailable` */
  async keep(actionId: string, files: readonly Bytes[]): Promise<void> {
    const bytes = files.reduce((sum, one) => sum + one.bytes, 0)
    if (bytes > HELD_BYTES_MAX) {
      const message = `what a person must approve may carry at most ${HELD_BYTES_MAX} bytes of files`
      throw new GatewayError('payload_too_large', message)
    }
    const [row] = await this.#db.query<{ n: string | number | bigint }>(
      'select coalesce(sum(bytes), 0) as n from held_files',
    )
    if (Number(row?.n ?? 0) + bytes > TOTAL_BYTES_MAX) {
      const message = 'too many files wait for people to approve them'
      throw new GatewayError('store_unavailable', message, { retryAfterS: 60 })
    }
    for (const file of files) await this.#keepOne(actionId, file)
  }

  async #keepOne(actionId: string, file: Bytes): Promise<void> {
    let piece = 0
    const insert = (data: Buffer) =>
      this.#db.query(
        'insert into held_files (action_id, sha256, piece, bytes, data) values ($1, $2, $3, $4, $5)',
        [actionId, file.sha256, piece++, data.length, data],
      )
    let rest: Buffer[] = []
    let size = 0
    for await (const chunk of file.read()) {
      for (let at = 0; at < chunk.length; ) {
        const part = chunk.subarray(at, at + PIECE_BYTES - size)
        rest.push(part)
        size += part.length
        at += part.length
        if (size < PIECE_BYTES) continue
        await insert(Buffer.concat(rest))
        ;[rest, size] = [[], 0]
      }
    }
    if (size > 0 || piece === 0) await insert(Buffer.concat(rest))
  }

  async forget(actionId: string): Promise<void> {
    await this.#db.query('delete from held_files where action_id = $1', [actionId])
  }

  /** The files of an action, in the spool; those that are not what they were are not among them. */
  async load(actionId: string): Promise<SentFiles> {
    const rows = await this.#db.query<{ sha256: string }>(
      'select distinct sha256 from held_files where action_id = $1',
      [actionId],
    )
    const files = new SentFiles()
    for (const { sha256 } of rows) {
      const writer = this.spool.writer()
      try {
        for await (const data of this.read(actionId, sha256)) await writer.write(data)
        const bytes = await writer.end()
        if (bytes.sha256 === sha256) files.add(bytes)
        else bytes.discard()
      } catch (error) {
        writer.abort()
        files.discard()
        throw error
      }
    }
    return files
  }

  /** The bytes of one file, piece by piece. */
  async *read(actionId: string, sha256: string): AsyncIterable<Buffer> {
    for (let piece = 0; ; piece++) {
      const [row] = await this.#db.query<Piece>(
        'select data from held_files where action_id = $1 and sha256 = $2 and piece = $3',
        [actionId, sha256, piece],
      )
      if (!row) return
      yield Buffer.from(row.data)
    }
  }
}

/** Takes away files of actions that will not run any more. */
export function wipeHeldFiles(tx: Tx, actionIds: readonly string[]): void {
  if (actionIds.length === 0) return
  tx.send('delete from held_files where action_id = any($1)', [actionIds])
}

/** Takes away what belongs to no action that may still run. */
export async function sweepHeldFiles(db: Db): Promise<void> {
  await db.query(
    `delete from held_files f where f.at < clock_timestamp() - make_interval(secs => ${UNCLAIMED_S})
       and not exists (select 1 from actions a where a.id = f.action_id and a.state in ('held', 'executing'))`,
  )
}
