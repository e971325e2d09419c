import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose'

// A real authorization server: metadata, keys and tokens over HTTP, with keys that are made for it. What it answers can be
// broken in each way that a test is about.

interface SigningKey {
  readonly kid: string
  readonly alg: string
  readonly privateKey: CryptoKey
  readonly jwk: JWK
}

export interface Minted {
  readonly claims?: Readonly<Record<string, unknown>>
  readonly header?: Readonly<Record<string, unknown>>
  readonly key?: SigningKey
}

type Answer = (res: http.ServerResponse) => void

export class AuthorizationServer {
  /** Path of each request, in order. */
  readonly asked: string[] = []
  /** Form of each request for a token. */
  readonly tokenRequests: URLSearchParams[] = []
  /** Answers in place of the server's own, by path. */
  readonly instead = new Map<string, Answer>()
  /** What a client gets a token as. */
  readonly clients = new Map<string, string>()
  /** Claims of every token that is asked for. */
  given: Readonly<Record<string, unknown>> = {}
  keys: SigningKey[] = []
  readonly #server: http.Server
  readonly #path: string
  #port = 0

  private constructor(path: string) {
    this.#path = path
    this.#server = http.createServer((req, res) => void this.#answer(req, res))
  }

  /** Its issuer is `http://127.0.0.1:PORT` with this path. */
  static async start(path = ''): Promise<AuthorizationServer> {
    const server = new AuthorizationServer(path)
    await server.listen()
    server.keys = [await signingKey('first')]
    return server
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.#port, '127.0.0.1', resolve))
    this.#port = (this.#server.address() as AddressInfo).port
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  get issuer(): string {
    return `http://127.0.0.1:${this.#port}${this.#path}`
  }

  /** How often its keys were asked for. */
  get keysAsked(): number {
    return this.asked.filter((path) => path === `${this.#path}/jwks`).length
  }

  /** A token as it makes them, but for what is said otherwise; `undefined` leaves a claim out. */
  async mint({ claims = {}, header = {}, key = this.keys[0] }: Minted = {}): Promise<string> {
    if (!key) throw new Error('it has no key')
    const now = Math.floor(Date.now() / 1_000)
    const payload = { iss: this.issuer, iat: now, exp: now + 300, jti: 'jti', ...claims }
    return new SignJWT(JSON.parse(JSON.stringify(payload)) as Record<string, unknown>)
      .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: 'at+jwt', ...header })
      .sign(key.privateKey)
  }

  async #answer(req: http.IncomingMessage, res: http.ServerResponse): Promise<void> {
    const path = req.url ?? ''
    this.asked.push(path)
    const chunks: Buffer[] = []
    for await (const chunk of req as AsyncIterable<Buffer>) chunks.push(chunk)
    const instead = this.instead.get(path)
    if (instead) {
      instead(res)
      return
    }
    const below = path.startsWith(this.#path) ? path.slice(this.#path.length) : path
    if (path === `/.well-known/oauth-authorization-server${this.#path}`) {
      json(res, 200, this.#metadata())
    } else if (below === '/jwks') {
      json(res, 200, { keys: this.keys.map(({ jwk }) => jwk) })
    } else if (below === '/token') await this.#token(req, Buffer.concat(chunks).toString(), res)
    else json(res, 404, {})
  }

  #metadata() {
    const { issuer } = this
    return {
      issuer,
      jwks_uri: `${issuer}/jwks`,
      token_endpoint: `${issuer}/token`,
      authorization_endpoint: `${issuer}/authorize`,
      response_types_supported: ['code'],
      grant_types_supported: ['client_credentials'],
      token_endpoint_auth_methods_supported: ['client_secret_basic'],
      code_challenge_methods_supported: ['S256'],
    }
  }

  async #token(req: http.IncomingMessage, form: string, res: http.ServerResponse): Promise<void> {
    const asked = new URLSearchParams(form)
    this.tokenRequests.push(asked)
    const [, basic = ''] = (req.headers.authorization ?? '').split(' ')
    const [id = '', secret] = Buffer.from(basic, 'base64').toString().split(':')
    if (secret === undefined || this.clients.get(id) !== secret) {
      json(res, 401, { error: 'invalid_client' })
      return
    }
    const scope = asked.get('scope') ?? ''
    const claims = { client_id: id, sub: id, aud: asked.get('resource'), scope, ...this.given }
    const token = await this.mint({ claims })
    json(res, 200, { access_token: token, token_type: 'Bearer', expires_in: 300, scope })
  }
}

/** A key of an authorization server, which becomes one of it where it is put among its keys. */
export async function signingKey(kid: string, alg = 'ES256'): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  const jwk = { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' }
  return { kid, alg, privateKey, jwk }
}

export function json(res: http.ServerResponse, status: number, body: unknown): void {
  res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
