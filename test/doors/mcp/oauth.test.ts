import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import {
  Client as Client2,
  ClientCredentialsProvider as Credentials2,
  StreamableHTTPClientTransport as Http2,
} from '@modelcontextprotocol/client'
import { ClientCredentialsProvider as Credentials1 } from '@modelcontextprotocol/sdk/client/auth-extensions.js'
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as Http1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { KeyRing, type Caller } from '../../../src/agents/keys.ts'
import { RegistryEpoch } from '../../../src/store/registry-epoch.ts'
import { AuthorizationServer, json, signingKey } from '../../support/authorization-server.ts'
import { ADMIN, heard, TestGate, until, type Answer } from '../../support/gate.ts'
import { freePort } from '../../support/gate-process.ts'
import { GATE, TOOLS } from '../../support/policies.ts'
import { pinsOf } from './pinned.ts'
import { McpServerFixture, SERVED } from './servers.ts'

const VERSION = 'io.modelcontextprotocol/protocolVersion'
const CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities'
const ENVELOPE = { [VERSION]: '2026-07-28', [CAPABILITIES]: {} }
const ACTION = 'dev.portcullis/action'
const ERROR = 'dev.portcullis/error'
const WELL_KNOWN = '/.well-known/oauth-protected-resource'
const ME = { name: 'tests', version: '1' }

const policies = (url: string) => ({
  'tools.yaml': `${TOOLS.replace(
    'tools:\n',
    `  crm: { mcp: { url: "${url}" }, timeout_ms: 30000 }\ntools:\n`,
  )}\nmcp: { hold_s: 0, tools: { 'crm:find': { effect: read } } }\n`,
  'gate.yaml': GATE.replace(
    'rate_limits:',
    `  - { roles: [worker], tools: ["mcp.crm.find"], effect: allow }
  - { roles: [worker], tools: ["mcp.crm.store"], effect: require_approval }
rate_limits:`,
  ),
  'mcp-pins.json': pinsOf('crm', SERVED),
})

describe('MCP with tokens of an authorization server', () => {
  let issuer: AuthorizationServer
  let server: McpServerFixture
  let gate: TestGate
  let base: string
  let calls = 0
  before(async () => {
    issuer = await AuthorizationServer.start()
    server = await McpServerFixture.start('legacy')
    const port = await freePort()
    base = `http://127.0.0.1:${port}`
    gate = await TestGate.start({
      policies: policies(server.url),
      env: {
        PORT: String(port),
        PUBLIC_SERVER_URL: base,
        TRUSTED_PROXIES: '127.0.0.1',
        MCP_OAUTH_ISSUERS: issuer.issuer,
        MCP_OAUTH_SCOPES: 'mcp:call',
      },
    })
    await gate.agent('desk')
  })
  after(async () => {
    await gate.stop()
    await server.stop()
    await issuer.stop()
  })
  beforeEach(() => issuer.instead.clear())

  const minted = (claims: object = {}, route = '/mcp/crm') =>
    issuer.mint({
      claims: {
        ...{ aud: `${base}${route}`, client_id: 'desk', sub: 'ada', scope: 'mcp:call' },
        ...claims,
      },
    })

  const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

  const post = (
    method: string,
    params: Record<string, unknown>,
    headers: Record<string, string>,
    route = '/mcp/crm',
  ) =>
    heard(() =>
      gate.call('POST', route, {
        key: null,
        headers: {
          'mcp-protocol-version': '2026-07-28',
          'mcp-method': method,
          ...(typeof params['name'] === 'string' ? { 'mcp-name': params['name'] } : {}),
          ...headers,
        },
        body: {
          ...{ jsonrpc: '2.0', id: ++calls, method },
          params: { ...params, _meta: ENVELOPE },
        },
      }),
    )
  const list = (token: string, route = '/mcp/crm') => post('tools/list', {}, bearer(token), route)
  const find = (token: string, id: string) =>
    post('tools/call', { name: 'find', arguments: { id } }, bearer(token))
  const challengeOf = ({ headers }: Answer) => headers.get('www-authenticate') ?? ''
  const metadataOf = (route: string) => `resource_metadata="${base}${WELL_KNOWN}${route}"`
  const codeOf = ({ status, body }: Answer) => [status, body.error?.data?.code]

  describe('the document', () => {
    it('says of each path whose tokens are taken, and which URL they are for', async () => {
      for (const route of ['', '/mcp', '/mcp/crm', '/mcp/tools', '/mcp/portcullis', '/mcp/none']) {
        const { status, body } = await gate.call('GET', `${WELL_KNOWN}${route}`, { key: null })
        expect(status).to.equal(200)
        expect(body).to.deep.include({
          resource: `${base}${route}`,
          authorization_servers: [issuer.issuer],
          scopes_supported: ['mcp:call'],
          bearer_methods_supported: ['header'],
        })
      }
    })

    it('is of what can be a path, and does not follow the host of a request', async () => {
      for (const route of ['/act', '/mcp/UPPER', '/mcp/a/b', '/mcp/%22']) {
        const { status } = await gate.call('GET', `${WELL_KNOWN}${route}`, { key: null })
        expect(status, route).to.equal(404)
      }
      const headers = { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https' }
      const { body } = await gate.call('GET', `${WELL_KNOWN}/mcp`, { key: null, headers })
      expect(body.resource).to.equal(`${base}/mcp`)
    })
  })

  describe('whoever has no token', () => {
    it('is told where there are some, on every method and path', async () => {
      for (const route of ['/mcp', '/mcp/crm', '/mcp/tools', '/mcp/portcullis']) {
        for (const method of ['POST', 'GET', 'DELETE']) {
          const answer = await gate.call(method, route, { key: null })
          expect(codeOf(answer)).to.deep.equal([401, 'unauthenticated'])
          expect(challengeOf(answer)).to.equal(`Bearer ${metadataOf(route)}, scope="mcp:call"`)
        }
      }
    })

    it('is told so too with a key that is wrong, and only at these paths', async () => {
      const answer = await gate.call('POST', '/mcp/crm', { key: null, headers: bearer('pk_wrong') })
      expect(codeOf(answer)).to.deep.equal([401, 'unauthenticated'])
      expect(challengeOf(answer)).to.match(/^Bearer error="invalid_token", .*resource_metadata="/)
      const elsewhere = await gate.call('GET', '/whoami', { key: null })
      expect(challengeOf(elsewhere)).to.equal('Bearer')
    })

    it('may have a key of the gate, in either header', async () => {
      const key = await gate.agent('keyed')
      expect((await post('tools/list', {}, bearer(key))).status).to.equal(200)
      expect((await post('tools/list', {}, { 'x-api-key': key })).status).to.equal(200)
      expect((await post('tools/list', {}, { 'x-api-key': ADMIN })).status).to.equal(200)
    })
  })

  describe('a good token', () => {
    it('lists what its agent may call, and calls it, as that agent', async () => {
      const token = await minted()
      const { body } = await list(token)
      expect(body.result.tools.map(({ name }: { name: string }) => name)).to.deep.equal([
        ...['find', 'store'],
      ])
      const called = await find(token, 'p-1')
      expect(called.body.result.structuredContent, called.text).to.deep.equal({ found: 'p-1' })
      const id = called.body.result._meta[ACTION].action_id
      const action = (await gate.call('GET', `/actions/${id}`)).body
      expect(action.agent_name ?? action.agent).to.equal('desk')
      expect(action.request.context.mcp).to.deep.equal({
        server: 'crm',
        oauth: { issuer: issuer.issuer, client_id: 'desk', subject: 'ada' },
      })
    })

    it('goes nowhere: not to the server, not into the record, not into the log', async () => {
      const token = await minted()
      server.headers.length = 0
      await find(token, 'secret-way')
      await list(await minted({ aud: 'https://elsewhere.example' }))
      const [, claims = '', signature = ''] = token.split('.')
      expect(server.headers).not.to.have.length(0)
      expect(JSON.stringify(server.headers)).not.to.include(claims)
      expect(server.headers.map(({ authorization }) => authorization)).to.satisfy(
        (all: unknown[]) => all.every((one) => one === undefined),
      )
      const record = [
        (await gate.call('GET', '/actions?limit=100')).text,
        (await gate.call('GET', '/audit?limit=100')).text,
        fs.readFileSync(path.join(gate.dataDir, 'app.log'), 'utf8'),
      ]
      expect(record[0]).to.include('secret-way')
      for (const text of record) {
        expect(text).not.to.include(claims)
        expect(text).not.to.include(signature)
      }
    })

    it('says nothing about roles: they are the gate\u2019s own', async () => {
      await gate.agent('powerless', ['nobody'])
      const claims = { client_id: 'powerless', roles: ['worker', 'admin'], role: 'admin' }
      const token = await minted(claims)
      expect((await list(token)).body.result.tools).to.deep.equal([])
      expect((await find(token, 'x')).body.error.message).to.equal('Unknown tool: find')
    })

    it('is good for the gate as a whole where it is made out to it, and for a path that has a slash', async () => {
      for (const aud of [base, `${base}/`, [`${base}/mcp/crm`, 'x']]) {
        expect((await list(await minted({ aud }))).status).to.equal(200)
      }
      expect((await list(await minted(), '/mcp/crm/')).status).to.equal(200)
    })

    it('is good at the path that it is for, and at no other, however that is spelt', async () => {
      const token = await minted({}, '/mcp')
      expect((await list(token, '/mcp')).status).to.equal(200)
      for (const route of ['/mcp/crm', '/mcp/tools', '/mcp/%63rm', '/mcp/cr%6d']) {
        const answer = await list(token, route)
        expect(codeOf(answer), route).to.deep.equal([401, 'unauthenticated'])
        expect(challengeOf(answer)).to.include('error="invalid_token"')
      }
    })

    it('is good below /mcp only, in the header only, and beside no key', async () => {
      const token = await minted({ aud: base })
      const act = { tool: 'items.list', args: {} }
      const elsewhere = await gate.call('POST', '/act', {
        key: null,
        headers: bearer(token),
        body: act,
      })
      expect(elsewhere.status).to.equal(401)
      const inQuery = await gate.call('POST', `/mcp/crm?access_token=${token}`, {
        key: null,
        body: {},
      })
      expect(inQuery.status).to.equal(401)
      const both = await post('tools/list', {}, { ...bearer(token), 'x-api-key': ADMIN })
      expect(codeOf(both)).to.deep.equal([400, 'invalid_request'])
    })

    it('is told as whose it is: what one person asked for is not joined by another', async () => {
      const store = async (sub: string) => {
        const token = await minted({ sub })
        const params = { name: 'store', arguments: { id: 'same' } }
        return (await post('tools/call', params, bearer(token))).body.result._meta[ERROR]
      }
      const first = await store('ada')
      expect(first.code).to.equal('approval_pending')
      expect((await store('ada')).action_id).to.equal(first.action_id)
      expect((await store('grace')).action_id).not.to.equal(first.action_id)
    })

    it('is the only one to say so: an agent with a key cannot', async () => {
      const key = await gate.agent('pretending')
      const context = { mcp: { server: 'crm', oauth: { subject: 'ada' } } }
      for (const [route, what] of [
        ['/act', { tool: 'items.list', args: {} }],
        ['/turn', { prompt: 'hello' }],
      ] as const) {
        const { status, body } = await gate.call('POST', route, { key, body: { ...what, context } })
        expect([status, body.error.code], route).to.deep.equal([400, 'invalid_request'])
      }
    })

    it('has the sessions of its person, which another token of it goes on with', async () => {
      const initialize = {
        ...{ jsonrpc: '2.0', id: 1, method: 'initialize' },
        params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: ME },
      }
      const begun = await gate.call('POST', '/mcp/crm', {
        key: null,
        headers: bearer(await minted()),
        body: initialize,
      })
      const session = begun.headers.get('mcp-session-id') ?? ''
      const listed = async (claims: object) =>
        gate.call('POST', '/mcp/crm', {
          key: null,
          headers: { ...bearer(await minted(claims)), 'mcp-session-id': session },
          body: { jsonrpc: '2.0', id: 2, method: 'tools/list' },
        })
      expect((await listed({ jti: 'next' })).status).to.equal(200)
      expect((await listed({ sub: 'grace' })).status).to.equal(404)
    })
  })

  describe('a token is refused', () => {
    it('with what is wrong with it, as RFC 6750 has it', async () => {
      const stranger = await signingKey('first')
      const wrong: readonly (readonly [string, string])[] = [
        [await minted({ iss: 'https://other.example' }), 'issuer'],
        [await minted({ aud: 'https://other.example' }), 'not for'],
        [await minted({ exp: 1 }), 'expired'],
        [await minted({ client_id: undefined }), 'client_id'],
        [await issuer.mint({ claims: { aud: `${base}/mcp/crm` }, key: stranger }), 'signature'],
      ]
      for (const [token, words] of wrong) {
        const answer = await list(token)
        expect(codeOf(answer)).to.deep.equal([401, 'unauthenticated'])
        expect(challengeOf(answer)).to.match(
          /^Bearer error="invalid_token", error_description="[^"]+", resource_metadata="[^"]+", scope="mcp:call"$/,
        )
        expect(challengeOf(answer)).to.include(words)
        expect(answer.body.error.message).to.include(words)
      }
    })

    it('for less than is needed: insufficient_scope, with what is needed', async () => {
      const answer = await list(await minted({ scope: 'other' }))
      expect(codeOf(answer)).to.deep.equal([403, 'insufficient_scope'])
      expect(challengeOf(answer)).to.match(
        /^Bearer error="insufficient_scope", .*scope="mcp:call"$/,
      )
    })

    it('of a client that is no agent: it would not help to get another', async () => {
      const answer = await list(await minted({ client_id: 'stranger' }))
      expect(codeOf(answer)).to.deep.equal([403, 'unknown_agent'])
      expect(answer.body.error.message).to.include('`stranger` is no agent of this gate')
      expect(challengeOf(answer)).to.equal('')
    })

    it('of an agent whose keys were all revoked, and its streams end', async () => {
      await gate.agent('fired')
      const token = await minted({ client_id: 'fired' })
      expect((await list(token)).status).to.equal(200)
      const stream = await listening(token)
      const { body } = await gate.call('GET', '/api/v1/keys')
      const [{ id }] = body.keys.filter(({ name }: { name: string }) => name === 'fired')
      await heard(() => gate.call('DELETE', `/api/v1/keys/${id}`))
      await stream.ended
      await until('it is refused', async () => (await list(token)).status === 403)
      const answer = await list(token)
      expect(codeOf(answer)).to.deep.equal([403, 'unknown_agent'])
      expect(answer.body.error.message).to.include('revoked')
    })

    it('while nobody can tell: 503 and when to come again, but 401 for what is wrong in any case', async () => {
      const other = await AuthorizationServer.start()
      const port = await freePort()
      const env = {
        PORT: String(port),
        PUBLIC_SERVER_URL: `http://127.0.0.1:${port}`,
        MCP_OAUTH_ISSUERS: other.issuer,
      }
      const second = await TestGate.start({ env })
      const ask = (token: string) =>
        second.call('POST', '/mcp', { key: null, headers: bearer(token), body: {} })
      try {
        other.instead.set('/jwks', (res) => json(res, 500, {}))
        const good = await ask(await other.mint())
        expect(codeOf(good)).to.deep.equal([503, 'issuer_unavailable'])
        expect(Number(good.headers.get('retry-after'))).to.be.within(1, 10)
        expect(challengeOf(good)).to.equal('')
        expect(good.body.error.data.retryable).to.equal(true)
        const wrong = await ask(await other.mint({ claims: { iss: 'https://x.example' } }))
        expect(codeOf(wrong)).to.deep.equal([401, 'unauthenticated'])
      } finally {
        await second.stop()
        await other.stop()
      }
    })

    it('too often: whoever sends wrong ones waits, whoever sends old ones does not', async () => {
      const headers = (token: string) => ({ ...bearer(token), 'x-forwarded-for': '198.51.100.7' })
      const ask = async (claims: object) =>
        (await post('tools/list', {}, headers(await minted(claims)))).status
      const statuses = async (claims: object) => {
        const seen: number[] = []
        for (let i = 0; i < 22; i++) seen.push(await ask(claims))
        return [...new Set(seen)]
      }
      expect(await statuses({ exp: 1 })).to.deep.equal([401])
      expect(await statuses({ aud: 'x' })).to.deep.equal([401, 429])
      expect(await ask({})).to.equal(200)
    })
  })

  describe('what stops an agent stops its tokens', () => {
    it('a pause', async () => {
      await gate.agent('tired')
      const token = await minted({ client_id: 'tired' })
      const pause = { body: { status: 'paused' } }
      await heard(() => gate.call('PATCH', '/api/v1/agents/tired', pause))
      const { body, text } = await find(token, 'x')
      expect(body.result?._meta[ERROR].code, text).to.equal('agent_paused')
    })

    it('the kill switch', async () => {
      const token = await minted()
      const kill = (engaged: boolean) =>
        heard(() => gate.call('PUT', '/kill-switch', { body: { engaged, reason: 'drill' } }))
      await kill(true)
      const { body, text } = await find(token, 'x')
      expect(body.result?._meta[ERROR].code, text).to.equal('kill_switch_engaged')
      await kill(false)
      await until('it works again', async () => !(await find(token, 'x')).body.result?.isError)
    })

    it('its end', async () => {
      await gate.agent('leaving')
      const token = await minted({ client_id: 'leaving' })
      expect((await list(token)).status).to.equal(200)
      const stream = await listening(token)
      await heard(() => gate.call('DELETE', '/api/v1/agents/leaving'))
      await stream.ended
      await until('it is refused', async () => (await list(token)).status === 403)
    })
  })

  describe('published clients find the way by themselves', () => {
    const clients: Readonly<Record<string, (url: string) => Promise<readonly string[]>>> = {
      'SDK 1.x': async (url) => {
        const authProvider = new Credentials1({
          ...{
            clientId: 'desk',
            clientSecret: 's3cret',
            expectedIssuer: issuer.issuer,
            scope: 'mcp:call',
          },
        })
        const client = new Client1(ME)
        await client.connect(new Http1(new URL(url), { authProvider }))
        const { tools } = await client.listTools()
        await client.callTool({ name: 'find', arguments: { id: 'one' } })
        await client.close()
        return tools.map(({ name }) => name)
      },
      'SDK 2.x': async (url) => {
        const authProvider = new Credentials2({
          ...{
            clientId: 'desk',
            clientSecret: 's3cret',
            expectedIssuer: issuer.issuer,
            scope: 'mcp:call',
          },
        })
        const client = new Client2(ME)
        await client.connect(new Http2(new URL(url), { authProvider }))
        const { tools } = await client.listTools()
        await client.callTool({ name: 'find', arguments: { id: 'two' } })
        await client.close()
        return tools.map(({ name }) => name)
      },
    }
    for (const [label, run] of Object.entries(clients)) {
      it(`${label}: from the address of the gate and the client's own secret`, async () => {
        issuer.clients.set('desk', 's3cret')
        issuer.tokenRequests.length = 0
        expect(await run(`${base}/mcp/crm`)).to.deep.equal(['find', 'store'])
        expect(issuer.tokenRequests.map((asked) => asked.get('resource'))).to.deep.equal([
          `${base}/mcp/crm`,
        ])
        expect(issuer.tokenRequests[0]?.get('scope')).to.equal('mcp:call')
      })
    }
  })

  /** A subscription to what changes, once it is open. */
  async function listening(token: string): Promise<{ readonly ended: Promise<unknown> }> {
    const response = await fetch(`${base}/mcp/crm`, {
      method: 'POST',
      headers: {
        ...bearer(token),
        'content-type': 'application/json',
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': 'subscriptions/listen',
      },
      body: JSON.stringify({
        ...{ jsonrpc: '2.0', id: 'sub', method: 'subscriptions/listen' },
        params: { notifications: { toolsListChanged: true }, _meta: ENVELOPE },
      }),
    })
    expect(response.status).to.equal(200)
    return { ended: response.text().catch(() => 'cut') }
  }
})

describe('a gate without an authorization server', () => {
  it('has no document, and takes a token for a key that is wrong', async () => {
    const gate = await TestGate.start()
    try {
      expect((await gate.call('GET', `${WELL_KNOWN}/mcp`, { key: null })).status).to.equal(404)
      const authorization = 'Bearer eyJhbGciOiJub25lIn0.e30.'
      const answer = await gate.call('POST', '/mcp', {
        key: null,
        headers: { authorization },
        body: {},
      })
      expect(answer.status).to.equal(401)
      expect(answer.headers.get('www-authenticate')).to.equal('Bearer')
    } finally {
      await gate.stop()
    }
  })
})

describe('streams that were opened with a token', () => {
  it('end when it is over, without a question', async () => {
    const asked: unknown[] = []
    const db = { query: async (...all: unknown[]) => asked.push(all) && [{ key_id: 'tok_b' }] }
    const ring = new KeyRing(db as never, new RegistryEpoch(), [], {} as never)
    const holder = (keyId: string, untilMs: number): Caller => ({
      ...{ keyId, role: 'agent', name: 'desk', agentId: 'agt_1' },
      token: { issuer: 'i', client: 'desk', subject: '', untilMs },
    })
    const over = holder('tok_a', Date.now() - 1)
    expect([...(await ring.alive([over]))]).to.deep.equal([])
    expect(asked).to.deep.equal([])
    const both = await ring.alive([over, holder('tok_b', Date.now() + 60_000)])
    expect([...both]).to.deep.equal(['tok_b'])
  })
})
