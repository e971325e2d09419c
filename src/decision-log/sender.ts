import { setImmediate as breath, setTimeout as delay } from 'node:timers/promises'
import { request } from 'undici'
import type { Logger } from '../lib/log.ts'
import type { JsonObject } from '../model/json.ts'
import {
  decisionLogBehind,
  leaveDecisionLog,
  moveDecisionLog,
  nextDecisions,
  takeDecisionLog,
  type LoggedDecision,
} from '../record/decision-log.ts'
import type { Db } from '../store/tx.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { packed, type Chunk } from './chunk.ts'
import { eventOf, type EventParts } from './event.ts'
import { masked, type LogMask } from './rego-mask.ts'

// Decisions leave for a sink that speaks OPA's decision log API, from the record and behind a cursor: at least once, in the order
// of the chain, whatever becomes of this process or of the sink. One replica sends at a time, by a lease; a sink that does
// not answer 2xx gets the same chunk again, later and later. An answer that was lost means that events come twice, under the
// same decision_id.

/** Where the log goes, and in what portions. */
export interface DecisionLogOptions extends EventParts {
  readonly url: string
  readonly token: string | null
  /** Events in a chunk. */
  readonly batch: number
  /** Of a chunk, packed. */
  readonly uploadBytesMax: number
  /** Between two looks while there is nothing more to send. */
  readonly delayMs: { readonly min: number; readonly max: number }
}

export interface DecisionLogParts {
  readonly db: Db
  readonly log: Logger
  readonly metrics: Metrics
  /** What the live policy masks of events. */
  readonly logMask: () => Promise<LogMask | undefined>
  /** Of this replica, which holds the lease under it. */
  readonly replicaId: string
}

/** Entries that are looked through at once. */
const ENTRIES_MAX = 5_000
/** Less than the lease, so that who sends still holds it when there is an answer. */
const TIMEOUT_MS = 10_000
/** Of a wait that is configured as none: looking costs the database something. */
const IDLE_MS_MIN = 100
const RETRY_MS = { first: 500, max: 60_000 }

/** What one round came to: more may be waiting, nothing is, or it did not get through. */
type Round = 'more' | 'done' | 'refused'

export class DecisionLogSender {
  readonly #options: DecisionLogOptions
  readonly #parts: DecisionLogParts
  readonly #stopped = new AbortController()
  #running: Promise<void> | undefined
  /** Events in the next chunk; fewer after one that was too large for the sink. */
  #batch: number
  /** Of the next chunk, packed; less after one event that alone was too large for the sink. */
  #bytesMax: number
  #failures = 0

  constructor(options: DecisionLogOptions, parts: DecisionLogParts) {
    this.#options = options
    this.#parts = parts
    this.#batch = options.batch
    this.#bytesMax = options.uploadBytesMax
  }

  start(): void {
    this.#running = this.#run()
  }

  /** Ends after the chunk that is under way, and leaves the rest to others. */
  async stop(): Promise<void> {
    this.#stopped.abort()
    await this.#running
    await leaveDecisionLog(this.#parts.db, this.#parts.replicaId).catch(() => {})
  }

  async #run(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      const round = await this.#round()
      if (round !== 'more') await this.#rest(round)
    }
  }

  async #round(): Promise<Round> {
    const { db, log, metrics, replicaId } = this.#parts
    try {
      const from = await takeDecisionLog(db, replicaId)
      if (from === undefined) return 'done'
      const round = await this.#sendFrom(from)
      metrics.decisionLogBehind.set(await decisionLogBehind(db))
      if (round !== 'refused') this.#failures = 0
      return round
    } catch (error) {
      log.warn({ err: error }, 'decision log not sent; it is sent later')
      return 'refused'
    }
  }

  async #sendFrom(from: bigint): Promise<Round> {
    const { db, metrics, replicaId } = this.#parts
    const limits = { decisions: this.#batch, entries: ENTRIES_MAX }
    const { decisions, to } = await nextDecisions(db, from, limits)
    if (to === from) return 'done'
    if (decisions.length === 0) return this.#moved(from, to)
    const chunk = await packed(await this.#events(decisions), this.#bytesMax)
    const isAccepted = await this.#upload(chunk)
    metrics.decisionLog.inc({ result: isAccepted ? 'accepted' : 'refused' }, chunk.events)
    if (!isAccepted) return 'refused'
    this.#batch = Math.min(this.#options.batch, this.#batch * 2)
    this.#bytesMax = this.#options.uploadBytesMax
    const isAll = chunk.events === decisions.length
    const reached = isAll ? to : (decisions[chunk.events - 1]?.seq ?? to)
    const isOurs = await moveDecisionLog(db, replicaId, from, reached)
    return isOurs ? 'more' : 'done'
  }

  // What decides goes first: a mask that takes its time holds up the log and nothing else.
  async #events(decisions: readonly LoggedDecision[]): Promise<JsonObject[]> {
    const mask = await this.#parts.logMask()
    const events: JsonObject[] = []
    for (const one of decisions) {
      events.push(masked(eventOf(one, this.#options), mask))
      if (mask) await breath()
    }
    return events
  }

  async #moved(from: bigint, to: bigint): Promise<Round> {
    const { db, replicaId } = this.#parts
    return (await moveDecisionLog(db, replicaId, from, to)) ? 'more' : 'done'
  }

  /** Whether the sink has it. @throws Error where there is no answer */
  async #upload({ bytes, events }: Chunk): Promise<boolean> {
    const { url, token } = this.#options
    const { statusCode, body } = await request(`${url.replace(/\/+$/, '')}/logs`, {
      method: 'POST',
      body: bytes,
      headers: {
        'content-type': 'application/json',
        'content-encoding': 'gzip',
        'user-agent': 'portcullis',
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      },
      headersTimeout: TIMEOUT_MS,
      bodyTimeout: TIMEOUT_MS,
      // Of all of it: a sink that trickles its answer would outlast the lease, and the end of this process.
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    await body.dump()
    if (statusCode >= 200 && statusCode < 300) return true
    // It takes less than was sent, and says so.
    if (statusCode === 413) this.#batch = Math.max(1, Math.floor(events / 2))
    if (statusCode === 413 && events === 1) this.#bytesMax = Math.floor(bytes.length / 2)
    this.#parts.log.warn(
      { status: statusCode, events },
      'the sink of decision logs refused a chunk',
    )
    return false
  }

  async #rest(round: Exclude<Round, 'more'>): Promise<void> {
    const { min, max } = this.#options.delayMs
    const idleMs = Math.max(IDLE_MS_MIN, min + Math.random() * (max - min))
    const ms = round === 'refused' ? this.#retryMs() : idleMs
    await delay(ms, undefined, { signal: this.#stopped.signal }).catch(() => {})
  }

  // Twice as long each time, and not all replicas at once.
  #retryMs(): number {
    const ms = Math.min(RETRY_MS.max, RETRY_MS.first * 2 ** Math.min(this.#failures++, 20))
    return ms / 2 + (Math.random() * ms) / 2
  }
}
