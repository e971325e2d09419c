import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import { GatewayError } from '../errors.ts'
import type { Db } from '../store/tx.ts'

// The bytes of policy files, by their digest, compressed and in pieces. They are written before the revision that needs
// them is recorded, outside the ledger, whose batches a list of contacts would keep waiting; what no revision needs is
// swept, though not what was written or wanted a moment ago. Compressing and hashing happen in other threads.

const PIECE_BYTES = 512 * 1024
/** One that was written for a revision that is not there yet. */
const UNCLAIMED_S = 3_600

const pack = promisify(gzip)
const unpack = promisify(gunzip)

/** The hex SHA-256 of bytes, without keeping this thread. */
export async function digestOf(bytes: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new Uint8Array(bytes))
  return Buffer.from(digest).toString('hex')
}

/** Of these digests, those whose contents are not kept; the others stay kept for the next hour in any case. */
export async function missingContents(db: Db, digests: readonly string[]): Promise<string[]> {
  const rows = await db.query<{ sha256: string; pieces: number }>(
    `update policy_contents set at = clock_timestamp() where sha256 = any($1)
     returning sha256, pieces`,
    [digests],
  )
  const counts = new Map<string, { there: number; pieces: number }>()
  for (const { sha256, pieces } of rows) {
    counts.set(sha256, { there: (counts.get(sha256)?.there ?? 0) + 1, pieces })
  }
  return [...new Set(digests)].filter((digest) => {
    const count = counts.get(digest)
    return count === undefined || count.there < count.pieces
  })
}

/** Keeps one content under its digest. */
export async function keepContent(db: Db, sha256: string, bytes: Uint8Array): Promise<void> {
  const packed = await pack(bytes)
  const pieces = Math.ceil(packed.length / PIECE_BYTES)
  for (let piece = 0; piece < pieces; piece++) {
    await db.query(
      `insert into policy_contents (sha256, piece, pieces, data) values ($1, $2, $3, $4)
       on conflict do nothing`,
      [sha256, piece, pieces, packed.subarray(piece * PIECE_BYTES, (piece + 1) * PIECE_BYTES)],
    )
  }
}

/**
 * The content of a digest; undefined where it is not kept.
 * @throws GatewayError `store_unavailable` where what is kept is not what it was
 */
export async function readContent(db: Db, sha256: string): Promise<Buffer | undefined> {
  const parts: Buffer[] = []
  for (let piece = 0; ; piece++) {
    const [row] = await db.query<{ data: Uint8Array; pieces: number }>(
      'select data, pieces from policy_contents where sha256 = $1 and piece = $2',
      [sha256, piece],
    )
    if (!row) return undefined
    parts.push(Buffer.from(row.data))
    if (parts.length === row.pieces) break
  }
  const bytes = await unpack(Buffer.concat(parts)).catch(() => Buffer.alloc(0))
  if ((await digestOf(bytes)) === sha256) return bytes
  throw new GatewayError('store_unavailable', 'a policy file that is kept is not what it was')
}

/**
 * Takes away contents that no revision needs: those of revisions that were replaced more than `days` ago and decided
 * no action on record; 0 keeps all.
 */
export async function sweepContents(db: Db, days: number): Promise<void> {
  if (days > 0) await forget(db, days)
  await db.query(
    `delete from policy_contents c where c.at < clock_timestamp() - make_interval(secs => ${UNCLAIMED_S})
       and not exists (select 1 from policy_needs n where n.sha256 = c.sha256)`,
  )
}

const forget = (db: Db, days: number): Promise<unknown[]> =>
  db.query(
    `delete from policy_needs n where n.revision in (
       select r.revision from policy_revisions r
       where exists (select 1 from policy_needs held where held.revision = r.revision)
         and r.revision <> coalesce(
           (select p.revision from policy_publications p order by p.n desc limit 1), '')
         and not exists (select 1 from policy_publications p
           left join policy_publications next on next.n = p.n + 1
           where p.revision = r.revision
             and coalesce(next.at, clock_timestamp()) > clock_timestamp() - make_interval(days => $1))
         and not exists (select 1 from policy_publishes h where h.revision = r.revision
           and h.created_at > clock_timestamp() - make_interval(days => $1))
         and not exists (select 1 from policy_canaries c where c.revision = r.revision
           and coalesce(c.ended_at, clock_timestamp()) > clock_timestamp() - make_interval(days => $1))
         and not exists (select 1 from actions a where a.revision = r.revision)
     )`,
    [days],
  )
