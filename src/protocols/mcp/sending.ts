import { randomUUID } from 'node:crypto'
import type { JsonObject } from '../../model/json.ts'
import type { Target } from '../../model/request.ts'
import type { Upstream } from '../../model/tool.ts'
import { kindOf } from '../../mcp/server-requests.ts'
import { METHOD_NOT_FOUND } from '../../mcp/wire.ts'
import type { Answered, AnswerSink, CallOptions, CallResult, ServerAsk } from '../http/exchange.ts'
import type { UpstreamClient } from '../http/upstream-client.ts'
import { Framing, type Framed } from './framing.ts'

// One request to an upstream and its response, whatever else comes before it on the same stream. The id is the gate's own. A
// response ends the wait: what the upstream leaves open behind it ends by itself. What an upstream asks of its client is put
// to it where the policy lets this server ask it, and refused otherwise, since nobody has agreed to be asked.

/** What came of one request: its response, if there was one, and the exchange so far as it is known. */
export interface Sent {
  readonly response: Framed | undefined
  readonly exchange: CallResult
  readonly sessionId: string | undefined
  readonly isTooLarge: boolean
}

export interface Sending {
  readonly method: string
  readonly params: JsonObject
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>
  readonly options: CallOptions
  readonly onNotification?: (framed: Framed) => void
  readonly onRequest?: ServerAsk
}

const ACCEPT = 'application/json, text/event-stream'

export async function send(
  client: UpstreamClient,
  upstream: Upstream,
  { method, params, headers, options, onNotification, onRequest }: Sending,
): Promise<Sent> {
  const id = randomUUID()
  const body = JSON.stringify({ jsonrpc: '2.0', id, method, params })
  let [asked, refused] = [0, 0]
  const over = new AbortController()
  const reply = (asked: JsonObject, answer: JsonObject) => {
    const mayGoOn = options.answer?.mayGoOn ?? options.mayStart
    void tell(client, upstream, { id: asked['id'] ?? null, ...answer }, headers, mayGoOn)
  }
  const collected = new Collected(upstream, id, options, (framed) => {
    const { message } = framed
    if (message['id'] === undefined) onNotification?.(framed)
    else if (typeof message['method'] !== 'string') return
    else if (onRequest && isAllowed(upstream, message) && asked++ < ASKS_MAX) {
      void onRequest(message, over.signal).then(
        (answer) => !over.signal.aborted && reply(message, answer),
        () => reply(message, REFUSAL),
      )
    } else if (refused++ < REFUSALS_MAX) reply(message, REFUSAL)
  })
  const answer = {
    rules: { stream: 'auto', bytesMax: null, redirects: 'refuse' } as const,
    isRead: options.answer?.isRead ?? true,
    mayGoOn: options.answer?.mayGoOn ?? options.mayStart,
    sink: collected,
  }
  const calling = client
    .call(upstream, targetOf(upstream, body, headers), { ...options, answer })
    .then((exchange) => collected.ended(exchange))
  return Promise.race([calling, collected.answered]).finally(() => over.abort())
}

/** Says something that needs no response. */
export function tell(
  client: UpstreamClient,
  upstream: Upstream,
  message: JsonObject,
  headers: Readonly<Record<string, string>>,
  mayStart: () => boolean,
): Promise<CallResult> {
  const body = JSON.stringify({ jsonrpc: '2.0', ...message })
  const options = { requestId: randomUUID(), actionId: '', mayStart }
  return client.call(upstream, targetOf(upstream, body, headers), options)
}

/** So many requests of a server are put to its client in one exchange. */
const ASKS_MAX = 16
/** A server may ask a client things; of those this one answers no more in one exchange. */
const REFUSALS_MAX = 4

const REFUSAL = { error: { code: METHOD_NOT_FOUND, message: 'Method not found' } } as const

function isAllowed({ serverRequests = [] }: Upstream, asked: JsonObject): boolean {
  const kind = kindOf(asked)
  return kind !== undefined && serverRequests.includes(kind)
}

const targetOf = (
  { name }: Upstream,
  body: string,
  headers: Readonly<Record<string, string>>,
): Target => ({
  upstream: name,
  method: 'POST',
  path: '',
  query: '',
  body,
  headers: { accept: ACCEPT, ...headers },
})

class Collected implements AnswerSink {
  readonly answered: Promise<Sent>
  readonly #framing: Framing
  readonly #options: CallOptions
  #resolve: (sent: Sent) => void = () => {}
  #response: Framed | undefined
  #head: Parameters<AnswerSink['start']>[0] | undefined

  constructor(
    { responseBytesMax }: Upstream,
    id: string,
    options: CallOptions,
    onOther: (framed: Framed) => void,
  ) {
    this.#options = options
    this.answered = new Promise((resolve) => {
      this.#resolve = resolve
    })
    this.#framing = new Framing(responseBytesMax, (framed) => {
      const { message } = framed
      const isOurs = message['id'] === id && ('result' in message || 'error' in message)
      if (isOurs) this.#response ??= framed
      else if (!this.#response) onOther(framed) // what comes after it is nobody's
    })
  }

  start(head: Parameters<AnswerSink['start']>[0]): void {
    this.#head = head
  }

  write(chunk: Buffer): boolean {
    this.#framing.write(chunk)
    const { status = 0, headers = {} } = this.#head ?? {}
    if (this.#response) {
      const exchange = { type: 'answered', status, headers, body: NONE, truncated: false } as const
      this.#resolve(this.#sent(exchange))
    }
    return true
  }

  /** A client that left: of a read nobody needs the rest. */
  onGone(gone: () => void): void {
    this.#options.answer?.sink?.onGone(gone)
  }

  abandon(): void {}

  ended(exchange: CallResult): Sent {
    if (exchange.type === 'answered' && !exchange.isStreamed) this.#framing.write(exchange.body)
    this.#framing.end()
    return this.#sent(exchange)
  }

  #sent(exchange: CallResult): Sent {
    const headers = exchange.type === 'answered' ? exchange.headers : {}
    const sessionId = headers['mcp-session-id']
    const isCut = exchange.type === 'answered' && isCutOff(exchange)
    return {
      response: this.#response,
      exchange,
      sessionId: typeof sessionId === 'string' ? sessionId : undefined,
      isTooLarge: this.#framing.isTooLarge || isCut,
    }
  }
}

const NONE = Buffer.alloc(0)

const isCutOff = ({ truncated, isStreamed, stopped }: Answered): boolean =>
  stopped === 'too_large' || (truncated && !isStreamed)
