import type { IncomingMessage } from 'node:http'
import type { Caller } from '../../agents/keys.ts'
import type { OAuthConfig } from '../../config.ts'
import { GatewayError } from '../../errors.ts'
import { TokenError } from '../../oauth/token-error.ts'
import { isToken, type TokenHolder } from '../../oauth/verifier.ts'
import { header, stateOf } from '../edge/context.ts'
import { targetOf, type Step } from '../edge/edge.ts'
import type { HttpParts } from '../edge/parts.ts'
import { resourceAt, type Resource } from './resource.ts'

// A caller of `/mcp` may come with an access token in place of a key. What looks like a JWT is one here; anything else is a key of the
// gate, and whoever has none is told where tokens are to be had. The token says which agent it is, and nothing more: its status, its
// roles, its budget and the kill switch decide as of one with a key. It is checked here, it seals answers, and goes nowhere else.

type Parts = Pick<HttpParts, 'config' | 'failedLogins' | 'keyRing' | 'metrics' | 'tokens'>

/** Lets in who has a good token; leaves alone who has none. */
export function byToken({ config, failedLogins, keyRing, metrics, tokens }: Parts): Step {
  return async (req) => {
    const { oauth } = config
    if (!oauth || !tokens) return
    const state = stateOf(req)
    const resource = resourceAt(oauth, pathOf(req))
    const challenged = (error: string, text: string) => {
      state.challenge = challenge(oauth, resource, { error, text })
    }
    const token = tokenIn(req)
    if (token === undefined) {
      state.challenge = challenge(oauth, resource)
      if (header(req, 'authorization')) challenged('invalid_token', 'it is no key of the gate')
      return
    }
    let holder: TokenHolder
    try {
      holder = await tokens.verify(token, resource.audiences)
    } catch (error) {
      if (!(error instanceof TokenError)) throw error
      const { problem, message } = error
      metrics.mcpTokens.inc({ result: problem })
      challenged(problem === 'scope' ? 'insufficient_scope' : 'invalid_token', message)
      // One that has run out was good once: its holder gets another.
      if (problem === 'invalid') failedLogins.failed(state.client)
      throw refused(error)
    }
    const caller = await callerOf(keyRing, token, holder)
    metrics.mcpTokens.inc({ result: typeof caller === 'string' ? 'no_agent' : 'good' })
    if (typeof caller === 'string') throw noAgent(caller, holder)
    Object.assign(state, { caller, presentedKey: token })
  }
}

const PLAIN_PATH = /^\/mcp(?:\/[a-z][a-z0-9-]{0,30})?$/

// A slash at the end names the same path. One that is spelt otherwise may still lead to a server (`%66iles`), and a token for
// another path must not: at such a one only those are good that are good everywhere.
function pathOf(req: IncomingMessage): string {
  const path = (targetOf(req).split('?', 1)[0] ?? '').replace(/\/$/, '')
  return PLAIN_PATH.test(path) ? path : ''
}

/** Two credentials at once are refused where keys are looked at. */
function tokenIn(req: IncomingMessage): string | undefined {
  if (header(req, 'x-api-key')) return undefined
  const [, token] = /^Bearer +(\S+)$/i.exec(header(req, 'authorization') ?? '') ?? []
  return token !== undefined && isToken(token) ? token : undefined
}

const CODES = {
  invalid: 'unauthenticated',
  expired: 'unauthenticated',
  scope: 'insufficient_scope',
  unavailable: 'issuer_unavailable',
} as const

function refused({ problem, message, retryAfterS, cause }: TokenError): GatewayError {
  return new GatewayError(CODES[problem], message, {
    cause,
    ...(retryAfterS === undefined ? {} : { retryAfterS }),
    ...(problem === 'invalid' || problem === 'expired'
      ? { details: { next_action: 'get another token, as WWW-Authenticate says' } }
      : {}),
  })
}

async function callerOf(
  keyRing: HttpParts['keyRing'],
  token: string,
  { agent, ...origin }: TokenHolder,
): Promise<Caller | 'unknown' | 'revoked'> {
  const untilMs = origin.untilMs + LAST_WAIT_MS
  return looked(() => keyRing.callerOfToken(token, agent, { ...origin, untilMs }))
}

function noAgent(why: 'unknown' | 'revoked', { client }: TokenHolder): GatewayError {
  const named = `\`${client.slice(0, 64)}\``
  const message =
    why === 'unknown'
      ? `the token is good, and ${named} is no agent of this gate`
      : `the token is good, and all keys of its agent ${named} were revoked`
  return new GatewayError('unknown_agent', message)
}

/** A call may be answered that began just in time and waits for a person. */
const LAST_WAIT_MS = 60_000

async function looked<Found>(look: () => Promise<Found>): Promise<Found> {
  try {
    return await look()
  } catch (error) {
    const message = 'the agent cannot be looked up at the moment'
    throw new GatewayError('store_unavailable', message, { cause: error, retryAfterS: 1 })
  }
}

/** `WWW-Authenticate` as RFC 9728 (section 5.1) and RFC 6750 (section 3) have it. */
export function challenge(
  { scopes }: OAuthConfig,
  { metadataUrl }: Resource,
  failed?: { readonly error: string; readonly text: string },
): string {
  const params = [
    ...(failed
      ? [
          ['error', failed.error],
          ['error_description', described(failed.text)],
        ]
      : []),
    ['resource_metadata', metadataUrl],
    ...(scopes.length > 0 ? [['scope', scopes.join(' ')]] : []),
  ]
  return `Bearer ${params.map(([name, value]) => `${name}="${value}"`).join(', ')}`
}

/** What may stand in it: ASCII without quotes and backslashes. */
const described = (text: string): string => text.replace(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, "'")
