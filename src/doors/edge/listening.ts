import http from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Logger } from '../../lib/log.ts'
import type { Pipeline } from '../../pipeline/pipeline.ts'
import { GateRequest } from './incoming.ts'
import { malformed } from './malformed.ts'
import { keepRecent } from './request-line.ts'
import type { ActivityStream } from '../streams/websocket.ts'

// The HTTP server with its bounds in time, each of which is a defence: slow headers, slow bodies and idle
// connections are cut, and so is a client that never ends. Stopping goes from the outside in: no new
// connections, no new actions, a while for those under way, and then the streams and whatever is left.

const DRAIN_MS = 10_000
/** In milliseconds, by Node's names. */
const TIMEOUTS = {
  // Longer than load balancers hold a connection, which else send a request into one that closes.
  keepAliveTimeout: 65_000,
  headersTimeout: 10_000,
  // Uploads take long; whoever reads another body waits for it no longer than half a minute.
  requestTimeout: 600_000,
  connectionsCheckingInterval: 5_000, // Node looks every 30 s by itself
}
const UNREAD_MS = 30_000
/** Connections that wait to be taken; the kernel may allow fewer. */
const LISTEN_BACKLOG = 4_096

export interface ListeningParts {
  readonly host: string
  readonly port: number
  readonly app: http.RequestListener
  readonly activity: ActivityStream
  readonly pipeline: Pipeline
  readonly log: Logger
  /** Another door to the same, open as long as this one. */
  readonly beside?: Beside | undefined
}

interface Beside {
  start(): Promise<void>
  /** Takes nothing new from then on; ends when what is under way has its answer. */
  stop(): Promise<void>
  /** Ends what is left. */
  cut(): void
}

/** The open door. Closing it refuses new actions, waits for those under way, and then cuts what is left. */
export class Listening {
  readonly #parts: ListeningParts
  readonly #server: http.Server

  constructor(parts: ListeningParts) {
    const { app, activity, log } = parts
    this.#parts = parts
    this.#server = http.createServer({ ...TIMEOUTS, IncomingMessage: GateRequest }, app)
    this.#server.on('connection', keepRecent)
    this.#server.on('request', dropUnread)
    this.#server.on('clientError', malformed(log))
    this.#server.on('upgrade', (req, socket, head) => void activity.upgrade(req, socket, head))
  }

  /** Where it answers, once started. */
  get url(): string {
    const { address, family, port } = this.#server.address() as AddressInfo
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`
  }

  async start(): Promise<void> {
    const { host, port, beside } = this.#parts
    await beside?.start()
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(port, host, LISTEN_BACKLOG, resolve)
    })
  }

  async stop(): Promise<void> {
    const { pipeline, activity, beside } = this.#parts
    const besideClosed = beside?.stop()
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.#server.closeIdleConnections()
    await pipeline.stop(DRAIN_MS)
    activity.stop()
    this.#server.closeAllConnections()
    beside?.cut()
    await Promise.all([closed, besideClosed])
  }
}

// A body that nobody read is thrown away as it comes, and must not come for ever.
function dropUnread(req: http.IncomingMessage, res: http.ServerResponse): void {
  res.on('finish', () => {
    if (req.complete) return
    const timer = setTimeout(() => req.socket.destroy(), UNREAD_MS)
    req.on('close', () => clearTimeout(timer))
  })
}
