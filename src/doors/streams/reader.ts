import type { Writable } from 'node:stream'
import { agentAsked } from '../../agents/known.ts'
import type { Caller } from '../../agents/keys.ts'
import { GatewayError } from '../../errors.ts'
import type { AuditEntry } from '../../model/audit.ts'
import type { Effect } from '../../model/decision.ts'
import { readEntriesAfter, readHead } from '../../record/audit.ts'
import { drained } from '../edge/drained.ts'
import type { HttpParts } from '../edge/parts.ts'
import { NAME, params } from '../edge/validate.ts'

// A reader is always in one of two states: live, where each entry is written as it happens, or behind, where
// it is read from the database at the reader's own pace. It changes over as it falls behind or catches up,
// so that a slow reader costs memory up to a bound and holds up nobody. One that takes nothing for a while
// is cut off and resumes by its last id.

/** A reader this far behind gets no more until it has taken what it has. */
const READER_BUFFER_BYTES_MAX = 1 << 20
/** A reader that takes longer is cut off; it resumes from its last id, so it loses nothing. */
const STALL_MS_MAX = 3_000
const CATCH_UP_PAGE = 500
const LAST_EVENT_ID = /^\d{1,15}$/

export interface StreamQuery {
  readonly types?: string[]
  readonly agent?: string
  readonly tool?: string
  readonly effect?: Effect
  readonly last_event_id?: string
}

/** The parameters of every stream of events. */
export const STREAM = params<StreamQuery>({
  types: { type: 'array', items: NAME, description: 'kinds, or what comes before their dot' },
  agent: { ...NAME, description: 'its id or its name' },
  tool: NAME,
  effect: {
    enum: ['allow', 'deny', 'require_approval'],
    description: 'what was decided; of an outcome, in the end',
  },
  last_event_id: { ...NAME, description: 'resume after this event' },
})

/**
 * What a reader may see and asked for. An agent sees its own.
 * @throws GatewayError `not_found` for an agent that never was: its stream would stay silent for ever
 */
export async function wantedBy(
  { db }: Pick<HttpParts, 'db'>,
  caller: Caller,
  { types = [], agent, tool, effect }: StreamQuery,
): Promise<(entry: AuditEntry) => boolean> {
  const agentId = await agentAsked(db, caller, agent)
  return (entry) =>
    (agentId === undefined || entry.agentId === agentId) &&
    (tool === undefined || entry.tool === tool) &&
    (effect === undefined || entry.effect === effect) &&
    matchesType(entry.kind, types)
}

/** `approval` selects `approval.requested`, `approval.approved` and so on. */
function matchesType(kind: string, types: readonly string[]): boolean {
  return types.length === 0 || types.some((type) => kind === type || kind.startsWith(`${type}.`))
}

/** The id to go on from. @throws GatewayError `invalid_request` for one this stream never gave */
export async function startAt(
  { db, events }: Pick<HttpParts, 'db' | 'events'>,
  last: string | null,
): Promise<bigint> {
  if (last === null) return events.seq
  const seq = LAST_EVENT_ID.test(last) ? BigInt(last) : undefined
  // Another replica may be ahead of this one, but nobody is ahead of the record.
  const isKnown = seq !== undefined && (seq <= events.seq || seq <= (await readHead(db)).size)
  if (isKnown) return seq
  throw new GatewayError('invalid_request', 'Last-Event-ID must be an id this stream gave')
}

/** What a reader of the record reads from, and what it counts in. */
export type ReaderParts = Pick<HttpParts, 'db' | 'events' | 'fanout' | 'metrics'>

/** Where a reader's events go: what they are written to, and how one is put. */
export interface Sink {
  /** The response or socket, asked how much of what was sent is still waiting. */
  readonly stream: Writable
  send(entry: AuditEntry): void
}

/** One connection that follows the record, live where it keeps up and from the database where not. */
export class Reader {
  readonly #parts: ReaderParts
  readonly #sink: Sink
  readonly #stream: Writable
  readonly #wanted: (entry: AuditEntry) => boolean
  #seq = 0n

  constructor(parts: ReaderParts, sink: Sink, wanted: (entry: AuditEntry) => boolean) {
    this.#parts = parts
    this.#sink = sink
    this.#stream = sink.stream
    this.#wanted = wanted
  }

  /** Until the reader goes away or is cut off. */
  async run(from: bigint): Promise<void> {
    this.#seq = from
    while (!this.#stream.destroyed) {
      await this.#catchUp()
      if (!this.#stream.destroyed) await this.#follow()
    }
  }

  /** Sends what the record has beyond the reader's last id, at the reader's own pace. */
  async #catchUp(): Promise<void> {
    const { db, events } = this.#parts
    while (await this.#hasRoom()) {
      if (this.#seq >= events.seq) return
      const { seq } = events
      const entries = await readEntriesAfter(db, this.#seq, CATCH_UP_PAGE)
      if (entries.length === 0) this.#seq = seq // not on record: there is nothing to wait for
      for (const entry of entries) {
        if (await this.#hasRoom()) this.#send(entry)
      }
    }
  }

  /** Sends what happens as it happens, until the reader falls behind or goes away. */
  #follow(): Promise<void> {
    const { events, fanout } = this.#parts
    const stream = this.#stream
    return new Promise((resolve) => {
      const done = () => {
        leave()
        stream.off('close', done)
        resolve()
      }
      const take = (entry: AuditEntry) => {
        this.#send(entry)
        // One batch may hold more than fits, and no reader can take it before this tick ends.
        if (stream.writableLength > READER_BUFFER_BYTES_MAX) done()
      }
      const leave = fanout.follow({ take, behind: done })
      stream.on('close', done)
      // What came between the last look and the subscription is on record.
      if (events.seq > this.#seq) done()
    })
  }

  /** Waits for a reader that is behind; false when it is gone, or so slow that it is cut off. */
  async #hasRoom(): Promise<boolean> {
    const stream = this.#stream
    if (stream.writableNeedDrain && !stream.destroyed) {
      const stalled = setTimeout(() => {
        this.#parts.metrics.slowReaders.inc()
        stream.destroy()
      }, STALL_MS_MAX)
      await drained(stream)
      clearTimeout(stalled)
    }
    return !stream.destroyed
  }

  #send(entry: AuditEntry): void {
    if (entry.seq <= this.#seq) return
    this.#seq = entry.seq
    if (this.#wanted(entry) && !this.#stream.destroyed) this.#sink.send(entry)
  }
}
