import http from 'node:http'
import type { AddressInfo } from 'node:net'

/** One request as the model saw it. */
export interface ModelRequest {
  readonly url: string
  readonly headers: http.IncomingHttpHeaders
  /** The parsed body. Its shape is what the tests assert, so it has no type. */
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any
}

export interface Reply {
  readonly text?: string | null
  readonly calls?: readonly {
    readonly name: string
    readonly args: unknown
    readonly id?: string
  }[]
  /** Null: the answer says nothing of it. */
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number } | null
}

export type ModelBehaviour = (
  request: ModelRequest,
  res: http.ServerResponse,
) => Reply | void | Promise<Reply | void>

export const USAGE = { prompt_tokens: 100, completion_tokens: 20 }

/** A server that speaks the chat API of OpenAI, with a script in place of a mind. */
export class ModelServer {
  readonly requests: ModelRequest[] = []
  /** What the next requests get, one after another; the last stays. */
  script: ModelBehaviour[] = []
  readonly #server: http.Server

  private constructor() {
    this.#server = http.createServer((req, res) => void this.#answer(req, res))
  }

  static async start(): Promise<ModelServer> {
    const model = new ModelServer()
    await new Promise<void>((resolve) => model.#server.listen(0, '127.0.0.1', resolve))
    return model
  }

  /** What OPENAI_BASE_URL is set to. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`
  }

  /** Sets the script and forgets what was asked. */
  will(...script: ModelBehaviour[]): void {
    this.script = script
    this.requests.length = 0
  }

  /** A script of answers. */
  says(...replies: Reply[]): void {
    this.will(...replies.map((reply) => () => reply))
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #answer(req: http.IncomingMessage, res: http.ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of req as AsyncIterable<Buffer>) chunks.push(chunk)
    const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown
    const request = { url: req.url ?? '', headers: req.headers, body }
    this.requests.push(request)
    const behave = this.script.length > 1 ? this.script.shift() : this.script[0]
    const reply = await behave?.(request, res)
    if (reply) sendCompletion(res, reply, this.requests.length)
  }
}

export function sendCompletion(res: http.ServerResponse, reply: Reply, n: number): void {
  const { text = null, calls = [], usage = USAGE } = reply
  const message = {
    role: 'assistant',
    content: text,
    ...(calls.length > 0
      ? {
          tool_calls: calls.map(({ name, args, id }, at) => ({
            id: id ?? `call_${n}_${at}`,
            type: 'function',
            function: { name, arguments: typeof args === 'string' ? args : JSON.stringify(args) },
          })),
        }
      : {}),
  }
  sendJson(res, 200, {
    id: `chatcmpl-${n}`,
    object: 'chat.completion',
    created: 1,
    model: 'test-model-2026',
    choices: [{ index: 0, message, finish_reason: calls.length > 0 ? 'tool_calls' : 'stop' }],
    ...(usage
      ? { usage: { ...usage, total_tokens: usage.prompt_tokens + usage.completion_tokens } }
      : {}),
  })
}

export function sendJson(res: http.ServerResponse, status: number, body: unknown): void {
  res.writeHead(status, { 'content-type': 'application/json' })
  res.end(JSON.stringify(body))
}
