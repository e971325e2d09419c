import { SESSION_MS } from '../../agents/sessions.ts'
import type { Caller } from '../../agents/keys.ts'
import { GatewayError } from '../../errors.ts'
import type { JsonObject } from '../../model/json.ts'
import { callerOfKey } from '../edge/edge.ts'
import { stateOf } from '../edge/context.ts'
import { type Asked, Endpoints, Reply } from '../edge/endpoints.ts'
import type { HttpParts, PartsOf } from '../edge/parts.ts'
import { READERS } from '../edge/roles.ts'
import { always, MAYBE_AT, STRING } from '../edge/schemas.ts'
import { object, params, shape } from '../edge/validate.ts'
import { assertOwnWrite, isSecure, sessionCookie, setCookie } from './cookie.ts'

const KEY_CHARS_MAX = 512
/** Refused sign-ins that are put on record in a minute; the log has all of them. */
const REFUSALS_RECORDED_MAX = 30
const MINUTE_MS = 60_000

const SIGN_IN = shape<{ key: string }>(
  object({ key: { type: 'string', minLength: 1, maxLength: KEY_CHARS_MAX } }, ['key']),
)
const SIGN_OUT = params<{ everywhere?: boolean }>({
  everywhere: { type: 'boolean', description: 'every session of whoever asks, in any browser' },
})
const SESSION = always({
  key_id: STRING,
  name: STRING,
  role: { enum: [...READERS] },
  expires_at: { ...MAYBE_AT, description: 'null: asked with a key, which needs no session' },
})

type Parts = PartsOf<'sessions' | 'keyRing' | 'failedLogins' | 'config' | 'log'>

/** `/ui/session`: signing in and out with a browser. */
export function sessionEndpoints(parts: Parts): Endpoints {
  const endpoints = new Endpoints('dashboard', parts)
  const refusals = new RefusedSignIns(parts)

  endpoints.on(
    'post',
    '/ui/session',
    {
      answer: SESSION,
      summary: 'Sign in: a cookie of this browser in place of an API key',
      description:
        'For the dashboard, whose page alone may use the cookie: it sends `X-Portcullis-CSRF: 1`. It works for 12 ' +
        'hours and as long as the key does.',
      roles: 'open',
      body: SIGN_IN,
      errors: ['forbidden'],
    },
    async ({ req, body: { key } }) => {
      assertOwnWrite(req, parts.config)
      const caller = await refusals.watching(req, () => callerFor(parts, req, key))
      const old = sessionCookie(req, isSecure(req))
      if (old !== undefined) await parts.sessions.end(old)
      const { id, expiresAt } = await parts.sessions.begin(caller)
      await record(parts, 'session.started', caller, { client: stateOf(req).client.address })
      const cookie = setCookie(id, isSecure(req), SESSION_MS / 1000)
      return new Reply(200, sessionJson(caller, expiresAt), { 'Set-Cookie': cookie })
    },
  )

  endpoints.on(
    'get',
    '/ui/session',
    { answer: SESSION, summary: 'Who is signed in, and until when', roles: READERS },
    ({ req, caller }) => sessionJson(caller, stateOf(req).session?.expiresAt ?? null),
  )

  endpoints.on(
    'delete',
    '/ui/session',
    {
      summary: 'Sign out, here or everywhere',
      roles: READERS,
      query: SIGN_OUT,
      status: 204,
    },
    (asked) => signOut(parts, asked),
  )

  return endpoints
}

async function signOut(
  parts: Parts,
  { req, caller, query }: Asked<unknown, { readonly everywhere?: boolean }>,
): Promise<Reply> {
  const { session } = stateOf(req)
  if (session) await parts.sessions.end(session.id)
  const ended = query.everywhere ? await parts.sessions.endAll(caller) : 0
  await record(parts, 'session.ended', caller, { everywhere: query.everywhere ?? false, ended })
  return new Reply(204, undefined, { 'Set-Cookie': setCookie(null, isSecure(req), 0) })
}

/** @throws GatewayError `unauthenticated`, `rate_limited`, `forbidden` for a key that is no person's */
async function callerFor(parts: Parts, req: object, key: string): Promise<Caller> {
  const { keyRing, failedLogins: failed } = parts
  const caller = await callerOfKey({ keyRing, failed }, key, stateOf(req).client)
  if (READERS.includes(caller.role)) return caller
  const message = `a key of role ${caller.role} is a program's: it does not sign in here`
  throw new GatewayError('forbidden', message)
}

const sessionJson = ({ keyId, name, role }: Caller, expiresAt: Date | null): JsonObject => ({
  key_id: keyId,
  name,
  role,
  expires_at: expiresAt?.toISOString() ?? null,
})

/**
 * Puts a sign-in or sign-out on record. It has no effect on any system, and whoever is to find out why the record
 * cannot be written has to get in: where it cannot, the log says so.
 */
async function record(
  { operations, log }: Pick<HttpParts, 'operations' | 'log'>,
  kind: string,
  caller: Caller | null,
  detail: JsonObject,
): Promise<void> {
  const who = caller ? { actor: caller.name, role: caller.role, key_id: caller.keyId } : {}
  const entry = { kind, agentId: '', tool: '', effect: '', actionId: '' }
  try {
    await operations.write(async (tx) => tx.append({ ...entry, detail: { ...who, ...detail } }))
  } catch (error) {
    log.warn({ err: error, kind }, 'a sign-in or sign-out is not on record')
  }
}

/** Puts sign-ins that were refused on record, up to so many a minute: a flood of them would fill it. */
class RefusedSignIns {
  readonly #parts: Parts
  #since = 0
  #recorded = 0

  constructor(parts: Parts) {
    this.#parts = parts
  }

  async watching(req: object, signIn: () => Promise<Caller>): Promise<Caller> {
    try {
      return await signIn()
    } catch (error) {
      const { code } = error as GatewayError
      const detail = { client: stateOf(req).client.address, code }
      this.#parts.log.warn(detail, 'sign-in refused')
      if (this.#hasRoom()) await record(this.#parts, 'session.refused', null, detail)
      throw error
    }
  }

  #hasRoom(): boolean {
    const now = Date.now()
    if (now - this.#since > MINUTE_MS) [this.#since, this.#recorded] = [now, 0]
    return this.#recorded++ < REFUSALS_RECORDED_MAX
  }
}
