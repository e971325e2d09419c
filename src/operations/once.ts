import { GatewayError, type ErrorCode } from '../errors.ts'
import type { Seal } from '../lib/seal.ts'
import type { Json, JsonObject } from '../model/json.ts'
import { insertAnswer, storedAnswer, type StoredAnswer } from '../record/answers.ts'
import type { Tx } from '../record/ledger.ts'

// A key belongs to whoever sends it, not to the secret that is presented with it: after a rotation the same
// write is still the same write. So an answer is stored readable but for the API keys in it, which are
// sealed with the secret that was presented; who repeats the write with another secret gets it without them.

/** A write under an `Idempotency-Key`. */
export interface Once {
  /** The agent, or the person or service behind the API key. */
  readonly holder: string
  /** What earlier versions kept answers under: the API key. */
  readonly keyId: string
  readonly key: string
  /** SHA-256 over method, path and body. */
  readonly requestHash: string
  readonly seal: Seal
  /** Called where the answer is one that was given before. */
  readonly onReplay: () => void
}

/**
 * What a write does inside its batch; its result is plain JSON. It throws to undo what it did, and
 * answers an error to refuse and let what it recorded about the refusal stand.
 */
export type Work = (tx: Tx) => Promise<JsonObject | GatewayError | undefined>

/** The answer as it is stored: `ok` or `error`. */
interface Envelope {
  readonly ok?: JsonObject | null
  /** The API keys of `ok`, sealed, in the order of their places. */
  readonly secrets?: string
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
  const prior = await storedAnswer(tx, [once.holder, once.keyId], once.key)
  if (prior) {
    const answer = replayed(once, prior)
    tx.afterCommit(once.onReplay)
    return answer
  }
  const answer = await work(tx)
  insertAnswer(tx, {
    keyId: once.holder,
    key: once.key,
    requestHash: once.requestHash,
    sealed: JSON.stringify(enveloped(answer, once.seal)),
  })
  return answer
}

function replayed(once: Once, prior: StoredAnswer): JsonObject | GatewayError | undefined {
  if (prior.requestHash !== once.requestHash) {
    throw new GatewayError(
      'idempotency_mismatch',
      'this Idempotency-Key was used for a different request',
    )
  }
  const { ok, secrets, error } = JSON.parse(readable(once, prior)) as Envelope
  if (error) return new GatewayError(error.code, error.message, { details: error.details })
  return ok && secrets !== undefined ? withSecrets(ok, secrets, once.seal) : (ok ?? undefined)
}

// Earlier versions sealed the whole answer.
function readable({ seal }: Once, { sealed }: StoredAnswer): string {
  return sealed.startsWith('{') ? sealed : seal.open(sealed)
}

function enveloped(answer: JsonObject | GatewayError | undefined, seal: Seal): Envelope {
  if (answer instanceof GatewayError) {
    const { code, message, details } = answer
    return { error: { code, message, details: details as JsonObject } }
  }
  const keys: string[] = []
  const ok = replaceKeys(answer ?? null, (key) => `${PLACE}${keys.push(key) - 1}`)
  const secrets = keys.length > 0 ? { secrets: seal.close(JSON.stringify(keys)) } : {}
  return { ok: ok as JsonObject | null, ...secrets }
}

function withSecrets(ok: JsonObject, secrets: string, seal: Seal): JsonObject {
  const keys = opened(secrets, seal)
  return mapTexts(ok, (text) => {
    const at = text.startsWith(PLACE) ? Number(text.slice(PLACE.length)) : undefined
    return at === undefined ? text : (keys[at] ?? null)
  }) as JsonObject
}

function opened(secrets: string, seal: Seal): readonly string[] {
  try {
    return JSON.parse(seal.open(secrets)) as string[]
  } catch {
    return [] // sealed with another secret of the same holder
  }
}

const API_KEY = /^pk_[0-9a-z]{26}_[A-Za-z0-9_-]{43}$/
/** No text of an answer begins like this: a NUL cannot be stored anywhere else. */
const PLACE = '\0key '

const replaceKeys = (value: Json, replace: (key: string) => string): Json =>
  mapTexts(value, (text) => (API_KEY.test(text) ? replace(text) : text))

function mapTexts(value: Json, map: (text: string) => Json): Json {
  if (typeof value === 'string') return map(value)
  if (value === null || typeof value !== 'object') return value
  if (Array.isArray(value)) return value.map((one: Json) => mapTexts(one, map))
  return Object.fromEntries(
    Object.entries(value as JsonObject).map(([name, one]) => [name, mapTexts(one, map)]),
  )
}
