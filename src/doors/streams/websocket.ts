import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type WebSocket } from 'ws'
import type { Caller } from '../../agents/keys.ts'
import { GatewayError } from '../../errors.ts'
import type { AuditEntry } from '../../model/audit.ts'
import { clientOf } from '../edge/client.ts'
import { isOwnOrigin, sessionCookie, sessionOf } from '../dashboard/cookie.ts'
import { assertPlain, callerOfKey, presentedKey } from '../edge/edge.ts'
import { errorBody, toGatewayError } from '../edge/errors.ts'
import type { HttpParts } from '../edge/parts.ts'
import { Reader, startAt, STREAM, wantedBy, type StreamQuery, type ReaderParts } from './reader.ts'
import { queryObject } from '../edge/validate.ts'

// WebSockets get no middleware: an `upgrade` comes past Express, so what the edge does for a request (plain
// headers, the key, the query) is asked for here by the same functions. Until the handshake a refusal is an
// ordinary HTTP answer; from then on a connection can only be cut. Readers that answer no ping are.

export const ACTIVITY_PATH = '/api/v1/agents/activity/stream'

const PING_MS = 15_000
/** Readers have nothing to say; what one sends is read and passed over. */
const PAYLOAD_BYTES_MAX = 4_096
/** Browsers cannot set headers: they offer the protocols `portcullis` and `key.<API key>`. */
const PROTOCOL = 'portcullis'
const KEY_PROTOCOL = /(?:^|,)\s*key\.([^\s,]+)/

type ActivityParts = ReaderParts &
  Pick<HttpParts, 'streams' | 'keyRing' | 'failedLogins' | 'sessions' | 'config' | 'log'>

/** Who reads, what, and by which session of a browser, if by one. */
interface Admitted {
  readonly caller: Caller
  readonly query: StreamQuery
  readonly sessionId?: string
}

/**
 * The record over WebSocket: the same events, filters and resuming (`last_event_id`) as `/events`, each
 * a JSON text `{id, type, data}`. A refusal is an HTTP answer in the one error shape.
 */
export class ActivityStream {
  readonly #parts: ActivityParts
  readonly #server = new WebSocketServer({
    noServer: true,
    maxPayload: PAYLOAD_BYTES_MAX,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has(PROTOCOL) ? PROTOCOL : false),
  })

  constructor(parts: ActivityParts) {
    this.#parts = parts
  }

  /** Handles an `upgrade` of the HTTP server. */
  async upgrade(req: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => socket.destroy())
    try {
      const { caller, query, sessionId } = await this.#admit(req)
      this.#parts.streams.add(caller, socket, sessionId)
      const wanted = await wantedBy(this.#parts, caller, query)
      const from = await startAt(this.#parts, query.last_event_id ?? null)
      this.#server.handleUpgrade(req, socket, head, (ws) => {
        void this.#follow(ws, socket, { wanted, from })
      })
    } catch (error) {
      refuse(socket, toGatewayError(error))
    }
  }

  /** Closes every connection. */
  stop(): void {
    for (const client of this.#server.clients) client.terminate()
    this.#server.close()
  }

  async #admit(req: IncomingMessage): Promise<Admitted> {
    assertPlain(req)
    const url = req.url ?? ''
    if (url.split('?', 1)[0]?.replace(/\/$/, '') !== ACTIVITY_PATH) {
      throw new GatewayError('not_found', `there is no stream here; use ${ACTIVITY_PATH}`)
    }
    const who = await this.#whoAsks(req)
    return { ...who, query: STREAM(queryObject(url, STREAM.schema)) }
  }

  async #whoAsks(req: IncomingMessage): Promise<Omit<Admitted, 'query'>> {
    const { keyRing, failedLogins: failed, config } = this.#parts
    const client = clientOf(req, config.trustedProxies)
    const key = presentedKey(req) ?? protocolKey(req)
    if (key !== undefined) return { caller: await callerOfKey({ keyRing, failed }, key, client) }
    const signedIn = config.dashboard ? await this.#signedIn(req, client.scheme === 'https') : null
    if (signedIn) return signedIn
    throw new GatewayError('unauthenticated', 'a key is needed: X-API-Key, or a protocol `key.…`')
  }

  // A handshake asks nobody beforehand, so that any page may send one, with the cookie if it is of the same site.
  async #signedIn(
    req: IncomingMessage,
    isSecure: boolean,
  ): Promise<Omit<Admitted, 'query'> | null> {
    const sessionId = sessionCookie(req, isSecure)
    if (sessionId === undefined) return null
    if (!isOwnOrigin(req, this.#parts.config)) {
      throw new GatewayError('forbidden', 'this origin is not the dashboard of this gate')
    }
    const session = await sessionOf(this.#parts.sessions, sessionId)
    return session && { caller: session.caller, sessionId }
  }

  async #follow(ws: WebSocket, stream: Duplex, { wanted, from }: Following): Promise<void> {
    const { metrics, log } = this.#parts
    metrics.websocketClients.inc()
    let isAlive = true
    ws.on('pong', () => {
      isAlive = true
    })
    ws.on('error', () => ws.terminate())
    const pings = setInterval(() => {
      if (!isAlive) ws.terminate()
      isAlive = false
      ws.ping()
    }, PING_MS)
    stream.on('close', () => {
      clearInterval(pings)
      metrics.websocketClients.dec()
    })
    const send = (entry: AuditEntry) => ws.send(messageText(entry), { binary: false })
    await new Reader(this.#parts, { stream, send }, wanted).run(from).catch((error: unknown) => {
      log.warn({ err: error }, 'a WebSocket reader was cut off')
      ws.terminate()
    })
  }
}

interface Following {
  readonly wanted: (entry: AuditEntry) => boolean
  readonly from: bigint
}

function protocolKey(req: IncomingMessage): string | undefined {
  return KEY_PROTOCOL.exec(req.headers['sec-websocket-protocol'] ?? '')?.[1]
}

// An entry goes to many readers; its text is made once.
const texts = new WeakMap<AuditEntry, Buffer>()

function messageText(entry: AuditEntry): Buffer {
  let text = texts.get(entry)
  if (text === undefined) {
    const type = JSON.stringify(entry.kind)
    text = Buffer.from(`{"id":"${entry.seq}","type":${type},"data":${entry.body}}`)
    texts.set(entry, text)
  }
  return text
}

const REASON: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  429: 'Too Many Requests',
  503: 'Service Unavailable',
}

function refuse(socket: Duplex, error: GatewayError): void {
  const body = JSON.stringify(errorBody(error))
  const retry = error.retryAfterS === undefined ? '' : `Retry-After: ${error.retryAfterS}\r\n`
  socket.end(
    `HTTP/1.1 ${error.status} ${REASON[error.status] ?? 'Error'}\r\nConnection: close\r\n${retry}` +
      `Content-Type: application/json; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}
