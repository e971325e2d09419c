import type { Response } from 'express'
import { findAgent } from '../../agents/registry.ts'
import { GatewayError } from '../../errors.ts'
import type { AuditEntry } from '../../model/audit.ts'
import { readEntriesAfter, readHead } from '../../record/audit.ts'
import type { EventStream } from '../../record/events.ts'
import { Calls } from '../calls.ts'
import { header } from '../context.ts'
import { drained } from '../drained.ts'
import type { HttpParts } from '../parts.ts'
import { ANYONE } from '../roles.ts'
import { NAME, params } from '../validate.ts'

const RETRY_MS = 2_000
const KEEPALIVE_MS = 15_000
/** A reader this far behind gets no more until it has taken what it has. */
const READER_BUFFER_BYTES_MAX = 1 << 20
/** A reader that takes longer is cut off; it resumes from its last id, so it loses nothing. */
const STALL_MS_MAX = 3_000
const CATCH_UP_PAGE = 500
const HEADERS = {
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-store',
  'X-Accel-Buffering': 'no',
}
const EVENTS = params<{ types?: string[]; agent?: string; last_event_id?: string }>({
  types: { type: 'array', items: NAME, description: 'kinds, or what comes before their dot' },
  agent: NAME,
  last_event_id: NAME,
})
const LAST_EVENT_ID = /^\d{1,15}$/

/** `GET /events`: the record as server-sent events, live and resumable. */
export function eventCalls(parts: HttpParts): Calls {
  return new Calls(parts).stream(
    {
      method: 'get',
      path: '/events',
      tag: 'events',
      summary: 'The record as server-sent events; an agent sees its own',
      description: '`Last-Event-ID` resumes without loss. A reader that is too slow is cut off.',
      roles: ANYONE,
      query: EVENTS,
      media: 'text/event-stream',
    },
    async ({ req, res, query, caller }) => {
      const { types = [] } = query
      const agentId = caller.agentId ?? (await agentFilter(parts, query.agent ?? null))
      const wanted = (entry: AuditEntry) =>
        (agentId === null || entry.agentId === agentId) && matchesType(entry.kind, types)
      const last = header(req, 'last-event-id') ?? query.last_event_id ?? null
      const from = await startAt(parts, last)
      if (req.method === 'HEAD') res.writeHead(200, HEADERS).end()
      else await new Reader(parts, res, wanted).run(from)
    },
  )
}

async function agentFilter({ db }: HttpParts, idOrName: string | null): Promise<string | null> {
  if (idOrName === null) return null
  return (await findAgent(db, idOrName))?.id ?? idOrName
}

async function startAt({ db, events }: HttpParts, last: string | null): Promise<bigint> {
  if (last === null) return events.seq
  const seq = LAST_EVENT_ID.test(last) ? BigInt(last) : undefined
  // Another replica may be ahead of this one, but nobody is ahead of the record.
  const isKnown = seq !== undefined && (seq <= events.seq || seq <= (await readHead(db)).size)
  if (isKnown) return seq
  throw new GatewayError('invalid_request', 'Last-Event-ID must be an id this stream gave')
}

/** `approval` selects `approval.requested`, `approval.approved` and so on. */
function matchesType(kind: string, types: readonly string[]): boolean {
  return types.length === 0 || types.some((type) => kind === type || kind.startsWith(`${type}.`))
}

// An entry goes to many readers; its text is made once.
const texts = new WeakMap<AuditEntry, string>()

function eventText(entry: AuditEntry): string {
  let text = texts.get(entry)
  if (text === undefined) {
    text = `id: ${entry.seq}\nevent: ${entry.kind}\ndata: ${entry.body}\n\n`
    texts.set(entry, text)
  }
  return text
}

class Reader {
  readonly #parts: HttpParts
  readonly #res: Response
  readonly #wanted: (entry: AuditEntry) => boolean
  #seq = 0n

  constructor(parts: HttpParts, res: Response, wanted: (entry: AuditEntry) => boolean) {
    this.#parts = parts
    this.#res = res
    this.#wanted = wanted
  }

  async run(from: bigint): Promise<void> {
    const res = this.#res
    const { metrics, events } = this.#parts
    res.writeHead(200, HEADERS)
    res.write(`retry: ${RETRY_MS}\n\n`)
    metrics.sseClients.inc()
    const keepalive = setInterval(() => res.write(':keepalive\n\n'), KEEPALIVE_MS)
    res.on('close', () => {
      clearInterval(keepalive)
      metrics.sseClients.dec()
    })
    this.#seq = from
    while (!res.destroyed) {
      await this.#catchUp()
      if (!res.destroyed) await this.#follow(events)
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
  #follow(events: EventStream): Promise<void> {
    const res = this.#res
    return new Promise((resolve) => {
      const done = () => {
        unsubscribe()
        res.off('close', done)
        resolve()
      }
      const unsubscribe = events.subscribe((entry) => {
        this.#send(entry)
        // One batch may hold more than fits, and no reader can take it before this tick ends.
        if (res.writableLength > READER_BUFFER_BYTES_MAX) done()
      })
      res.on('close', done)
      // What came between the last look and the subscription is on record.
      if (events.seq > this.#seq) done()
    })
  }

  /** Waits for a reader that is behind; false when it is gone, or so slow that it is cut off. */
  async #hasRoom(): Promise<boolean> {
    const res = this.#res
    if (res.writableNeedDrain && !res.destroyed) {
      const stalled = setTimeout(() => {
        this.#parts.metrics.slowReaders.inc()
        res.destroy()
      }, STALL_MS_MAX)
      await drained(res)
      clearTimeout(stalled)
    }
    return !res.destroyed
  }

  #send(entry: AuditEntry): void {
    if (entry.seq <= this.#seq) return
    this.#seq = entry.seq
    if (this.#wanted(entry) && !this.#res.destroyed) this.#res.write(eventText(entry))
  }
}
