import { Readable } from 'node:stream'
import { Pool, type Dispatcher } from 'undici'
import type { Upstream } from '../../model/tool.ts'
import type { Target } from '../../model/request.ts'
import { CredentialMask } from './credential-mask.ts'
import { Credentials, NoCredential, type Shown } from './credentials.ts'
import { type CallOptions, type CallResult, Exchange } from './exchange.ts'
import { writeBody, type WrittenBody } from './request-body.ts'

// The only place where bytes leave for an upstream. What matters afterwards is whether they did: nothing
// sent (a retry is safe), answered, or sent and no answer (nobody knows). So the exchange is driven by hand
// over undici's dispatcher: `mayStart` is asked in the tick in which the first byte would go, nothing is
// retried or redirected, and headers are written anew rather than passed on.

const CONNECT_TIMEOUT_MS = 3_000
const CONNECTIONS_MAX = 64
/** A body that takes its time, whatever the upstream then makes of it. */
const LARGE_BODY_BYTES = 1 << 20

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
    const isLarge = body !== null && body.bytes > LARGE_BODY_BYTES
    const waitMs = isLarge ? upstream.http.totalTimeoutMs : upstream.timeoutMs
    const request: Dispatcher.DispatchOptions = {
      method: target.method,
      path: `${`${prefix}${target.path}` || '/'}${query === '' ? '' : `?${query}`}`,
      headers,
      body: bodyStream(body),
      headersTimeout: waitMs,
      bodyTimeout: Math.max(upstream.timeoutMs, upstream.http.idleTimeoutMs),
    }
    return new Promise((resolve) => {
      const done = (result: CallResult) => {
        if (result.type === 'answered' && result.status === 401) {
          this.#credentials.refused(upstream, shown)
        }
        resolve(result)
      }
      const mask = this.mask(upstream)
      const onEcho = () => this.#onEcho(upstream.name)
      const parts = { upstream, path: target.path, options, waitMs, mask, onEcho }
      const exchange = new Exchange(parts, done)
      this.#pool(base.origin, upstream).dispatch(request, exchange)
    })
  }

  /** Takes the gate's credentials out of what an upstream says. */
  mask({ credential }: Upstream): CredentialMask {
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
