import http from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

/** One request as the upstream saw it: what tests believe, whatever the gate says. */
export interface Effect {
  readonly method: string
  readonly url: string
  readonly headers: http.IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  readonly body: string
}

/** How the next requests are answered. */
export type Behaviour = (
  effect: Effect,
  res: http.ServerResponse,
  socket: Socket,
) => void | Promise<void>

/** A real HTTP upstream with a ledger of everything that reached it. */
export class TestUpstream {
  readonly effects: Effect[] = []
  behave: Behaviour = echo
  readonly #server: http.Server

  private constructor() {
    this.#server = http.createServer((req, res) => void this.#answer(req, res))
  }

  static async start(port = 0): Promise<TestUpstream> {
    const upstream = new TestUpstream()
    await upstream.restart(port)
    return upstream
  }

  /** Listens again after `stop`. */
  async restart(port: number): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve))
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #answer(req: http.IncomingMessage, res: http.ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of req as AsyncIterable<Buffer>) chunks.push(chunk)
    const effect = {
      method: req.method ?? '',
      url: req.url ?? '',
      headers: req.headers,
      rawHeaders: req.rawHeaders,
      body: Buffer.concat(chunks).toString('utf8'),
    }
    this.effects.push(effect)
    await this.behave(effect, res, req.socket)
  }
}

/** Answers 200 with what was received. */
export function echo(effect: Effect, res: http.ServerResponse): void {
  reply(res, 200, { method: effect.method, url: effect.url, body: effect.body })
}

export function reply(res: http.ServerResponse, status: number, body: unknown): void {
  res.writeHead(status, { 'content-type': 'application/json' })
  res.end(JSON.stringify(body))
}
