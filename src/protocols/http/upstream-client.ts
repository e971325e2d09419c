import { Readable } from 'node:stream'
import { Pool, type Dispatcher } from 'undici'
import type { Upstream } from '../../model/tool.ts'
import type { Target } from '../../model/request.ts'
import { CredentialMask } from './credential-mask.ts'
import { type FilesByDigest, writeBody, type WrittenBody } from './request-body.ts'
import { Credentials, NoCredential, type Shown } from './credentials.ts'

// The only place where bytes leave for an upstream. What matters afterwards is whether they did: nothing
// sent (a retry is safe), answered, or sent and no answer (nobody knows). So the exchange is driven by hand
// over undici's dispatcher: `mayStart` is asked in the tick in which the first byte would go, nothing is
// retried or redirected, and headers are written anew rather than passed on.

/** What came of one upstream call. */
export type CallResult =
  | {
      readonly type: 'answered'
      readonly status: number
      /** Lower-case names; hop-by-hop headers are gone. */
      readonly headers: Readonly<Record<string, string | readonly string[]>>
      readonly body: Buffer
      readonly truncated: boolean
    }
  /** No byte of the request left: there was no effect. */
  | {
      readonly type: 'not_sent'
      readonly code: 'unreachable' | 'refused' | 'no_credential'
      readonly message: string
    }
  /** Bytes left and no answer came: nobody knows. */
  | { readonly type: 'unknown'; readonly message: string }

export interface CallOptions {
  readonly requestId: string
  readonly actionId: string
  /** Asked at the last moment before bytes leave; false means they never do. */
  readonly mayStart: () => boolean
  /** The bytes of the files that the target names. */
  readonly files?: FilesByDigest
}

/** Hop-by-hop headers of RFC 9110 section 7.6.1, and those the gate writes itself. */
const DROPPED_HEADERS = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'content-length',
  'x-request-id',
  'date',
  'server',
])
/** Informational answers (1xx) of one call; an upstream that sends more is broken. */
const INFORMATIONAL_MAX = 16
const CONNECT_TIMEOUT_MS = 3_000
const CONNECTIONS_MAX = 64

/** Calls upstreams over HTTP/1.1 with the gate's own credentials. Redirects are never followed. */
export class UpstreamClient {
  readonly #env: Readonly<Record<string, string>>
  readonly #credentials: Credentials
  readonly #variables: () => Iterable<string>
  readonly #onEcho: (upstream: string) => void
  readonly #masks = new Map<string, CredentialMask>()
  readonly #pools = new Map<string, Pool>()

  constructor(parts: {
    readonly env: Readonly<Record<string, string>>
    /** The variables of the environment that hold credentials, at the moment. */
    readonly credentials: () => Iterable<string>
    /** Told of an upstream that sent one of them back. */
    readonly onEcho: (upstream: string) => void
  }) {
    this.#env = parts.env
    this.#credentials = new Credentials(parts.env)
    this.#variables = parts.credentials
    this.#onEcho = parts.onEcho
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.destroy()))
  }

  call(upstream: Upstream, target: Target, options: CallOptions): Promise<CallResult> {
    if (!options.mayStart()) {
      return Promise.resolve({ type: 'not_sent', code: 'refused', message: 'refused' })
    }
    return this.#credentials.of(upstream).then(
      (shown) => this.#send(upstream, target, options, shown),
      (error: unknown): CallResult => {
        if (!(error instanceof NoCredential)) throw error
        const code = error.isRefused ? 'no_credential' : 'unreachable'
        return { type: 'not_sent', code, message: error.message }
      },
    )
  }

  #send(
    upstream: Upstream,
    target: Target,
    options: CallOptions,
    shown: Shown,
  ): Promise<CallResult> {
    const base = new URL(upstream.baseUrl)
    const body = bodyOf(target, options)
    if (body === undefined) {
      const message = 'the bytes of a file are not there'
      return Promise.resolve({ type: 'not_sent', code: 'unreachable', message })
    }
    const headers = headersFor(upstream, target, options, shown, body)
    const query = [target.query, shown.query].filter((part) => part !== '').join('&')
    const prefix = base.pathname === '/' ? '' : base.pathname
    const request: Dispatcher.DispatchOptions = {
      method: target.method,
      path: `${prefix}${target.path}${query === '' ? '' : `?${query}`}`,
      headers,
      body: bodyStream(body),
      headersTimeout: upstream.timeoutMs,
      bodyTimeout: upstream.timeoutMs,
    }
    return new Promise((resolve) => {
      const done = (result: CallResult) => {
        const masked = this.#masked(result, upstream)
        if (result.type === 'answered' && result.status === 401) this.#credentials.refused(upstream)
        resolve(masked)
      }
      const exchange = new Exchange(upstream, options.mayStart, done)
      this.#pool(base.origin, upstream).dispatch(request, exchange)
    })
  }

  // Before anybody has seen the answer: what goes to the agent, on record and into the log is made of it.
  #masked(result: CallResult, upstream: Upstream): CallResult {
    if (result.type !== 'answered') return result
    const mask = this.#mask(upstream)
    const body = mask.bytes(result.body, result.truncated)
    let hasEchoed = body !== result.body
    const text = (value: string): string => {
      const masked = mask.text(value)
      if (masked !== value) hasEchoed = true
      return masked
    }
    const headers = Object.entries(result.headers).map(([name, value]) => [
      name,
      typeof value === 'string' ? text(value) : value.map(text),
    ])
    if (!hasEchoed) return result
    this.#onEcho(upstream.name)
    return { ...result, body, headers: Object.fromEntries(headers) }
  }

  #mask({ credential }: Upstream): CredentialMask {
    const names = [...this.#variables()].sort()
    const tokens = this.#credentials.tokens()
    const own = this.#credentials.secretsOf(credential)
    const id = [...names, ...tokens, ...own].join()
    let mask = this.#masks.get(id)
    if (!mask) {
      this.#masks.clear() // a policy that was replaced needs none
      const values = names.map((name) => this.#env[name] ?? '')
      mask = new CredentialMask([...values, ...tokens, ...own])
      this.#masks.set(id, mask)
    }
    return mask
  }

  #pool(origin: string, upstream: Upstream): Pool {
    const id = `${upstream.name} ${origin} ${upstream.connectionsMax}`
    let pool = this.#pools.get(id)
    if (!pool) {
      pool = new Pool(origin, {
        connections: upstream.connectionsMax || CONNECTIONS_MAX,
        connect: { timeout: Math.min(CONNECT_TIMEOUT_MS, upstream.timeoutMs) },
        pipelining: 1,
      })
      this.#pools.set(id, pool)
    }
    return pool
  }
}

// Rebuilt from nothing: no header of the agent reaches an upstream but those that the policy names.
function headersFor(
  upstream: Upstream,
  target: Target,
  options: CallOptions,
  shown: Shown,
  body: WrittenBody | null,
): Record<string, string> {
  const headers: Record<string, string> = {
    accept: 'application/json, */*;q=0.5',
    'accept-encoding': 'identity',
    'user-agent': 'portcullis',
  }
  if (body?.contentType) headers['content-type'] = body.contentType
  if (body && typeof body.content !== 'string') headers['content-length'] = String(body.bytes)
  Object.assign(headers, target.headers, upstream.http.headers)
  headers['x-request-id'] = options.requestId
  const { idempotencyHeader } = upstream
  if (idempotencyHeader) setHeader(headers, idempotencyHeader, options.actionId)
  // The credential wins over all else.
  for (const [name, value] of Object.entries(shown.headers)) setHeader(headers, name, value)
  return headers
}

function bodyOf(target: Target, { files }: CallOptions): WrittenBody | null | undefined {
  try {
    return writeBody(target, files ?? (() => undefined))
  } catch {
    return undefined
  }
}

const bodyStream = (body: WrittenBody | null): string | Readable | null => {
  if (body === null) return null
  const { content } = body
  return typeof content === 'string' ? content : Readable.from(content, { objectMode: false })
}

function setHeader(headers: Record<string, string>, name: string, value: string): void {
  delete headers[name.toLowerCase()]
  headers[name] = value
}

/** One request on the wire, as undici reports it. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #upstream: Upstream
  readonly #mayStart: () => boolean
  readonly #resolve: (result: CallResult) => void
  readonly #chunks: Buffer[] = []
  readonly #timer: NodeJS.Timeout
  #controller: Dispatcher.DispatchController | undefined
  #bytes = 0
  #informational = 0
  #started = false
  #refused = false
  #truncated = false
  #timedOut = false
  #status = 0
  #headers: Record<string, string | readonly string[]> = {}

  constructor(upstream: Upstream, mayStart: () => boolean, resolve: (result: CallResult) => void) {
    this.#upstream = upstream
    this.#mayStart = mayStart
    this.#resolve = resolve
    this.#timer = setTimeout(() => this.#timeOut(), upstream.timeoutMs)
  }

  // undici calls this synchronously before it writes the request to a connected socket.
  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#timedOut) {
      controller.abort(new Error('timed out'))
    } else if (!this.#mayStart()) {
      this.#refused = true
      controller.abort(new Error('refused'))
    } else {
      this.#started = true
    }
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200) {
      this.#informational++
      if (this.#informational > INFORMATIONAL_MAX) controller.abort(new Error('no answer'))
      return
    }
    this.#status = status
    this.#headers = forwardable(headers)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const room = this.#upstream.responseBytesMax - this.#bytes
    this.#chunks.push(chunk.length > room ? chunk.subarray(0, room) : chunk)
    this.#bytes += Math.min(chunk.length, room)
    if (chunk.length <= room) return
    this.#truncated = true
    controller.abort(new Error('answer too large'))
  }

  onResponseEnd(): void {
    this.#answer()
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    // The status line is the upstream's word on the effect, even when its body breaks off.
    if (this.#truncated) this.#answer()
    else if (this.#refused) this.#end({ type: 'not_sent', code: 'refused', message: 'refused' })
    else if (this.#started) this.#end({ type: 'unknown', message: describe(error, this.#timedOut) })
    else this.#unreachable(describe(error, this.#timedOut))
  }

  #timeOut(): void {
    this.#timedOut = true
    if (this.#controller) this.#controller.abort(new Error('timed out'))
    else this.#unreachable('no connection in time')
  }

  #unreachable(message: string): void {
    this.#end({ type: 'not_sent', code: 'unreachable', message })
  }

  #answer(): void {
    this.#end({
      type: 'answered',
      status: this.#status,
      headers: this.#headers,
      body: Buffer.concat(this.#chunks),
      truncated: this.#truncated,
    })
  }

  #end(result: CallResult): void {
    clearTimeout(this.#timer)
    this.#resolve(result)
  }
}

// Only the kind of failure: messages of the network stack carry addresses.
function describe(error: Error, timedOut: boolean): string {
  if (timedOut) return 'timed out'
  const { code } = error as { code?: string }
  return code === undefined ? 'the connection failed' : `the connection failed: ${code}`
}

function forwardable(
  headers: Record<string, string | string[] | undefined>,
): Record<string, string | readonly string[]> {
  const named = new Set(
    String(headers['connection'] ?? '')
      .toLowerCase()
      .split(/\s*,\s*/),
  )
  const kept: Record<string, string | readonly string[]> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || DROPPED_HEADERS.has(name) || named.has(name)) continue
    kept[name] = value
  }
  return kept
}
