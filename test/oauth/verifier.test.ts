import { expect } from 'chai'
import { base64url, exportJWK, SignJWT, UnsecuredJWT } from 'jose'
import { parseConfig, type OAuthConfig } from '../../src/config.ts'
import { ASK_EVERY_MS } from '../../src/oauth/issuer-keys.ts'
import { metadataUrls } from '../../src/oauth/issuer-documents.ts'
import { TokenError } from '../../src/oauth/token-error.ts'
import { isToken, TokenVerifier } from '../../src/oauth/verifier.ts'
import { AuthorizationServer, json, signingKey } from '../support/authorization-server.ts'

const RESOURCE = 'https://gate.example/mcp/crm'
const CLAIMS = { aud: RESOURCE, client_id: 'desk', sub: 'ada' }
const MINUTE_MS = 60_000

let server: AuthorizationServer
/** What the verifier takes for the time. */
let clock = { wallMs: 0, nowMs: 0 }
let logged: unknown[] = []

function pass(ms: number): void {
  clock = { wallMs: clock.wallMs + ms, nowMs: clock.nowMs + ms }
}

function configured(env: Readonly<Record<string, string>> = {}): OAuthConfig {
  const { oauth } = parseConfig({
    PUBLIC_SERVER_URL: 'https://gate.example',
    MCP_OAUTH_ISSUERS: server.issuer,
    ...env,
  })
  if (!oauth) throw new Error('no OAuth')
  return oauth
}

const verifierWith = (env: Readonly<Record<string, string>> = {}): TokenVerifier =>
  new TokenVerifier(
    configured(env),
    { warn: (...said: unknown[]) => void logged.push(said) } as never,
    { wallMs: () => clock.wallMs, nowMs: () => clock.nowMs },
  )

async function problemOf(
  verifier: TokenVerifier,
  token: string,
): Promise<readonly [string, string]> {
  try {
    await verifier.verify(token, [RESOURCE])
    return ['none', '']
  } catch (error) {
    if (!(error instanceof TokenError)) throw error
    expect(error.message).not.to.include(token.split('.')[1])
    return [error.problem, error.message]
  }
}

const mint = (claims: object = {}, header: object = {}) =>
  server.mint({ claims: { ...CLAIMS, ...claims }, header: { ...header } })

describe('access tokens', () => {
  beforeEach(async () => {
    server = await AuthorizationServer.start()
    clock = { wallMs: Date.now(), nowMs: 1_000 }
    logged = []
  })
  afterEach(() => server.stop())

  it('name the agent, the client and the person, and until when', async () => {
    const exp = Math.floor(clock.wallMs / 1_000) + 100
    const holder = await verifierWith().verify(await mint({ exp }), [RESOURCE])
    expect(holder).to.deep.equal({
      ...{ issuer: server.issuer, agent: 'desk', client: 'desk', subject: 'ada' },
      untilMs: (exp + 30) * 1_000,
    })
  })

  it('are told from keys of the gate by their shape', async () => {
    expect(isToken(await mint())).to.equal(true)
    for (const key of ['pk_1234_abc', 'a.b.c', 'ey', 'ey.b', 'ey.b.c.d.e', '']) {
      expect(isToken(key), key).to.equal(false)
    }
  })

  describe('are refused', () => {
    const wrong: readonly (readonly [string, object, object, string])[] = [
      ['of another issuer', { iss: 'https://other.example' }, {}, 'issuer that is not trusted'],
      ['without an issuer', { iss: undefined }, {}, 'issuer that is not trusted'],
      ['for another path', { aud: `${RESOURCE}2` }, {}, `not for ${RESOURCE}`],
      ['for nobody', { aud: undefined }, {}, '`aud`|not for'],
      ['for others in a list', { aud: ['https://a.example', 'b'] }, {}, `not for ${RESOURCE}`],
      ['that never end', { exp: undefined }, {}, '`exp`'],
      ['that end with words', { exp: 'tomorrow' }, {}, '`exp`'],
      ['that begin later', { nbf: 9_999_999_999 }, {}, '`nbf`'],
      ['without a client', { client_id: undefined }, {}, 'client_id'],
      ['whose client is a list', { client_id: ['desk'] }, {}, 'client_id'],
      ['whose client has control characters', { client_id: 'de\u0000sk' }, {}, 'client_id'],
      ['for somebody whose name is too long', { sub: 'a'.repeat(257) }, {}, '`sub`'],
      ['for somebody who is a number', { sub: 7 }, {}, '`sub`'],
      ['for somebody without a name', { sub: '' }, {}, '`sub`'],
      ['bound to a key of the client', { cnf: { jkt: 'x' } }, {}, 'bound to a key'],
      ['that are ID tokens of another type', {}, { typ: 'id+jwt' }, 'type'],
      ['that are proofs', {}, { typ: 'dpop+jwt' }, 'type'],
      ['that say no type', {}, { typ: undefined }, 'type'],
      ['whose type is no text', {}, { typ: 7 }, 'no JWT'],
      ['by a key that the issuer does not have', {}, { kid: 'made-up' }, 'does not have'],
      ['with an extension that nobody knows', {}, { crit: ['exp'] }, 'cannot be checked'],
    ]
    for (const [what, claims, header, words] of wrong) {
      it(what, async () => {
        const unsaid = JSON.parse(JSON.stringify(header)) as object
        const key = server.keys[0]
        if (!key) throw new Error('no key')
        const token =
          'crit' in header
            ? await withHeader({ ...header, alg: 'ES256', typ: 'at+jwt', kid: 'first' })
            : await mint(claims, 'typ' in header && header.typ === undefined ? header : unsaid)
        const [problem, message] = await problemOf(verifierWith(), token)
        expect(problem).to.equal('invalid')
        expect(message).to.match(new RegExp(words.replaceAll('+', '\\+')))
      })
    }

    it('once they have run out, but for the tolerance', async () => {
      const token = await mint({ exp: Math.floor(clock.wallMs / 1_000) + 10 })
      const verifier = verifierWith({ MCP_OAUTH_CLOCK_TOLERANCE_S: '20' })
      pass(29_000)
      expect(await problemOf(verifier, token)).to.deep.equal(['none', ''])
      pass(2_000)
      expect(await problemOf(verifier, token)).to.deep.equal(['expired', 'the token has expired'])
    })

    it('unsigned, signed with a public key as a secret, and by a key that they bring', async () => {
      const verifier = verifierWith()
      const [key] = server.keys
      const none = new UnsecuredJWT({ ...CLAIMS, iss: server.issuer, exp: 9_999_999_999 }).encode()
      const secret = new TextEncoder().encode(JSON.stringify(key?.jwk))
      const hmac = await new SignJWT({ ...CLAIMS, iss: server.issuer, exp: 9_999_999_999 })
        .setProtectedHeader({ alg: 'HS256', typ: 'at+jwt', kid: 'first' })
        .sign(secret)
      const own = await signingKey('first')
      const jwk = await exportJWK(own.privateKey)
      const header = { jwk: { kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y }, jku: server.issuer }
      const brought = await server.mint({ claims: CLAIMS, header, key: own })
      expect((await problemOf(verifier, none))[0]).to.equal('invalid')
      expect((await problemOf(verifier, hmac))[1]).to.include('algorithm')
      expect((await problemOf(verifier, brought))[1]).to.include('signature')
    })

    it('by an algorithm that is not configured', async () => {
      const verifier = verifierWith({ MCP_OAUTH_ALGORITHMS: 'EdDSA' })
      expect((await problemOf(verifier, await mint()))[1]).to.include('algorithm')
    })

    it('without a scope that is needed', async () => {
      const verifier = verifierWith({ MCP_OAUTH_SCOPES: 'mcp:call, mcp:list' })
      for (const claims of [{}, { scope: 'mcp:call' }, { scope: 'mcp:call mcp:list2' }]) {
        const [problem, message] = await problemOf(verifier, await mint(claims))
        expect([problem, message]).to.satisfy(
          ([a, b]: string[]) => a === 'scope' && b?.includes('mcp:list'),
        )
      }
      for (const claims of [
        { scope: 'mcp:list other mcp:call' },
        { scp: ['mcp:call', 'mcp:list'] },
        { scp: 'mcp:call mcp:list' },
      ]) {
        expect((await problemOf(verifier, await mint(claims)))[0]).to.equal('none')
      }
    })

    it('a hundred of them, each with one character changed', async () => {
      const verifier = verifierWith()
      const token = await mint()
      expect((await problemOf(verifier, token))[0]).to.equal('none')
      const step = token.length / 100
      for (let at = 0; at < 100; at++) {
        const place = Math.floor(at * step)
        const was = token[place] ?? ''
        // Another value of the upper five bits: the last characters of a part have bits that mean nothing.
        const now = was === '.' ? 'A' : was === 'g' || was === 'h' ? '4' : 'g'
        const mutated = token.slice(0, place) + now + token.slice(place + 1)
        const problem = isToken(mutated) ? (await problemOf(verifier, mutated))[0] : 'invalid'
        expect(problem, `${place}: ${was} for ${now}`).to.equal('invalid')
      }
      expect(server.keysAsked).to.be.at.most(2)
    })

    it('that are very long, before anything is read', async () => {
      const token = await mint({ x: 'x'.repeat(8_192) })
      expect(await problemOf(verifierWith(), token)).to.deep.equal([
        'invalid',
        'the token is too long',
      ])
      expect(server.asked).to.deep.equal([])
    })
  })

  it('of an issuer that is not configured cause no request, wherever they say that it is', async () => {
    const other = await AuthorizationServer.start()
    const jku = `${other.issuer}/jwks`
    const token = await other.mint({ claims: CLAIMS, header: { jku, x5u: jku } })
    const mixed = await other.mint({
      claims: { ...CLAIMS, iss: server.issuer },
      header: { jku, x5u: jku },
    })
    expect((await problemOf(verifierWith(), token))[0]).to.equal('invalid')
    expect((await problemOf(verifierWith(), mixed))[0]).to.equal('invalid')
    expect(other.asked).to.deep.equal([])
    await other.stop()
  })

  it('of two issuers are each checked by its own keys, and their clients told apart', async () => {
    const other = await AuthorizationServer.start('/tenant')
    const verifier = verifierWith({
      MCP_OAUTH_ISSUERS: `${server.issuer},${other.issuer}`,
      MCP_OAUTH_AGENTS: `${other.issuer}#desk=theirs, desk=ours`,
    })
    const agentOf = async (token: string) => (await verifier.verify(token, [RESOURCE])).agent
    expect(await agentOf(await mint())).to.equal('ours')
    expect(await agentOf(await other.mint({ claims: CLAIMS }))).to.equal('theirs')
    const crossed = await other.mint({ claims: { ...CLAIMS, iss: server.issuer } })
    expect((await problemOf(verifier, crossed))[0]).to.equal('invalid')
    expect(await agentOf(await mint({ client_id: 'unlisted' }))).to.equal('')
    expect(await agentOf(await mint({ client_id: `${other.issuer}#desk` }))).to.equal('')
    await other.stop()
  })

  it('may be for a configured audience, name the agent by another claim, and have no type', async () => {
    const verifier = verifierWith({
      MCP_OAUTH_AUDIENCES: 'api://gate',
      MCP_OAUTH_AGENT_CLAIM: 'https://acme.example/agent',
      MCP_OAUTH_TYPES: 'none',
    })
    const claims = { aud: ['api://gate'], 'https://acme.example/agent': 'desk' }
    const token = await mint(claims, { typ: undefined })
    expect((await verifier.verify(token, [RESOURCE])).agent).to.equal('desk')
    expect((await problemOf(verifier, await mint(claims)))[1]).to.include('type')
  })

  it('are checked by keys of any kind that is configured', async () => {
    for (const alg of ['RS256', 'PS256', 'ES384', 'EdDSA']) {
      const key = await signingKey(alg, alg)
      server.keys = [key, ...server.keys]
      const token = await server.mint({ claims: CLAIMS, key })
      expect((await problemOf(verifierWith(), token))[0], alg).to.equal('none')
    }
  })

  describe('keys', () => {
    it('are asked for once, however many tokens come at once', async () => {
      const verifier = verifierWith()
      const tokens = await Promise.all(Array.from({ length: 20 }, () => mint()))
      await Promise.all(tokens.map((token) => verifier.verify(token, [RESOURCE])))
      expect(server.asked).to.deep.equal(['/.well-known/oauth-authorization-server', '/jwks'])
    })

    it('are asked for again when a token names a new one: a rotation', async () => {
      const verifier = verifierWith()
      const before = await mint()
      expect((await problemOf(verifier, before))[0]).to.equal('none')
      server.keys = [await signingKey('second')]
      pass(ASK_EVERY_MS)
      expect((await problemOf(verifier, await mint()))[0]).to.equal('none')
      expect((await problemOf(verifier, before))[1]).to.include('does not have')
      expect(server.keysAsked).to.equal(2)
    })

    it('are asked for once in ten seconds, whatever tokens name', async () => {
      const verifier = verifierWith()
      expect((await problemOf(verifier, await mint()))[0]).to.equal('none')
      for (let i = 0; i < 20; i++)
        await problemOf(verifier, await mint({}, { kid: `made-up-${i}` }))
      expect(server.keysAsked).to.equal(1)
      pass(ASK_EVERY_MS)
      for (let i = 0; i < 20; i++)
        await problemOf(verifier, await mint({}, { kid: `made-up-${i}` }))
      expect(server.keysAsked).to.equal(2)
    })

    it('are asked for behind when they are five minutes old, and no longer believed after fifteen', async () => {
      const verifier = verifierWith()
      const token = await mint({ exp: Math.floor(clock.wallMs / 1_000) + 7_200 })
      expect((await problemOf(verifier, token))[0]).to.equal('none')
      server.instead.set('/jwks', (res) => json(res, 500, {}))
      pass(6 * MINUTE_MS)
      expect((await problemOf(verifier, token))[0]).to.equal('none')
      pass(10 * MINUTE_MS)
      expect((await problemOf(verifier, token))[0]).to.equal('unavailable')
      server.instead.clear()
      pass(ASK_EVERY_MS)
      expect((await problemOf(verifier, token))[0]).to.equal('none')
    })

    it('that cannot be had are told as that, with when to come again, and not asked for each time', async () => {
      await server.stop()
      const verifier = verifierWith()
      const token = await mint()
      const failures = await Promise.all(
        [1, 2, 3].map(() => verifier.verify(token, [RESOURCE]).catch((error: unknown) => error)),
      )
      for (const failure of failures) {
        expect(failure).to.be.instanceOf(TokenError)
        expect((failure as TokenError).problem).to.equal('unavailable')
        expect((failure as TokenError).retryAfterS).to.be.within(1, 10)
      }
      expect((await problemOf(verifier, token))[0]).to.equal('unavailable')
      expect(logged).to.have.length(1)
      await server.listen()
      pass(ASK_EVERY_MS)
      expect((await problemOf(verifier, token))[0]).to.equal('none')
    })

    it('that are new while the issuer is silent: nobody can tell', async () => {
      const verifier = verifierWith()
      expect((await problemOf(verifier, await mint()))[0]).to.equal('none')
      server.keys = [await signingKey('second')]
      server.instead.set('/jwks', (res) => json(res, 503, {}))
      pass(ASK_EVERY_MS)
      expect((await problemOf(verifier, await mint()))[0]).to.equal('unavailable')
      expect((await problemOf(verifier, await mint()))[0]).to.equal('unavailable')
    })
  })

  describe('metadata', () => {
    const METADATA = '/.well-known/oauth-authorization-server'

    it('is looked for where RFC 8414 and OpenID Connect say', () => {
      expect(metadataUrls('https://as.example')).to.deep.equal([
        'https://as.example/.well-known/oauth-authorization-server',
        'https://as.example/.well-known/openid-configuration',
      ])
      expect(metadataUrls('https://as.example/tenant/')).to.deep.equal([
        'https://as.example/.well-known/oauth-authorization-server/tenant',
        'https://as.example/.well-known/openid-configuration/tenant',
        'https://as.example/tenant/.well-known/openid-configuration',
      ])
    })

    it('of OpenID Connect will do', async () => {
      server.instead.set(METADATA, (res) => json(res, 404, {}))
      server.instead.set('/.well-known/openid-configuration', (res) =>
        json(res, 200, { issuer: server.issuer, jwks_uri: `${server.issuer}/jwks` }),
      )
      expect((await problemOf(verifierWith(), await mint()))[0]).to.equal('none')
    })

    it('is not needed where the keys are configured', async () => {
      const verifier = verifierWith({ MCP_OAUTH_JWKS_URL: `${server.issuer}/jwks` })
      expect((await problemOf(verifier, await mint()))[0]).to.equal('none')
      expect(server.asked).to.deep.equal(['/jwks'])
    })

    const broken: readonly (readonly [string, () => object])[] = [
      [
        'of another issuer',
        () => ({ issuer: 'https://x.example', jwks_uri: `${server.issuer}/jwks` }),
      ],
      [
        'with its slash',
        () => ({ issuer: `${server.issuer}/`, jwks_uri: `${server.issuer}/jwks` }),
      ],
      ['without keys', () => ({ issuer: server.issuer })],
      [
        'with keys at no https',
        () => ({ issuer: server.issuer, jwks_uri: 'http://10.0.0.1/jwks' }),
      ],
      ['with keys in a file', () => ({ issuer: server.issuer, jwks_uri: 'file:///etc/passwd' })],
      [
        'with a password',
        () => ({ issuer: server.issuer, jwks_uri: 'https://a:b@x.example/jwks' }),
      ],
    ]
    for (const [what, metadata] of broken) {
      it(`${what} is not used`, async () => {
        server.instead.set(METADATA, (res) => json(res, 200, metadata()))
        expect((await problemOf(verifierWith(), await mint()))[0]).to.equal('unavailable')
        expect(server.keysAsked).to.equal(0)
      })
    }

    it('and keys are taken from where they were asked for: redirects are not followed', async () => {
      const other = await AuthorizationServer.start()
      other.keys = server.keys
      const elsewhere = `${other.issuer}/jwks`
      server.instead.set('/jwks', (res) => res.writeHead(302, { location: elsewhere }).end())
      expect((await problemOf(verifierWith(), await mint()))[0]).to.equal('unavailable')
      expect(other.asked).to.deep.equal([])
      await other.stop()
    })

    it('and keys are bounded, and have to be JSON', async () => {
      for (const body of ['x'.repeat(300_000), '{"keys": 7}', '[]', 'null', '<html>']) {
        server.instead.set('/jwks', (res) => res.end(body))
        expect((await problemOf(verifierWith(), await mint()))[0]).to.equal('unavailable')
      }
      const [key] = server.keys
      const many = { keys: Array.from({ length: 101 }, () => key?.jwk) }
      server.instead.set('/jwks', (res) => json(res, 200, many))
      expect((await problemOf(verifierWith(), await mint()))[0]).to.equal('unavailable')
    })

    it('may have keys that are none: the others do', async () => {
      const keys = [{ kty: 'oct', k: 'AAAA', kid: 'first' }, { kty: 'new' }, server.keys[0]?.jwk]
      server.instead.set('/jwks', (res) => json(res, 200, { keys }))
      expect((await problemOf(verifierWith(), await mint()))[0]).to.equal('none')
    })
  })
})

async function withHeader(header: object): Promise<string> {
  // As nobody would sign it: the signature is of another header, and is not come to.
  const token = await mint()
  const [, payload, signature] = token.split('.')
  return `${base64url.encode(JSON.stringify(header))}.${payload}.${signature}`
}
