import type { IncomingMessage } from 'node:http'
import type { BrowserSession, BrowserSessions } from '../../agents/sessions.ts'
import type { Config } from '../../config.ts'
import { GatewayError } from '../../errors.ts'
import { header, stateOf } from '../edge/context.ts'
import type { Step } from '../edge/edge.ts'

// A browser sends its cookie whoever made the page that asks. So a cookie counts for what this gate's own page asks, and
// for nothing else: the browser itself says where a request comes from (`Sec-Fetch-Site`, or `Origin` on plain http), and
// a write carries a header that no form and no foreign page can send without being asked first, which CORS never grants.

const PLAIN = 'portcullis_session'
/** Browsers take this name from the host itself over TLS only, so no neighbour can plant one. */
const SECURE = `__Host-${PLAIN}`
export const CSRF_HEADER = 'x-portcullis-csrf'
const READS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

type Own = Pick<Config, 'publicServerUrl'>

/** The value of the session cookie, if there is one. */
export function sessionCookie(req: IncomingMessage, isSecure: boolean): string | undefined {
  const given = new Map(
    (req.headers.cookie ?? '').split(';').flatMap((part) => {
      const at = part.indexOf('=')
      return at < 0 ? [] : [[part.slice(0, at).trim(), part.slice(at + 1).trim()] as const]
    }),
  )
  return given.get(SECURE) ?? (isSecure ? undefined : given.get(PLAIN))
}

/** A `Set-Cookie`; without a value it takes the cookie away. */
export function setCookie(value: string | null, isSecure: boolean, maxAgeS: number): string {
  const name = isSecure ? SECURE : PLAIN
  const age = value === null ? 0 : maxAgeS
  const secure = isSecure ? '; Secure' : ''
  return `${name}=${value ?? ''}; HttpOnly; SameSite=Strict; Path=/; Max-Age=${age}${secure}`
}

/** Whether the browser talks TLS: to us, to a proxy that is trusted, or so it says itself. */
export function isSecure(req: IncomingMessage): boolean {
  const { scheme } = stateOf(req).client
  return scheme === 'https' || (header(req, 'origin') ?? '').startsWith('https://')
}

/** Whether a request that a browser sent was made by this gate's own page. */
export function isOwnPage(req: IncomingMessage, own: Own): boolean {
  const site = header(req, 'sec-fetch-site')
  return site === undefined ? isOwnOrigin(req, own) : site === 'same-origin'
}

/** Whether `Origin` is there and names the host that is asked, or the address that the gate goes by. */
export function isOwnOrigin(req: IncomingMessage, { publicServerUrl }: Own): boolean {
  const origin = header(req, 'origin')
  if (origin === undefined || !URL.canParse(origin)) return false
  const { host, protocol } = new URL(origin)
  const isWeb = protocol === 'http:' || protocol === 'https:'
  const isPublic = publicServerUrl !== null && new URL(publicServerUrl).origin === origin
  return isPublic || (isWeb && host === header(req, 'host')?.toLowerCase())
}

/** @throws GatewayError `forbidden` for a write that the gate's own page did not make */
export function assertOwnWrite(req: IncomingMessage, own: Own): void {
  if (req.headers[CSRF_HEADER] === '1' && isOwnPage(req, own)) return
  throw new GatewayError(
    'forbidden',
    'a session of a browser counts for the dashboard only; send a key as X-API-Key',
  )
}

// A link that was typed or clicked is `none` or cross-site; it reads nothing by itself.
function mayRead(req: IncomingMessage): boolean {
  const site = header(req, 'sec-fetch-site')
  return site === undefined || site === 'same-origin' || site === 'none'
}

/** Finds out who is signed in, where no key was presented. What is over is as if it were not there. */
export function bySession(sessions: BrowserSessions, own: Own): Step {
  return async (req) => {
    const state = stateOf(req)
    if (state.presentedKey !== undefined || state.caller !== null) return
    const id = sessionCookie(req, state.client.scheme === 'https')
    if (id === undefined || !mayRead(req)) return
    const session = await sessionOf(sessions, id)
    if (!session) return
    if (!READS.has(req.method ?? '')) assertOwnWrite(req, own)
    // What a write answers is sealed with it, as it would be with the key.
    Object.assign(state, { caller: session.caller, presentedKey: id, session: { id, ...session } })
  }
}

/** @throws GatewayError `store_unavailable` */
export async function sessionOf(
  sessions: BrowserSessions,
  id: string,
): Promise<BrowserSession | null> {
  try {
    return await sessions.find(id)
  } catch (error) {
    throw new GatewayError('store_unavailable', 'the session cannot be checked at the moment', {
      cause: error,
      retryAfterS: 1,
    })
  }
}
