import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Logger } from '../../lib/log.ts'
import { jsonText, RawJson } from '../../lib/raw-json.ts'
import type { JsonObject } from '../../model/json.ts'
import { errorMessage, McpError, METHOD_NOT_FOUND, type Incoming } from '../../mcp/wire.ts'
import type { Era } from '../../mcp/eras.ts'
import { header } from '../edge/context.ts'
import { sendJsonText } from '../edge/send.ts'
import { sendMcpError, toMcpError } from './errors.ts'

const BEHIND_BYTES = 1 << 20
/** Server-sent events that intermediaries pass on as they come. */
const STREAM_HEADERS = {
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-store',
  'X-Accel-Buffering': 'no',
}

/** The one answer to a request: JSON at once, or a stream of events of which it is the last. */
export class Replying {
  readonly #req: IncomingMessage
  readonly #res: ServerResponse
  readonly #log: Logger
  readonly message: Incoming
  readonly era: Era
  #isDone = false

  constructor(
    { req, res }: { readonly req: IncomingMessage; readonly res: ServerResponse },
    log: Logger,
    message: Incoming,
    era: Era,
  ) {
    this.#req = req
    this.#res = res
    this.#log = log
    this.message = message
    this.era = era
  }

  /** Whether the client reads events. */
  get canStream(): boolean {
    const accept = header(this.#req, 'accept') ?? 'text/event-stream'
    return this.#req.httpVersion !== '1.0' && /text\/event-stream|\*\/\*/i.test(accept)
  }

  get isStreaming(): boolean {
    return this.#res.headersSent && !this.#isDone
  }

  /** Called when the client has gone before it had its answer; at once where it has already. */
  onGone(gone: () => void): void {
    const left = () => {
      if (!this.#isDone) gone()
    }
    if (this.#res.closed) left()
    else this.#res.once('close', left)
  }

  /** Called once it is over, whoever ended it. */
  onEnd(over: () => void): void {
    if (this.#res.closed) over()
    else this.#res.once('close', over)
  }

  setHeader(name: string, value: string): void {
    this.#res.setHeader(name, value)
  }

  open(): void {
    if (this.#res.headersSent || this.#res.destroyed) return
    this.#res.writeHead(200, STREAM_HEADERS)
    this.#res.flushHeaders()
  }

  /** Keeps a silent stream from being closed on its way. */
  comment(text: string): void {
    if (this.isStreaming) this.#res.write(`: ${text}\n\n`)
  }

  /** A client that is behind misses some: each says what the one before it did, and more. */
  notify(method: string, params: JsonObject): void {
    if (this.isStreaming && this.#res.writableLength < BEHIND_BYTES)
      this.#res.write(eventText({ jsonrpc: '2.0', method, params }))
  }

  /** Asks the client something, which it answers by a message of its own. False: it is not there to be asked. */
  ask(id: string, method: string, params: JsonObject | undefined): boolean {
    this.open()
    const isGone = this.#res.destroyed || this.#res.closed
    if (isGone || !this.isStreaming || this.#res.writableLength >= BEHIND_BYTES) return false
    this.#res.write(eventText({ jsonrpc: '2.0', id, method, ...(params ? { params } : {}) }))
    return true
  }

  /** A modern client is told that a result is whole; one that is handed on says so itself, or is made to. */
  result(result: JsonObject | RawJson): void {
    const whole = this.era.isModern ? { resultType: 'complete' } : {}
    const told = result instanceof RawJson ? result : { ...whole, ...result }
    this.#end({ jsonrpc: '2.0', id: this.message.id, result: told }, 200)
  }

  error(error: unknown): void {
    if (!this.#res.headersSent) {
      this.#isDone = true
      sendMcpError(this.#req, this.#res, this.#placed(error), this.message.id, this.#log)
      return
    }
    this.#end(errorMessage(toMcpError(this.#placed(error), this.message.id)), 200)
  }

  /** Nothing more is said: the reader is to come back. */
  abandon(): void {
    this.#isDone = true
    this.#res.destroy()
  }

  // A method that nobody knows is a path that nobody knows to the modern protocol alone.
  #placed(error: unknown): unknown {
    if (!(error instanceof McpError)) return error
    const { code, message, data } = error
    const isUnknown = code === METHOD_NOT_FOUND && this.era.isModern
    const status = isUnknown ? 404 : error.status
    return new McpError(code, message, {
      status,
      id: this.message.id,
      ...(data === undefined ? {} : { data }),
    })
  }

  #end(message: unknown, status: number): void {
    this.#isDone = true
    const res = this.#res
    if (res.headersSent) {
      res.end(eventText(message))
      return
    }
    res.setHeader('Cache-Control', 'no-store')
    sendJsonText(res, status, jsonText(message))
  }
}

const eventText = (message: unknown): string => `event: message\ndata: ${jsonText(message)}\n\n`
