import type { Writable } from 'node:stream'
import type { Caller, KeyRing } from '../../agents/keys.ts'
import type { BrowserSessions } from '../../agents/sessions.ts'
import { GatewayError } from '../../errors.ts'
import type { EventStream } from '../../record/events.ts'

/** A key that stops working elsewhere, or by itself, is noticed after this long at most. */
const LOOK_EVERY_MS = 500

/** An agent follows itself, with however many keys; one that opens streams without end must not slow down the gate. */
const PER_AGENT = 16
const RETRY_AFTER_S = 5

export interface StreamLimits {
  /** Of one key of another role than `agent`. */
  readonly perKey: number
  /** Of all keys together. */
  readonly max: number
}

interface Open {
  readonly caller: Caller
  /** Of a browser that is signed in. */
  readonly sessionId: string | undefined
  readonly isCounted: boolean
}

interface OpenStreamsParts extends StreamLimits {
  readonly keyRing: KeyRing
  readonly sessions: Pick<BrowserSessions, 'find'>
  readonly events: EventStream
}

/**
 * The streams that are open, and whose keys they were opened with. A request is checked once and is
 * over; a stream goes on, and so does an answer that takes its time, so while there are any, one statement
 * asks again and again which of their keys still work, and the streams of the others are closed; so are those
 * of browsers that have signed out. What is on record of a key or an agent is
 * looked into at once; the clock is for keys that expire, and for events that come late. While the
 * database cannot be asked nothing new is on record either, so nothing is closed then.
 */
export class OpenStreams {
  readonly #parts: OpenStreamsParts
  readonly #open = new Map<Writable, Open>()
  readonly #byHolder = new Map<string, number>()
  #counted = 0
  #timer: NodeJS.Timeout | undefined
  #looking = false
  #lookAgain = false

  constructor(parts: OpenStreamsParts) {
    this.#parts = parts
    parts.events.subscribe(({ kind }) => {
      if (kind.startsWith('key.') || kind === 'agent.deleted') this.#look()
    })
  }

  /**
   * Holds a stream to the key it is opened with, and to the session of a browser, until it closes.
   * @throws GatewayError `rate_limited` when as many are open as may be
   */
  add(caller: Caller, stream: Writable, sessionId?: string): void {
    this.#assertRoom(caller)
    this.#hold(stream, { caller, sessionId, isCounted: true })
    this.#look() // the key was found valid up to a second ago
  }

  /** Holds an answer to the key it was asked for with, as long as it takes: it is no stream that anybody counts. */
  watch(caller: Caller, answer: Writable): void {
    this.#hold(answer, { caller, sessionId: undefined, isCounted: false })
  }

  #hold(stream: Writable, open: Open): void {
    if (stream.closed || stream.destroyed) return // the reader left while it was let in
    this.#open.set(stream, open)
    if (open.isCounted) this.#count(open.caller, 1)
    stream.once('close', () => this.#remove(stream, open))
    this.#timer ??= setInterval(() => this.#look(), LOOK_EVERY_MS)
  }

  #assertRoom(caller: Caller): void {
    const { perKey, max } = this.#parts
    const ofHolder = caller.role === 'agent' ? PER_AGENT : perKey
    const isFull = this.#counted >= max
    if (!isFull && this.#openOf(caller) < ofHolder) return
    const whose = caller.role === 'agent' ? 'of this agent' : 'with this key'
    const message = isFull
      ? `${max} streams are open, as many as the gate serves at once`
      : `${ofHolder} streams are open ${whose}, as many as there may be at once`
    throw new GatewayError('rate_limited', message, { retryAfterS: RETRY_AFTER_S })
  }

  #openOf(caller: Caller): number {
    return this.#byHolder.get(holderOf(caller)) ?? 0
  }

  #count(caller: Caller, by: 1 | -1): void {
    this.#counted += by
    const open = this.#openOf(caller) + by
    if (open > 0) this.#byHolder.set(holderOf(caller), open)
    else this.#byHolder.delete(holderOf(caller))
  }

  #remove(stream: Writable, { caller, isCounted }: Open): void {
    this.#open.delete(stream)
    if (isCounted) this.#count(caller, -1)
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
    const callers = new Map(asked.map(([, { caller }]) => [caller.keyId, caller]))
    const [alive, signedOut] = await Promise.all([
      this.#parts.keyRing.alive([...callers.values()]),
      this.#signedOut(asked.flatMap(([, { sessionId }]) => sessionId ?? [])),
    ])
    for (const [stream, { caller, sessionId = '' }] of asked) {
      if (!alive.has(caller.keyId) || signedOut.has(sessionId)) stream.destroy()
    }
  }

  async #signedOut(sessionIds: readonly string[]): Promise<ReadonlySet<string>> {
    const over = new Set<string>()
    for (const id of new Set(sessionIds)) {
      const session = await this.#parts.sessions.find(id)
      if (session === null) over.add(id)
    }
    return over
  }
}

const holderOf = ({ agentId, keyId }: Caller): string => agentId ?? keyId
