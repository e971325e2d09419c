import { GatewayError, type ErrorCode } from '../errors.ts'
import type { Seal } from '../lib/seal.ts'
import type { JsonObject } from '../model/json.ts'
import { insertAnswer, storedAnswer, type StoredAnswer } from '../record/answers.ts'
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
 * What a write does inside its batch; its result is plain JSON. It throws to undo what it did, and
 * answers an error to refuse and let what it recorded about the refusal stand.
 */
export type Work = (tx: Tx) => Promise<JsonObject | GatewayError | undefined>

/** The answer as it is stored: one of the two. */
interface Envelope {
  readonly ok?: JsonObject | null
  readonly error?: {
    readonly code: ErrorCode
    readonly message: string
    readonly details: JsonObject
  }
}

/**
 * Runs a write inside its batch, or answers what it answered before. The answer is stored with the
 * write itself, so a crash between the two is impossible; a write that throws stores nothing.
 * @throws GatewayError `idempotency_mismatch` when the key was used for another request
 */
export async function runOnce(tx: Tx, once: Once | null, work: Work): ReturnType<Work> {
  if (once === null) return work(tx)
  const prior = await storedAnswer(tx, once.keyId, once.key)
  if (prior) return replayed(once, prior)
  const answer = await work(tx)
  await insertAnswer(tx, {
    key_id: once.keyId,
    key: once.key,
    request_hash: once.requestHash,
    sealed: once.seal.close(JSON.stringify(enveloped(answer))),
  })
  return answer
}

function replayed(once: Once, prior: StoredAnswer): JsonObject | GatewayError | undefined {
  if (prior.request_hash !== once.requestHash) {
    throw new GatewayError(
      'idempotency_mismatch',
      'this Idempotency-Key was used for a different request',
    )
  }
  const { ok, error } = JSON.parse(once.seal.open(prior.sealed)) as Envelope
  if (error) return new GatewayError(error.code, error.message, { details: error.details })
  return ok ?? undefined
}

function enveloped(answer: JsonObject | GatewayError | undefined): Envelope {
  if (!(answer instanceof GatewayError)) return { ok: answer ?? null }
  const { code, message, details } = answer
  return { error: { code, message, details: details as JsonObject } }
}
