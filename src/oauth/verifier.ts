import { decodeJwt, decodeProtectedHeader, errors, jwtVerify, type JWTPayload } from 'jose'
import type { OAuthConfig } from '../config.ts'
import type { Logger } from '../lib/log.ts'
import { keysOf } from './issuer-documents.ts'
import { IssuerKeys } from './issuer-keys.ts'
import { TokenError } from './token-error.ts'

// Whether an access token is good, and who it says it is. The gate is a resource server: it takes JWTs (RFC 9068) of the issuers
// that it is configured with, by their public keys, for the resource that is asked for (RFC 8707), and believes nothing of them but
// names: which roles an agent has is the gate's own affair.

/** Node takes 16 KiB of headers in all. */
const TOKEN_CHARS_MAX = 8_192
const NAME_CHARS_MAX = 256
/** A JSON object in base64url, and two more parts. Keys of the gate are none. */
const TOKEN = /^ey[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*$/

export const isToken = (text: string): boolean => TOKEN.test(text)

/** Whom a good token names. */
export interface TokenHolder {
  readonly issuer: string
  /** The name or id of the agent. */
  readonly agent: string
  /** The claim that named it. */
  readonly client: string
  /** For whom the client acts; '' where nothing is said. */
  readonly subject: string
  /** From then on it is not taken any more. */
  readonly untilMs: number
}

export interface TokenClock {
  /** Milliseconds since 1970. */
  readonly wallMs: () => number
  /** Grows, and does not jump. */
  readonly nowMs: () => number
}

const CLOCK: TokenClock = { wallMs: () => Date.now(), nowMs: () => performance.now() }

/** Checks tokens of the configured issuers. */
export class TokenVerifier {
  readonly #config: OAuthConfig
  readonly #clock: TokenClock
  readonly #keys: ReadonlyMap<string, IssuerKeys>

  constructor(config: OAuthConfig, log: Pick<Logger, 'warn'>, clock: TokenClock = CLOCK) {
    this.#config = config
    this.#clock = clock
    const { nowMs } = clock
    this.#keys = new Map(
      config.issuers.map((issuer) => {
        const ask = () => keysOf({ issuer, jwksUrl: config.jwksUrl })
        return [issuer, new IssuerKeys({ issuer, ask, log, nowMs })]
      }),
    )
  }

  /**
   * Whom a token names that is for one of these audiences, or a configured one.
   * @throws TokenError
   */
  async verify(token: string, audiences: readonly string[]): Promise<TokenHolder> {
    const issuer = this.#issuerOf(token)
    const payload = await this.#payload(token, issuer, audiences)
    // What it is bound to is not looked at here (RFC 9449, RFC 8705), and without that it may be stolen.
    if (payload['cnf'] !== undefined) {
      throw new TokenError('invalid', 'the token is bound to a key that is not asked for here')
    }
    this.#assertScopes(payload)
    return this.#holder(payload, issuer)
  }

  // Before anything is looked up: only configured issuers are ever asked for keys.
  #issuerOf(token: string): string {
    const { iss, typ } = unverified(token)
    const { types } = this.#config
    if (!types.includes(typ)) {
      throw new TokenError('invalid', `the token is of a type that is not taken here`)
    }
    if (typeof iss === 'string' && this.#keys.has(iss)) return iss
    throw new TokenError('invalid', 'the token is of an issuer that is not trusted here')
  }

  async #payload(
    token: string,
    issuer: string,
    audiences: readonly string[],
  ): Promise<JWTPayload & { readonly exp: number }> {
    const { algorithms, audiences: also, clockToleranceS } = this.#config
    const keys = this.#keys.get(issuer)
    try {
      const { payload } = await jwtVerify(
        token,
        async (header, jws) => {
          if (!keys) throw new Error('an issuer without keys')
          return keys.find(header, jws)
        },
        {
          issuer,
          audience: [...audiences, ...also],
          algorithms: [...algorithms],
          clockTolerance: clockToleranceS,
          requiredClaims: ['exp'],
          currentDate: new Date(this.#clock.wallMs()),
        },
      )
      return payload as JWTPayload & { readonly exp: number }
    } catch (error) {
      throw error instanceof TokenError ? error : refused(error, audiences)
    }
  }

  #assertScopes(payload: JWTPayload): void {
    const { scopes } = this.#config
    const has = scopesIn(payload)
    const missing = scopes.filter((scope) => !has.has(scope))
    if (missing.length === 0) return
    throw new TokenError('scope', `the token lacks the scope \`${missing.join(' ')}\``)
  }

  #holder(payload: JWTPayload & { readonly exp: number }, issuer: string): TokenHolder {
    const { agentClaim, agents, clockToleranceS } = this.#config
    const client = nameIn(payload, agentClaim)
    if (client === undefined) {
      throw new TokenError(
        'invalid',
        `the token has no claim \`${agentClaim}\` that names an agent`,
      )
    }
    // One that cannot be told from others would be taken for nobody, as whom others come too.
    const subject = payload.sub === undefined ? '' : nameIn(payload, 'sub')
    if (subject === undefined) {
      throw new TokenError('invalid', 'the token has a claim `sub` that names nobody')
    }
    const agent = agents ? agentIn(agents, issuer, client) : client
    return {
      ...{ issuer, client, subject, agent: agent ?? '' },
      untilMs: (payload.exp + clockToleranceS) * 1_000,
    }
  }
}

// A client that is called as another issuer's would be written is not that one.
const agentIn = (agents: ReadonlyMap<string, string>, issuer: string, client: string) =>
  agents.get(`${issuer}#${client}`) ?? (client.includes('#') ? undefined : agents.get(client))

function unverified(token: string): { readonly iss: unknown; readonly typ: string } {
  if (token.length > TOKEN_CHARS_MAX) throw new TokenError('invalid', 'the token is too long')
  try {
    const { typ = 'none' } = decodeProtectedHeader(token)
    const { iss } = decodeJwt(token)
    return { iss, typ: typ.toLowerCase().replace(/^application\//, '') }
  } catch (error) {
    throw new TokenError('invalid', 'the token is no JWT', { cause: error })
  }
}

/** RFC 9068 has `scope`, a text; some servers have `scp`, a list or a text. */
function scopesIn({ scope, scp }: JWTPayload): ReadonlySet<string> {
  const lists = [scope, scp].map((said) => (typeof said === 'string' ? said.split(' ') : said))
  const all = lists.flatMap((said): readonly unknown[] => (Array.isArray(said) ? said : []))
  return new Set(all.filter((one) => typeof one === 'string'))
}

function nameIn(payload: JWTPayload, claim: string): string | undefined {
  const name = Object.hasOwn(payload, claim) ? payload[claim] : undefined
  const isName =
    typeof name === 'string' &&
    name !== '' &&
    name.length <= NAME_CHARS_MAX &&
    name.isWellFormed() &&
    !/\p{Cc}/u.test(name)
  return isName ? name : undefined
}

/** Why jose refused it, in words that tell nothing that whoever made the token does not know. */
function refused(error: unknown, audiences: readonly string[]): TokenError {
  const said = (problem: 'invalid' | 'expired', message: string) =>
    new TokenError(problem, message, { cause: error })
  if (error instanceof errors.JWTExpired) return said('expired', 'the token has expired')
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === 'aud') return said('invalid', `the token is not for ${audiences[0] ?? ''}`)
    return said('invalid', `the token's claim \`${error.claim}\` does not hold`)
  }
  if (error instanceof errors.JOSEAlgNotAllowed) {
    return said('invalid', 'the token is signed by an algorithm that is not taken here')
  }
  if (error instanceof errors.JWKSNoMatchingKey) {
    return said('invalid', 'the token is signed by a key that its issuer does not have')
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    return said('invalid', "the token's signature does not hold")
  }
  return said('invalid', 'the token cannot be checked')
}
