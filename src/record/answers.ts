import { columns } from '../store/columns.ts'
import type { Db, Tx } from '../store/tx.ts'

/** The answer to a write that came with an `Idempotency-Key`; API keys in it are sealed. */
export interface StoredAnswer {
  /** Whose it is: a holder, or in rows of earlier versions an API key. */
  readonly keyId: string
  readonly key: string
  readonly requestHash: string
  readonly sealed: string
}

/** How long the same key gets the same answer. */
const KEPT_MS = 24 * 3_600_000

export async function storedAnswer(
  db: Db,
  owners: readonly string[],
  key: string,
): Promise<StoredAnswer | undefined> {
  const [row] = await db.query<StoredAnswer>(
    `select ${columns('key_id, key, request_hash, sealed')} from idempotent_answers
     where key_id = any($1) and key = $2`,
    [owners, key],
  )
  return row
}

export function insertAnswer(tx: Tx, answer: StoredAnswer): void {
  tx.send(
    `insert into idempotent_answers (key_id, key, request_hash, sealed, at)
     values ($1, $2, $3, $4, $5)`,
    [answer.keyId, answer.key, answer.requestHash, answer.sealed, new Date(tx.nowMs)],
  )
}

export async function sweepAnswers(tx: Tx): Promise<void> {
  await tx.query('delete from idempotent_answers where at < $1', [new Date(tx.nowMs - KEPT_MS)])
}
