import type { Db, Tx } from '../store/tx.ts'

/** The answer to a write that came with an `Idempotency-Key`, sealed with the caller's own API key. */
export interface StoredAnswer {
  readonly key_id: string
  readonly key: string
  readonly request_hash: string
  readonly sealed: string
}

/** How long the same key gets the same answer. */
const KEPT_MS = 24 * 3_600_000

export async function storedAnswer(
  db: Db,
  keyId: string,
  key: string,
): Promise<StoredAnswer | undefined> {
  const [row] = await db.query<StoredAnswer>(
    'select key_id, key, request_hash, sealed from idempotent_answers where key_id = $1 and key = $2',
    [keyId, key],
  )
  return row
}

export async function insertAnswer(tx: Tx, answer: StoredAnswer): Promise<void> {
  await tx.query(
    `insert into idempotent_answers (key_id, key, request_hash, sealed, at)
     values ($1, $2, $3, $4, $5)`,
    [answer.key_id, answer.key, answer.request_hash, answer.sealed, new Date(tx.nowMs)],
  )
}

export async function sweepAnswers(tx: Tx): Promise<void> {
  await tx.query('delete from idempotent_answers where at < $1', [new Date(tx.nowMs - KEPT_MS)])
}
