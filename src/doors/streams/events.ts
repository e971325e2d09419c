import { GatewayError } from '../../errors.ts'
import type { AuditEntry } from '../../model/audit.ts'
import type { JsonObject } from '../../model/json.ts'
import { Endpoints } from '../edge/endpoints.ts'
import { header, stateOf } from '../edge/context.ts'
import type { PartsOf } from '../edge/parts.ts'
import { Reader, startAt, STREAM, type StreamQuery, wantedBy, type ReaderParts } from './reader.ts'
import { params } from '../edge/validate.ts'
import { ANYONE } from '../edge/roles.ts'
import { ACTIVITY_PATH } from './websocket.ts'

// Server-sent events over the record itself: an event's id is its place in the chain, so a reader that was
// cut off names the last one it has and misses nothing, on whatever replica it comes back. A beat keeps
// proxies from closing a silent stream.

const RETRY_MS = 2_000
const KEEPALIVE_MS = 15_000
const HEADERS = {
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-store',
  'X-Accel-Buffering': 'no',
}

const EVENTS = params<StreamQuery & { unnamed?: boolean }>({
  ...(STREAM.schema['properties'] as JsonObject),
  unnamed: {
    type: 'boolean',
    description:
      'without `event:`, as a browser’s `EventSource.onmessage` wants it; the kind is in the data',
  },
})

/** `GET /events`: the record as server-sent events, live and resumable. */
export function eventEndpoints(parts: PartsOf<'streams'> & ReaderParts): Endpoints {
  const endpoints = new Endpoints('events', parts)
  endpoints.stream(
    'get',
    ACTIVITY_PATH,
    {
      status: 101,
      summary: 'The same record over WebSocket; an agent sees its own',
      description:
        'Each message is `{id, type, data}`. A browser, which cannot set headers, offers the protocols ' +
        '`portcullis` and `key.<API key>`.',
      roles: ANYONE,
      query: STREAM,
      errors: ['upgrade_required', 'not_found', 'rate_limited'],
    },
    () => {
      throw new GatewayError('upgrade_required', 'open this with a WebSocket, or use GET /events')
    },
  )
  endpoints.stream(
    'get',
    '/events',
    {
      summary: 'The record as server-sent events; an agent sees its own',
      description: '`Last-Event-ID` resumes without loss. A reader that is too slow is cut off.',
      roles: ANYONE,
      query: EVENTS,
      media: 'text/event-stream',
      errors: ['not_found', 'rate_limited'],
    },
    async ({ req, res, query, caller }) => {
      if (req.method !== 'HEAD') parts.streams.add(caller, res, stateOf(req).session?.id)
      const wanted = await wantedBy(parts, caller, query)
      const last = header(req, 'last-event-id') ?? query.last_event_id ?? null
      const from = await startAt(parts, last)
      res.writeHead(200, HEADERS)
      if (req.method === 'HEAD') {
        res.end()
        return
      }
      res.write(`retry: ${RETRY_MS}\n\n`)
      parts.metrics.sseClients.inc()
      const keepalive = setInterval(() => res.write(':keepalive\n\n'), KEEPALIVE_MS)
      res.on('close', () => {
        clearInterval(keepalive)
        parts.metrics.sseClients.dec()
      })
      const textOf = query.unnamed === true ? unnamedText : eventText
      const send = (entry: AuditEntry) => void res.write(textOf(entry))
      await new Reader(parts, { stream: res, send }, wanted).run(from)
    },
  )
  return endpoints
}

// An entry goes to many readers; its text is made once.
const texts = new WeakMap<AuditEntry, Buffer>()

function eventText(entry: AuditEntry): Buffer {
  let text = texts.get(entry)
  if (text === undefined) {
    text = Buffer.from(`id: ${entry.seq}\nevent: ${entry.kind}\ndata: ${entry.body}\n\n`)
    texts.set(entry, text)
  }
  return text
}

const unnamedText = (entry: AuditEntry): string => `id: ${entry.seq}\ndata: ${entry.body}\n\n`
