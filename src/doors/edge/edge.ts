import type { IncomingMessage } from 'node:http'
import type { BlockList } from 'node:net'
import type { NextFunction, Request, RequestHandler, Response } from 'express'
import type { Caller, KeyRing, KeyRole } from '../../agents/keys.ts'
import { GatewayError } from '../../errors.ts'
import { newId } from '../../lib/ids.ts'
import type { Logger } from '../../lib/log.ts'
import { parseStrictJson, StrictJsonError } from '../../lib/strict-json.ts'
import type { Json } from '../../model/json.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import { clientOf, type Client } from './client.ts'
import { callerOf, header, setState, stateOf } from './context.ts'
import type { FailedLogins } from './failed-logins.ts'
import { tookPlainLine } from './request-line.ts'

export const BODY_BYTES_MAX = 1 << 20
/** More is 100 ms of checking and judging for one request. */
export const BODY_VALUES_MAX = 20_000
/** How long a body may take that is no upload. */
const BODY_MS = 30_000
const REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/
const KEY_CHARS_MAX = 512
/** Node keeps the first, joins, or lists duplicates depending on the header; none of these is safe. */
const SINGLE_HEADERS = new Set([
  'host',
  'authorization',
  'x-api-key',
  'idempotency-key',
  'content-type',
  'content-length',
  'content-encoding',
  'transfer-encoding',
  'portcullis-action',
])

/** Gives the request an id and a start time, and logs the answer as one JSON line. */
export function identify(log: Logger, metrics: Metrics, proxies: BlockList): RequestHandler {
  return (req, res, next) => {
    const given = header(req, 'x-request-id')
    const requestId = given && REQUEST_ID.test(given) ? given : newId('req')
    const startedAt = performance.now()
    setState(req, {
      requestId,
      startedAt,
      client: clientOf(req, proxies),
      caller: null,
      presentedKey: undefined,
      body: undefined,
    })
    res.setHeader('X-Request-Id', requestId)
    res.on('close', () => {
      metrics.httpRequests.inc({ method: req.method, status: String(res.statusCode) })
      logAnswer(log, req, res, requestId, startedAt)
    })
    next()
  }
}

function logAnswer(
  log: Logger,
  req: Request,
  res: Response,
  requestId: string,
  startedAt: number,
): void {
  if (!log.isLevelEnabled('info')) return
  log.info(
    {
      request_id: requestId,
      method: req.method,
      path: stateOf(req).shownPath?.() ?? req.originalUrl.split('?', 1)[0]?.slice(0, 512),
      status: res.statusCode,
      ms: Math.round((performance.now() - startedAt) * 10) / 10,
      caller: stateOf(req).caller?.name,
      client: stateOf(req).client.address,
      scheme: stateOf(req).client.scheme,
    },
    'request',
  )
}

/** Refuses what is no request of HTTP/1, and duplicates of headers that decide something. */
export const plainRequest: RequestHandler = (req, res, next) => {
  try {
    assertPlain(req)
  } catch (error) {
    res.setHeader('Connection', 'close') // where the next request would begin is a guess
    throw error
  }
  next()
}

/** Node also carries out a request without a version, and one that says 0.9 or 2.0. */
const VERSIONS: ReadonlySet<string> = new Set(['1.0', '1.1'])

/** @throws GatewayError `invalid_request` */
export function assertPlain(req: IncomingMessage): void {
  if (!VERSIONS.has(req.httpVersion) || !tookPlainLine(req)) {
    throw new GatewayError('invalid_request', 'the request is not HTTP/1.1')
  }
  const seen = new Set<string>()
  for (let i = 0; i < req.rawHeaders.length; i += 2) {
    const name = (req.rawHeaders[i] ?? '').toLowerCase()
    if (!SINGLE_HEADERS.has(name)) continue
    if (seen.has(name)) throw new GatewayError('invalid_request', `duplicate header \`${name}\``)
    seen.add(name)
  }
}

/** Answers preflights and marks answers for the origins that are allowed; nobody else gets CORS. */
export function cors(origins: readonly string[]): RequestHandler {
  const allowed = new Set(origins)
  return (req, res, next) => {
    const origin = header(req, 'origin')
    if (!origin || !allowed.has(origin)) return next()
    res.setHeader('Access-Control-Allow-Origin', origin)
    res.setHeader(
      'Access-Control-Expose-Headers',
      'Location, Portcullis-Action, Portcullis-Decision, Retry-After, X-Request-Id',
    )
    res.vary('Origin')
    if (req.method !== 'OPTIONS') return next()
    res.setHeader('Access-Control-Allow-Methods', 'GET, POST, PUT, PATCH, DELETE')
    res.setHeader(
      'Access-Control-Allow-Headers',
      'Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Portcullis-Action, Prefer, X-API-Key, X-Request-Id',
    )
    res.setHeader('Access-Control-Max-Age', '600')
    res.status(204).end()
  }
}

/** Finds out who calls. A presented key that is wrong is refused even where none is needed. */
export function authenticate(keyRing: KeyRing, failed: FailedLogins): RequestHandler {
  return async (req, _res, next) => {
    const key = presentedKey(req)
    if (key !== undefined) {
      const state = stateOf(req)
      const caller = await callerOfKey({ keyRing, failed }, key, state.client)
      Object.assign(state, { caller, presentedKey: key })
    }
    next()
  }
}

/** @throws GatewayError `unauthenticated`, `rate_limited`, `store_unavailable` */
export async function callerOfKey(
  { keyRing, failed }: { readonly keyRing: KeyRing; readonly failed: FailedLogins },
  key: string,
  client: Client,
): Promise<Caller> {
  const caller = await lookUp(keyRing, key)
  if (caller) return caller
  failed.failed(client)
  throw new GatewayError('unauthenticated', 'the key is unknown or revoked')
}

async function lookUp(keyRing: KeyRing, key: string): Promise<Caller | null> {
  try {
    return await keyRing.authenticate(key)
  } catch (error) {
    throw new GatewayError('store_unavailable', 'the key cannot be checked at the moment', {
      cause: error,
      retryAfterS: 1,
    })
  }
}

/** The key in `X-API-Key` or `Authorization`. @throws GatewayError for one that cannot be */
export function presentedKey(req: IncomingMessage): string | undefined {
  const apiKey = header(req, 'x-api-key')
  const authorization = header(req, 'authorization')
  const bearer = authorization && /^Bearer +(\S+)$/i.exec(authorization)?.[1]
  if (authorization && !bearer) {
    throw new GatewayError('unauthenticated', 'Authorization must be `Bearer <key>`')
  }
  if (apiKey && bearer && apiKey !== bearer) {
    throw new GatewayError('invalid_request', 'X-API-Key and Authorization carry different keys')
  }
  const key = apiKey ?? bearer
  if (key && key.length > KEY_CHARS_MAX) {
    throw new GatewayError('unauthenticated', 'the key is too long')
  }
  return key
}

/** Lets only these roles through. */
export function allow(...roles: readonly KeyRole[]): RequestHandler {
  return (req, _res, next) => {
    const { role } = callerOf(req)
    if (!roles.includes(role)) {
      throw new GatewayError('forbidden', `a key of role ${role} may not do this`)
    }
    next()
  }
}

const JSON_ONLY = ['application/json']

/** Reads and parses the body once, strictly; what is not understood is refused, never passed on. */
export const strictBody: RequestHandler = async (req, _res, next) => {
  const bytes = await readBody(req, BODY_BYTES_MAX)
  if (bytes.length > 0) {
    mediaType(req, JSON_ONLY)
    stateOf(req).body = parseBody(bytes)
  }
  next()
}

/** The body as text of one of these media types, for calls that take more than JSON. */
export async function textBody(
  req: Request,
  media: readonly string[],
  bytesMax: number,
): Promise<{ type: string; text: string }> {
  const type = mediaType(req, media)
  const text = decoded(await readBody(req, bytesMax))
  stateOf(req).body = text // what an Idempotency-Key is compared by
  return { type, text }
}

function mediaType(req: Request, allowed: readonly string[]): string {
  const encoding = header(req, 'content-encoding') ?? 'identity'
  if (encoding !== 'identity') {
    throw new GatewayError('unsupported_media_type', 'compressed bodies are not accepted')
  }
  const [given = '', ...parameters] = (header(req, 'content-type') ?? '').toLowerCase().split(';')
  const type = given.trim()
  const charset = parameters.map((one) => one.trim()).find((one) => one.startsWith('charset='))
  const isUtf8 = charset === undefined || /^charset="?utf-8"?$/.test(charset)
  if (allowed.includes(type) && isUtf8) return type
  throw new GatewayError(
    'unsupported_media_type',
    `the body must be ${allowed.join(' or ')} in UTF-8`,
  )
}

// Events rather than an async iterator: this runs for every action, and the iterator costs more than it.
export function readBody(req: Request, bytesMax: number, ms = BODY_MS): Promise<Buffer> {
  const tooLarge = () =>
    new GatewayError('payload_too_large', `the body is larger than ${bytesMax} bytes`)
  if (Number(req.headers['content-length'] ?? 0) > bytesMax) return Promise.reject(tooLarge())
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const timer = setTimeout(() => {
      reject(new GatewayError('invalid_request', 'the request did not arrive in time'))
    }, ms)
    req.on('close', () => clearTimeout(timer))
    req.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= bytesMax) chunks.push(chunk)
      else reject(tooLarge())
    })
    req.on('end', () => {
      clearTimeout(timer)
      resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks))
    })
    req.on('error', (error) => {
      reject(new GatewayError('invalid_request', 'the body ended early', { cause: error }))
    })
  })
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function parseBody(bytes: Buffer): Json {
  return parseJsonText(decoded(bytes), BODY_VALUES_MAX)
}

/** @throws GatewayError `invalid_request` for what is not JSON as the gate takes it */
export function parseJsonText(text: string, valuesMax?: number): Json {
  try {
    return parseStrictJson(text, valuesMax)
  } catch (error) {
    const message = error instanceof StrictJsonError ? error.message : 'unreadable'
    throw new GatewayError('invalid_request', `invalid JSON: ${message}`)
  }
}

/** @throws GatewayError `invalid_request` */
export function decoded(bytes: Buffer): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw new GatewayError('invalid_request', 'the body is not well-formed UTF-8')
  }
}

export type Next = NextFunction
