import type { GateFailure } from './api.ts'
import { GateError } from './errors.ts'

// A write carries one `Idempotency-Key` through all its attempts, so an attempt whose answer was lost is answered again
// and not carried out again. What the gate calls not retryable is never sent twice.

/** Where the gate is, and as whom to call it. */
export interface Gate {
  readonly url: string
  readonly key: string
  /** In place of the global one. */
  readonly fetch?: typeof fetch
}

export interface Sending {
  /** Made anew for each call, unless the caller has one that outlives its own restart. */
  readonly idempotencyKey?: string
  readonly signal?: AbortSignal
}

const ATTEMPTS_MAX = 4
const FIRST_PAUSE_MS = 200
/** A window that opens later than this is the caller's business. */
const PAUSE_MS_MAX = 10_000

/** Sends a call until it is answered for good. @throws GateError */
export async function send(
  gate: Gate,
  method: string,
  path: string,
  body: unknown,
  { idempotencyKey = crypto.randomUUID(), signal }: Sending,
): Promise<unknown> {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const request = {
    method,
    headers: {
      'x-api-key': gate.key,
      ...(method === 'GET' ? {} : { 'idempotency-key': idempotencyKey }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: text }),
    ...(signal ? { signal } : {}),
  }
  for (let attempt = 1; ; attempt++) {
    const said = await once(gate, path, request)
    if (!(said instanceof GateError)) return said.value
    const pauseMs = said.pauseMs ?? FIRST_PAUSE_MS * 2 ** attempt * (0.5 + Math.random() / 2)
    if (!said.retryable || attempt === ATTEMPTS_MAX || pauseMs > PAUSE_MS_MAX) throw said
    await pause(pauseMs, signal)
  }
}

/** A refusal, and how long the gate wants to be left alone. */
class Refusal extends GateError {
  readonly pauseMs: number | undefined

  constructor(failure: GateFailure, response: Response) {
    super(failure.code, failure.message, { status: response.status, failure })
    const seconds = Number(response.headers.get('retry-after') ?? Number.NaN)
    this.pauseMs = Number.isNaN(seconds) ? undefined : seconds * 1000
  }
}

class Unreachable extends GateError {
  override readonly retryable = true
  readonly pauseMs = undefined
}

async function once(
  gate: Gate,
  path: string,
  request: RequestInit,
): Promise<{ readonly value: unknown } | Refusal | Unreachable> {
  const url = new URL(path, gate.url)
  let response: Response
  let text: string
  try {
    response = await (gate.fetch ?? fetch)(url, request)
    text = await response.text()
  } catch (cause) {
    if (request.signal?.aborted) throw cause
    return new Unreachable('unreachable', `no gate answers at ${url.origin}`, { cause })
  }
  const isJson = /^application\/json\b/.test(response.headers.get('content-type') ?? '')
  const value: unknown = isJson ? JSON.parse(text) : text === '' ? undefined : text
  if (response.ok) return { value }
  const { error } = (isJson ? value : {}) as { error?: GateFailure }
  if (error) return new Refusal(error, response)
  throw new GateError('internal_error', `${url.origin} answers ${response.status} and is no gate`, {
    status: response.status,
  })
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer)
      reject(signal?.reason as Error)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, ms)
    signal?.addEventListener('abort', stop, { once: true })
  })
}
