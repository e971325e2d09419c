import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'
import { until } from './gate.ts'

/** An event as it came. */
export interface SunkEvent {
  readonly decision_id: string
  readonly labels: Record<string, string>
  readonly path: string
  // Its shape is what the tests assert, so it has no type.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly [name: string]: any
}

export interface SunkChunk {
  readonly path: string
  readonly headers: http.IncomingHttpHeaders
  readonly bytes: number
  readonly events: readonly SunkEvent[]
  readonly status: number | 'none'
}

/** A real sink of decision logs: what it is sent is unpacked, and it says what it is told to. */
export class LogSink {
  readonly chunks: SunkChunk[] = []
  /** What it answers; `none`: it hangs up after it has taken the chunk. */
  behave: (events: readonly SunkEvent[], bytes: number) => number | 'none' = () => 200
  readonly #server: http.Server

  private constructor(server: http.Server) {
    this.#server = server
  }

  static async start(): Promise<LogSink> {
    const server = http.createServer()
    const sink = new LogSink(server)
    server.on('request', (req, res) => sink.#take(req, res))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return sink
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Of all chunks that were taken, also those whose answer got lost. */
  get events(): SunkEvent[] {
    return this.chunks
      .filter(({ status }) => status === 200 || status === 'none')
      .flatMap(({ events }) => events)
  }

  /** The events of these decisions, once all of them are there. */
  async of(ids: readonly string[]): Promise<SunkEvent[]> {
    const there = () => this.events.filter((one) => ids.includes(one.decision_id))
    await until('the decisions are at the sink', () => {
      const known = new Set(there().map((one) => one.decision_id))
      return ids.every((id) => known.has(id))
    })
    return there()
  }

  #take(req: http.IncomingMessage, res: http.ServerResponse): void {
    const parts: Buffer[] = []
    req.on('data', (part: Buffer) => parts.push(part))
    req.on('end', () => {
      const bytes = Buffer.concat(parts)
      const events = JSON.parse(gunzipSync(bytes).toString('utf8')) as SunkEvent[]
      const status = this.behave(events, bytes.length)
      const { url: path = '', headers } = req
      this.chunks.push({ path, headers, bytes: bytes.length, events, status })
      if (status === 'none') req.socket.destroy()
      else res.writeHead(status).end('{}')
    })
  }
}
