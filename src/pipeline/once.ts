import { GatewayError } from '../errors.ts'
import type { Seal } from '../lib/seal.ts'
import type { JsonObject } from '../model/json.ts'
import { insertAnswer, storedAnswer } from '../record/answers.ts'
import type { Tx } from '../record/ledger.ts'

/** A write under an `Idempotency-Key`: keys belong to the API key that sent them. */
export interface Once {
  readonly keyId: string
  readonly key: string
  /** SHA-256 over method, path and body. */
  readonly requestHash: string
  readonly seal: Seal
}

/**
 * Runs a write inside its batch, or answers what it answered before. The answer is stored with the
 * write itself, so a crash between the two is impossible; a write that fails stores nothing.
 * @throws GatewayError `idempotency_mismatch` when the key was used for another request
 */
export async function runOnce(
  tx: Tx,
  once: Once | null,
  work: (tx: Tx) => Promise<JsonObject | undefined>,
): Promise<JsonObject | undefined> {
  if (once === null) return work(tx)
  const prior = await storedAnswer(tx, once.keyId, once.key)
  if (!prior) {
    const answer = await work(tx)
    await insertAnswer(tx, {
      key_id: once.keyId,
      key: once.key,
      request_hash: once.requestHash,
      sealed: once.seal.close(JSON.stringify(answer ?? null)),
    })
    return answer
  }
  if (prior.request_hash !== once.requestHash) {
    throw new GatewayError(
      'idempotency_mismatch',
      'this Idempotency-Key was used for a different request',
    )
  }
  return (JSON.parse(once.seal.open(prior.sealed)) as JsonObject | null) ?? undefined
}
