import type { IncomingMessage, ServerResponse } from 'node:http'
import type { BlockList } from 'node:net'
import type { RequestHandler } from 'express'
import type { Caller, KeyRing, KeyRole } from '../../agents/keys.ts'
import { GatewayError } from '../../errors.ts'
import { newId } from '../../lib/ids.ts'
import type { Logger } from '../../lib/log.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import { clientOf, type Client } from './client.ts'
import { callerOf, header, setState, stateOf } from './context.ts'
import type { FailedLogins } from './failed-logins.ts'
import { tookPlainLine } from './request-line.ts'

// What every request passes before a handler sees it: an id, refusal of what two parsers could read
// differently, CORS, the key, and the strict body. Doubtful requests are refused rather than repaired,
// because an upstream or a proxy may repair them in another way. Each check throws a GatewayError, which is
// put on the wire in one place.

/**
 * The steps a request takes before anything reads what it asks, in this order: identify, plainRequest, cors,
 * authenticate, allow, and the body. Each is a function of Node's request and response, so that the way of an
 * action goes without the framework (`front.ts`) and all others through it, and both do the same.
 */
export type Step = (req: IncomingMessage, res: ServerResponse) => Promise<void> | void

/** A step as the framework takes it. */
export function middleware(step: Step): RequestHandler {
  return (req, res, next) => {
    const done = step(req, res)
    if (done === undefined) return next()
    return done.then(() => next())
  }
}

const REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/
/** AuthZEN 1.0, section 10.1.3: whatever was given comes back. */
const ANY_REQUEST_ID = /^[\x21-\x7e]{1,256}$/
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
export function identify(log: Logger, metrics: Metrics, proxies: BlockList): Step {
  return (req, res) => {
    const given = header(req, 'x-request-id')
    const allowed = req.url?.startsWith('/access/') ? ANY_REQUEST_ID : REQUEST_ID
    const requestId = given && allowed.test(given) ? given : newId('req')
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
      metrics.httpRequests.inc({ method: req.method ?? '', status: String(res.statusCode) })
      logAnswer(log, req, res, requestId, startedAt)
    })
  }
}

function logAnswer(
  log: Logger,
  req: IncomingMessage,
  res: ServerResponse,
  requestId: string,
  startedAt: number,
): void {
  if (!log.isLevelEnabled('info')) return
  log.info(
    {
      request_id: requestId,
      method: req.method,
      path: stateOf(req).shownPath?.() ?? targetOf(req).split('?', 1)[0]?.slice(0, 512),
      status: res.statusCode,
      ms: Math.round((performance.now() - startedAt) * 10) / 10,
      caller: stateOf(req).caller?.name,
      client: stateOf(req).client.address,
      scheme: stateOf(req).client.scheme,
    },
    'request',
  )
}

/** The target as it was sent; the framework rewrites `url` on its way. */
export function targetOf(req: IncomingMessage & { readonly originalUrl?: string }): string {
  return req.originalUrl ?? req.url ?? ''
}

/** Refuses what is no request of HTTP/1, and duplicates of headers that decide something. */
export const plainRequest: Step = (req, res) => {
  try {
    assertPlain(req)
  } catch (error) {
    res.setHeader('Connection', 'close') // where the next request would begin is a guess
    throw error
  }
}

/** Node also carries out a request without a version, and one that says 0.9 or 2.0. */
const VERSIONS: ReadonlySet<string> = new Set(['1.0', '1.1'])

/** @throws GatewayError `invalid_request` */
export function assertPlain(req: IncomingMessage): void {
  if (!VERSIONS.has(req.httpVersion) || !tookPlainLine(req)) {
    throw new GatewayError('invalid_request', 'the request is not HTTP/1.1')
  }
  if (req.url?.includes('#')) {
    throw new GatewayError('invalid_request', 'a fragment is for browsers and no part of a request')
  }
  assertSingle(req)
}

/** Refuses duplicates of headers that decide something. @throws GatewayError `invalid_request` */
export function assertSingle(req: Pick<IncomingMessage, 'rawHeaders'>): void {
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
      'Location, Mcp-Session-Id, Portcullis-Action, Portcullis-Decision, Retry-After, WWW-Authenticate, X-Request-Id',
    )
    res.vary('Origin')
    if (req.method !== 'OPTIONS') return next()
    res.setHeader('Access-Control-Allow-Methods', 'GET, POST, PUT, PATCH, DELETE')
    res.setHeader(
      'Access-Control-Allow-Headers',
      'Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Mcp-Method, Mcp-Name, Mcp-Protocol-Version, Mcp-Session-Id, Portcullis-Action, Prefer, X-API-Key, X-Request-Id',
    )
    res.setHeader('Access-Control-Max-Age', '600')
    res.status(204).end()
  }
}

/** Finds out who calls. A presented key that is wrong is refused even where none is needed. */
export function authenticate(keyRing: KeyRing, failed: FailedLogins): Step {
  return async (req) => {
    const state = stateOf(req)
    if (state.caller !== null) return // by a token
    const key = presentedKey(req)
    if (key === undefined) return
    const caller = await callerOfKey({ keyRing, failed }, key, state.client)
    Object.assign(state, { caller, presentedKey: key })
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

/** The key in `X-API-Key` or `Authorization`, where clients of GitHub say `token`. @throws GatewayError for one that cannot be */
export function presentedKey(req: IncomingMessage): string | undefined {
  const apiKey = header(req, 'x-api-key')
  const authorization = header(req, 'authorization')
  const bearer = authorization && /^(?:Bearer|token) +(\S+)$/i.exec(authorization)?.[1]
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
export function allow(...roles: readonly KeyRole[]): Step {
  return (req) => {
    const { role } = callerOf(req)
    if (roles.includes(role)) return
    throw new GatewayError('forbidden', `a key of role ${role} may not do this`)
  }
}
