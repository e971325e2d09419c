import type { Writable } from 'node:stream'
import type { Caller, KeyRing } from '../agents/keys.ts'
import type { EventStream } from '../record/events.ts'

/** A key that stops working elsewhere, or by itself, is noticed after this long at most. */
const LOOK_EVERY_MS = 500

/**
 * The streams that are open, and whose keys they were opened with. A request is checked once and is
 * over; a stream goes on, so while there are any, one statement asks again and again which of their
 * keys still work, and the streams of the others are closed. What is on record of a key or an agent is
 * looked into at once; the clock is for keys that expire, and for events that come late. While the
 * database cannot be asked nothing new is on record either, so nothing is closed then.
 */
export class OpenStreams {
  readonly #keyRing: KeyRing
  readonly #open = new Map<Writable, Caller>()
  #timer: NodeJS.Timeout | undefined
  #looking = false
  #lookAgain = false

  constructor(parts: { readonly keyRing: KeyRing; readonly events: EventStream }) {
    this.#keyRing = parts.keyRing
    parts.events.subscribe(({ kind }) => {
      if (kind.startsWith('key.') || kind === 'agent.deleted') this.#look()
    })
  }

  /** Holds a stream to the key it was opened with, until it closes. */
  add(caller: Caller, stream: Writable): void {
    if (stream.closed || stream.destroyed) return // the reader left while it was let in
    this.#open.set(stream, caller)
    stream.once('close', () => this.#remove(stream))
    this.#timer ??= setInterval(() => this.#look(), LOOK_EVERY_MS)
    this.#look() // the key was found valid up to a second ago
  }

  #remove(stream: Writable): void {
    this.#open.delete(stream)
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
