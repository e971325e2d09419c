import type { Writable } from 'node:stream'
import type { Caller, KeyRing } from '../../agents/keys.ts'
import { GatewayError } from '../../errors.ts'
import type { EventStream } from '../../record/events.ts'

/** A key that stops working elsewhere, or by itself, is noticed after this long at most. */
const LOOK_EVERY_MS = 500

/** An agent follows itself; one that opens streams without end must not slow down the gate. */
const PER_AGENT_KEY = 16
const RETRY_AFTER_S = 5

export interface StreamLimits {
  /** Of one key of another role than `agent`. */
  readonly perKey: number
  /** Of all keys together. */
  readonly max: number
}

/**
 * The streams that are open, and whose keys they were opened with. A request is checked once and is
 * over; a stream goes on, so while there are any, one statement asks again and again which of their
 * keys still work, and the streams of the others are closed. What is on record of a key or an agent is
 * looked into at once; the clock is for keys that expire, and for events that come late. While the
 * database cannot be asked nothing new is on record either, so nothing is closed then.
 */
export class OpenStreams {
  readonly #keyRing: KeyRing
  readonly #limits: StreamLimits
  readonly #open = new Map<Writable, Caller>()
  readonly #byKey = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined
  #looking = false
  #lookAgain = false

  constructor(parts: { readonly keyRing: KeyRing; readonly events: EventStream } & StreamLimits) {
    this.#keyRing = parts.keyRing
    this.#limits = parts
    parts.events.subscribe(({ kind }) => {
      if (kind.startsWith('key.') || kind === 'agent.deleted') this.#look()
    })
  }

  /**
   * Holds a stream to the key it is opened with, until it closes.
   * @throws GatewayError `rate_limited` when as many are open as may be
   */
  add(caller: Caller, stream: Writable): void {
    this.#assertRoom(caller)
    if (stream.closed || stream.destroyed) return // the reader left while it was let in
    this.#open.set(stream, caller)
    this.#byKey.set(caller.keyId, this.#openOf(caller) + 1)
    stream.once('close', () => this.#remove(stream, caller))
    this.#timer ??= setInterval(() => this.#look(), LOOK_EVERY_MS)
    this.#look() // the key was found valid up to a second ago
  }

  #assertRoom(caller: Caller): void {
    const ofKey = caller.role === 'agent' ? PER_AGENT_KEY : this.#limits.perKey
    const isFull = this.#open.size >= this.#limits.max
    if (!isFull && this.#openOf(caller) < ofKey) return
    const message = isFull
      ? `${this.#limits.max} streams are open, as many as the gate serves at once`
      : `${ofKey} streams are open with this key, as many as it may have at once`
    throw new GatewayError('rate_limited', message, { retryAfterS: RETRY_AFTER_S })
  }

  #openOf({ keyId }: Caller): number {
    return this.#byKey.get(keyId) ?? 0
  }

  #remove(stream: Writable, caller: Caller): void {
    this.#open.delete(stream)
    const left = this.#openOf(caller) - 1
    if (left > 0) this.#byKey.set(caller.keyId, left)
    else this.#byKey.delete(caller.keyId)
    if (this.#open.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #look(): void {
    if (this.#looking) this.#lookAgain = true
    else if (this.#open.size > 0) void this.#lookUntilDone()
  }

  async #lookUntilDone(): Promise<void> {
    this.#looking = true
    do {
      this.#lookAgain = false
      await this.#closeDead().catch(() => {}) // the next look asks again
    } while (this.#lookAgain)
    this.#looking = false
  }

  async #closeDead(): Promise<void> {
    const asked = [...this.#open]
    const callers = new Map(asked.map(([, caller]) => [caller.keyId, caller]))
    const alive = await this.#keyRing.alive([...callers.values()])
    for (const [stream, { keyId }] of asked) if (!alive.has(keyId)) stream.destroy()
  }
}
