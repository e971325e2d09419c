import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ActionSink } from '../../protocols/http/exchange.ts'

// An answer that goes to its client as it comes. Everything is passed on at once but its end: the last byte of one with a
// length, the closing chunk of one without. That follows only when the outcome is on record; where it cannot be put
// there the socket is destroyed, and no client takes what it has for the whole.

/**
 * What an upstream may not say through the gate: whom browsers trust, where else it can be reached,
 * and cookies, which belong to the session of the gate's own credential.
 */
const WITHHELD =
  /^(?:portcullis-.*|access-control-.*|set-cookie2?|alt-svc|strict-transport-security)$/

interface Head {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[]>>
}

/** Writes status and headers of an upstream, but for those that are not its to say. */
export function sendHead(res: ServerResponse, { status, headers }: Head): void {
  res.statusCode = status
  for (const [name, value] of Object.entries(headers)) {
    // What was stored by an earlier version may lead past the gate.
    const isAway = name === 'location' && !String(value).startsWith('/proxy/')
    if (!WITHHELD.test(name) && !isAway) res.setHeader(name, value)
  }
}

/** The client of one request, as the reader of its answer. */
export class ResponseSink implements ActionSink {
  readonly #req: IncomingMessage
  readonly #res: ServerResponse
  #left: number | null = null
  #last: Buffer | undefined
  #isOpen = false

  readonly #onStart: () => void

  /** `onStart`: called when the first of it goes out. */
  constructor(req: IncomingMessage, res: ServerResponse, onStart: () => void) {
    this.#req = req
    this.#res = res
    this.#onStart = onStart
  }

  of({ actionId, decisionId }: { readonly actionId: string; readonly decisionId: string }): void {
    if (this.#res.headersSent) return
    this.#res.setHeader('Portcullis-Action', actionId)
    this.#res.setHeader('Portcullis-Decision', decisionId)
  }

  /** Whether the head is out: from now on only bytes can follow. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  start({ status, headers, length }: Head & { readonly length: number | null }): void {
    const res = this.#res
    if (res.destroyed) return
    this.#isOpen = true
    this.#onStart()
    sendHead(res, { status, headers })
    if (!this.#req.complete) res.setHeader('Connection', 'close')
    if (length !== null) res.setHeader('Content-Length', String(length))
    this.#left = length
    res.flushHeaders()
  }

  write(chunk: Buffer, onRoom: () => void): boolean {
    const res = this.#res
    if (res.destroyed) return true
    const now = this.#withoutLast(chunk)
    if (now.length === 0 || res.write(now)) return true
    res.once('drain', onRoom)
    return false
  }

  onGone(gone: () => void): void {
    if (this.#res.destroyed) gone()
    else this.#res.on('close', gone)
  }

  abandon(): void {
    this.#res.destroy()
  }

  /** The outcome is on record: the client may have its end. */
  end(): void {
    this.#res.end(this.#last)
  }

  #withoutLast(chunk: Buffer): Buffer {
    if (this.#left === null) return chunk
    this.#left -= chunk.length
    if (this.#left > 0 || chunk.length === 0) return chunk
    this.#last = Buffer.from(chunk.subarray(chunk.length - 1))
    return chunk.subarray(0, chunk.length - 1)
  }
}
