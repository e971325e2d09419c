import {
  createLocalJWKSet,
  errors,
  type CryptoKey,
  type FlattenedJWSInput,
  type JSONWebKeySet,
  type JWSHeaderParameters,
} from 'jose'
import type { Logger } from '../lib/log.ts'
import { TokenError } from './token-error.ts'

// Keys of an issuer, remembered. They are asked for again behind the requests that they serve, so that a token is checked without
// waiting, and at once when a token names a key that is not among them: that is how a rotation begins. Whoever sends tokens with
// made-up names of keys causes one question in ten seconds. Keys that could not be asked for again in time are not believed: one that
// the issuer took back would be good for as long as somebody keeps the gate from asking.

/** After this they are asked for again, behind. */
const FRESH_MS = 5 * 60_000
/** After this nothing is checked with them. */
const BELIEVED_MS = 15 * 60_000
/** Between two questions, whatever came of the first. */
export const ASK_EVERY_MS = 10_000

type Keys = ReturnType<typeof createLocalJWKSet>

export interface IssuerKeysParts {
  readonly issuer: string
  readonly ask: () => Promise<JSONWebKeySet>
  readonly log: Pick<Logger, 'warn'>
  /** Grows, and does not jump. */
  readonly nowMs: () => number
}

/** The keys of one issuer. */
export class IssuerKeys {
  readonly #parts: IssuerKeysParts
  #known: { readonly keys: Keys; readonly atMs: number } | undefined
  #asking: Promise<Keys> | undefined
  #askedAtMs = Number.NEGATIVE_INFINITY
  #hasFailed = false

  constructor(parts: IssuerKeysParts) {
    this.#parts = parts
  }

  /** The key that a token names. @throws TokenError `unavailable` where it cannot be told whether there is one; errors of jose */
  async find(header: JWSHeaderParameters, token: FlattenedJWSInput): Promise<CryptoKey> {
    const keys = await this.#current()
    try {
      return await keys(header, token)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error
      if (!this.#asking && !this.#mayAsk) {
        if (this.#hasFailed) throw this.#unavailable()
        throw error
      }
    }
    return (await this.#ask())(header, token)
  }

  async #current(): Promise<Keys> {
    const known = this.#known
    const ageMs = known ? this.#parts.nowMs() - known.atMs : Number.POSITIVE_INFINITY
    if (known && ageMs < BELIEVED_MS) {
      if (ageMs >= FRESH_MS && this.#mayAsk) void this.#ask().catch(() => {}) // told in the log
      return known.keys
    }
    if (this.#asking || this.#mayAsk) return this.#ask()
    throw this.#unavailable()
  }

  get #mayAsk(): boolean {
    return this.#waitMs <= 0
  }

  get #waitMs(): number {
    return this.#askedAtMs + ASK_EVERY_MS - this.#parts.nowMs()
  }

  #ask(): Promise<Keys> {
    this.#asking ??= this.#asked().finally(() => {
      this.#asking = undefined
    })
    return this.#asking
  }

  async #asked(): Promise<Keys> {
    const { ask, issuer, log, nowMs } = this.#parts
    const atMs = nowMs()
    this.#askedAtMs = atMs
    try {
      const keys = createLocalJWKSet(await ask())
      this.#known = { keys, atMs }
      this.#hasFailed = false
      return keys
    } catch (error) {
      this.#hasFailed = true
      log.warn({ err: error, issuer }, 'the keys of an issuer of tokens cannot be had')
      throw this.#unavailable(error)
    }
  }

  #unavailable(cause?: unknown): TokenError {
    const retryAfterS = Math.max(1, Math.ceil(this.#waitMs / 1_000))
    const message = 'the keys of its issuer cannot be had at the moment'
    return new TokenError('unavailable', message, { cause, retryAfterS })
  }
}
