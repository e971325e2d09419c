import { Router, type Response } from 'express'
import { findAgent } from '../../agents/registry.ts'
import { GatewayError } from '../../errors.ts'
import type { AuditEntry } from '../../model/audit.ts'
import { readEntriesAfter } from '../../record/audit.ts'
import { callerOf, header } from '../context.ts'
import { allow } from '../edge.ts'
import type { HttpParts } from '../parts.ts'
import { drained } from '../drained.ts'
import { Query } from '../query.ts'

const RETRY_MS = 2_000
const KEEPALIVE_MS = 15_000
/** A reader this far behind is cut off; it resumes from its last id, so it loses nothing. */
const READER_BUFFER_BYTES_MAX = 1 << 20
const CATCH_UP_PAGE = 500
const LAST_EVENT_ID = /^\d{1,15}$/

/** `GET /events`: the record as server-sent events, live and resumable. */
export function eventRoutes(parts: HttpParts): Router {
  const router = Router({ caseSensitive: true })
  router.get(
    '/events',
    allow('agent', 'observer', 'approver', 'operator', 'admin'),
    async (req, res) => {
      const query = new Query(req, ['types', 'agent', 'last_event_id'])
      const types = query.list('types')
      const agentId = callerOf(req).agentId ?? (await agentFilter(parts, query.text('agent')))
      const wanted = (entry: AuditEntry) =>
        (agentId === null || entry.agentId === agentId) && matchesType(entry.kind, types)
      const last = header(req, 'last-event-id') ?? query.text('last_event_id')
      await new Reader(parts, res, wanted).run(startAt(parts, last))
    },
  )
  return router
}

async function agentFilter({ db }: HttpParts, idOrName: string | null): Promise<string | null> {
  if (idOrName === null) return null
  return (await findAgent(db, idOrName))?.id ?? idOrName
}

function startAt({ events }: HttpParts, last: string | null): bigint {
  if (last === null) return events.seq
  if (!LAST_EVENT_ID.test(last)) {
    throw new GatewayError('invalid_request', 'Last-Event-ID must be an id this stream gave')
  }
  return BigInt(last)
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
    res.writeHead(200, {
      'Content-Type': 'text/event-stream',
      'Cache-Control': 'no-store',
      'X-Accel-Buffering': 'no',
    })
    res.write(`retry: ${RETRY_MS}\n\n`)
    metrics.sseClients.inc()
    const keepalive = setInterval(() => res.write(':keepalive\n\n'), KEEPALIVE_MS)
    let unsubscribe = () => {}
    res.on('close', () => {
      clearInterval(keepalive)
      unsubscribe()
      metrics.sseClients.dec()
    })
    this.#seq = from
    await this.#catchUp()
    // No await since the last look: what comes next comes through the subscription.
    if (!res.closed) unsubscribe = events.subscribe((entry) => this.#send(entry))
  }

  /** Sends what the record has beyond the reader's last id, at the reader's own pace. */
  async #catchUp(): Promise<void> {
    const { db, events } = this.#parts
    while (this.#seq < events.seq && !this.#res.closed) {
      const entries = await readEntriesAfter(db, this.#seq, CATCH_UP_PAGE)
      if (entries.length === 0) return
      for (const entry of entries) {
        this.#send(entry)
        if (this.#res.writableNeedDrain) await drained(this.#res)
      }
    }
  }

  #send(entry: AuditEntry): void {
    if (entry.seq <= this.#seq) return
    this.#seq = entry.seq
    if (!this.#wanted(entry) || this.#res.closed) return
    this.#res.write(eventText(entry))
    if (this.#res.writableLength <= READER_BUFFER_BYTES_MAX) return
    this.#parts.metrics.slowReaders.inc()
    this.#res.destroy()
  }
}
