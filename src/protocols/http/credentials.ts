import { request } from 'undici'
import type { ClientCredentials, Credential, Upstream } from '../../model/tool.ts'
import { variablesOf } from './credential-variables.ts'

/** What a credential adds to a call. */
export interface Shown {
  readonly headers: Readonly<Record<string, string>>
  /** Pairs of the query, encoded; '' for none. */
  readonly query: string
}

/** There is none to show, and why. Nothing was sent to the upstream. */
export class NoCredential extends Error {
  readonly isRefused: boolean

  constructor(message: string, isRefused = false) {
    super(message)
    this.isRefused = isRefused
  }
}

const NOTHING: Shown = Object.freeze({ headers: {}, query: '' })
const TOKEN_BYTES_MAX = 64 * 1024
const TOKEN_CHARS_MAX = 16_384
/** A token that says nothing of its end. */
const LIFETIME_S = 300
const LIFETIME_S_MAX = 86_400
/** Fetched anew when this share of its time is left, so that none ends on its way. */
const LEFT = 0.1
const LEFT_MS_MAX = 60_000

interface Token {
  readonly value: string
  readonly until: number
}

/** The gate's credentials, made of what the environment holds; tokens are fetched once for all calls that need one. */
export class Credentials {
  readonly #env: Readonly<Record<string, string>>
  readonly #tokens = new Map<string, Token>()
  /** The one before, of each client: what an upstream remembers of earlier calls it may still tell. */
  readonly #former = new Map<string, string>()
  readonly #fetching = new Map<string, Promise<Token>>()

  constructor(env: Readonly<Record<string, string>>) {
    this.#env = env
  }

  /** Tokens that are or were in use: none of them may reach an agent. */
  tokens(): readonly string[] {
    return [...[...this.#tokens.values()].map(({ value }) => value), ...this.#former.values()]
  }

  /** The values that a credential is made of, and what `Basic` makes of them. */
  secretsOf(credential: Credential | null): readonly string[] {
    const values = variablesOf(credential).map((name) => this.#env[name] ?? '')
    if (!credential || !('basic' in credential)) return values
    const both = values.join(':')
    return [...values, both, Buffer.from(both).toString('base64')]
  }

  /** @throws NoCredential */
  async of(upstream: Upstream): Promise<Shown> {
    const { credential } = upstream
    if (!credential) return NOTHING
    if ('oauth2' in credential) {
      const { value } = await this.#token(upstream, credential.oauth2)
      return { headers: bearer(value), query: '' }
    }
    return this.#plain(upstream.name, credential)
  }

  #plain(name: string, credential: Exclude<Credential, { readonly oauth2: unknown }>): Shown {
    const [secret, password] = variablesOf(credential).map((variable) => this.#env[variable])
    const isSet = secret !== undefined && secret !== ''
    if (!isSet || ('basic' in credential && !password)) {
      throw new NoCredential(`the credential of upstream ${name} is not set`)
    }
    if ('query' in credential) {
      const query = `${encodeURIComponent(credential.query)}=${encodeURIComponent(secret)}`
      return { headers: {}, query }
    }
    if ('basic' in credential) {
      const both = Buffer.from(`${secret}:${password}`).toString('base64')
      return { headers: { authorization: `Basic ${both}` }, query: '' }
    }
    return { headers: { [credential.header]: `${credential.prefix}${secret}` }, query: '' }
  }

  /** Takes the token that was shown for spent: an upstream did not accept it. Another one that came meanwhile stays. */
  refused({ credential }: Upstream, shown: Shown): void {
    if (!credential || !('oauth2' in credential)) return
    const id = idOf(credential.oauth2)
    const known = this.#tokens.get(id)
    if (!known || bearer(known.value).authorization !== shown.headers['authorization']) return
    this.#tokens.delete(id)
    this.#former.set(id, known.value)
  }

  async #token(upstream: Upstream, client: ClientCredentials): Promise<Token> {
    const id = idOf(client)
    const known = this.#tokens.get(id)
    if (known && known.until > performance.now()) return known
    const running = this.#fetching.get(id) ?? this.#fetch(id, upstream, client)
    return running
  }

  #fetch(id: string, { name, timeoutMs }: Upstream, client: ClientCredentials): Promise<Token> {
    const running = this.#ask(name, client, timeoutMs)
      .then((token) => {
        const before = this.#tokens.get(id)
        if (before) this.#former.set(id, before.value)
        this.#tokens.set(id, token)
        return token
      })
      .finally(() => this.#fetching.delete(id))
    this.#fetching.set(id, running)
    return running
  }

  // RFC 6749, sections 4.4 and 2.3.1. Nothing of an answer is quoted: an agent would see it.
  async #ask(name: string, client: ClientCredentials, timeoutMs: number): Promise<Token> {
    const [id, secret] = [this.#env[client.clientIdEnv], this.#env[client.clientSecretEnv]]
    if (!id || !secret) throw new NoCredential(`the credential of upstream ${name} is not set`)
    const form = new URLSearchParams({ grant_type: 'client_credentials' })
    if (client.scopes.length > 0) form.set('scope', client.scopes.join(' '))
    if (client.audience !== null) form.set('audience', client.audience)
    const basic = Buffer.from(`${formEncoded(id)}:${formEncoded(secret)}`).toString('base64')
    let answer: unknown
    try {
      const { statusCode, body } = await request(client.tokenUrl, {
        method: 'POST',
        headers: {
          accept: 'application/json',
          authorization: `Basic ${basic}`,
          'content-type': 'application/x-www-form-urlencoded',
          'user-agent': 'portcullis',
        },
        body: form.toString(),
        signal: AbortSignal.timeout(timeoutMs),
      })
      const text = await bounded(body)
      if (statusCode !== 200) {
        throw new NoCredential(`the token server of upstream ${name} answered ${statusCode}`, true)
      }
      answer = JSON.parse(text)
    } catch (error) {
      if (error instanceof NoCredential) throw error
      throw new NoCredential(`the token server of upstream ${name} gave no answer`, true)
    }
    return readToken(name, answer)
  }
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

const idOf = (client: ClientCredentials): string => JSON.stringify(client)

const formEncoded = (text: string): string => new URLSearchParams([['', text]]).toString().slice(1)

async function bounded(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.length
    if (bytes > TOKEN_BYTES_MAX) throw new Error('the answer is too large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function readToken(name: string, answer: unknown): Token {
  const said = (answer ?? {}) as Readonly<Record<string, unknown>>
  const { access_token: value, expires_in: given, token_type: type = 'Bearer' } = said
  const isToken =
    typeof value === 'string' && value.length <= TOKEN_CHARS_MAX && /^[!-~]+$/.test(value)
  if (!isToken || typeof type !== 'string' || type.toLowerCase() !== 'bearer') {
    throw new NoCredential(`the token server of upstream ${name} gave no bearer token`, true)
  }
  const seconds = typeof given === 'number' && given > 0 ? given : Number(given) || LIFETIME_S
  const lifetimeMs = Math.min(seconds, LIFETIME_S_MAX) * 1000
  const left = Math.min(lifetimeMs * LEFT, LEFT_MS_MAX)
  return { value, until: performance.now() + lifetimeMs - left }
}
