import { LRUCache } from 'lru-cache'
import type { Caller } from '../agents/keys.ts'
import { GatewayError } from '../errors.ts'

// Agents have rates of the policy, by what they do. An enforcement point asks about many of them, so its key has a rate of its
// own: so many questions a second on each replica, and a second's worth at once. It is there to bound what one key
// can make the gate do, and is not on record.

const KEYS_MAX = 10_000

interface Bucket {
  left: number
  atMs: number
}

/** Questions a second that one key of an enforcement point may ask here. */
export class AskingRates {
  readonly #perS: number
  readonly #buckets = new LRUCache<string, Bucket>({ max: KEYS_MAX })

  constructor(perS: number) {
    this.#perS = perS
  }

  /** @throws GatewayError `rate_limited` when so many more are too many */
  take({ role, keyId }: Pick<Caller, 'role' | 'keyId'>, questions: number, nowMs: number): void {
    if (role !== 'pep') return
    const bucket = this.#buckets.get(keyId) ?? { left: this.#perS, atMs: nowMs }
    const refilled = bucket.left + ((nowMs - bucket.atMs) / 1000) * this.#perS
    const left = Math.min(this.#perS, refilled)
    // More at once than there ever are is let through when nothing else was asked, and paid for afterwards.
    const needed = Math.min(questions, this.#perS)
    const isEnough = left >= needed
    this.#buckets.set(keyId, { left: isEnough ? left - questions : left, atMs: nowMs })
    if (isEnough) return
    const retryAfterS = Math.max(1, Math.ceil((needed - left) / this.#perS))
    const message = `this key asks more than ${this.#perS} questions a second`
    throw new GatewayError('rate_limited', message, { retryAfterS })
  }
}
