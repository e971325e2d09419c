import { expect } from 'chai'
import { createHash } from 'node:crypto'
import { TestGate, until } from '../support/gate.ts'
import { reply, TestUpstream } from '../support/upstream.ts'

const TOOLS = `
version: 1
upstreams:
  test:
    base_url: \${TICKETING_API_URL}/base
    headers: { X-Fixed: 'of the gate', Accept-Language: de }
    pass_headers: [accept, accept-language, if-match, prefer]
  query: { base_url: '\${TICKETING_API_URL}', credential: { query: api_key, env: QUERY_KEY } }
  basic: { base_url: '\${TICKETING_API_URL}', credential: { basic: { user_env: BASIC_USER, password_env: BASIC_PASSWORD } } }
  oauth:
    base_url: \${TICKETING_API_URL}
    credential:
      oauth2: { token_url: '\${TOKEN_URL}/token', client_id_env: OAUTH_ID, client_secret_env: OAUTH_SECRET, scopes: [a, b], audience: x }
tools:
  search:
    upstream: test
    method: GET
    path: /contacts/{id}.json
    effect: read
    params:
      tag: { in: query }
      ids: { in: query, explode: false }
      bars: { in: query, style: pipeDelimited }
      since: { in: query, name: 'created[gte]' }
      filter: { in: query, style: deepObject }
      limit: { in: query }
      ratio: { in: query }
      deep: { in: query }
      version: { in: header, name: X-Api-Version }
    args:
      type: object
      required: [id]
      properties:
        id: { type: string }
        tag: { type: array, items: { type: string } }
        ids: { type: array, items: { type: integer } }
        bars: { type: array, items: { type: string } }
        since: { type: integer }
        filter: { type: object, properties: { a: { type: integer }, b: { type: object, properties: { c: { type: boolean } } } } }
        limit: { type: integer }
        ratio: { type: number }
        deep: { type: boolean, nullable: true }
        version: { type: integer }
  any.query: { upstream: query, method: GET, path: /any, extra_query: pass, query: [a], effect: read, args: { properties: { a: { type: string } } } }
  verb: { upstream: test, method: POST, path: '/v/{name}:{verb}', effect: write, args: { required: [name, verb], properties: { name: { type: string }, verb: { type: string } } } }
  run: { upstream: test, method: POST, path: '/v/{name}:run', effect: write, args: { required: [name], properties: { name: { type: string } } } }
  project: { upstream: test, method: GET, path: '/projects/{id}/x', params: { id: { in: path, slash: true } }, effect: read, args: { required: [id], properties: { id: { type: string } } } }
  patch: { upstream: test, method: PATCH, path: /patch, body: json, content_type: application/merge-patch+json, params: { kind: { in: body, name: type } }, effect: write, args: { properties: { kind: { type: string } } } }
  batch: { upstream: test, method: POST, path: /batch, body: json, body_arg: rows, effect: write, args: { required: [rows], properties: { rows: { type: array, items: { type: integer } } } } }
  basic: { upstream: basic, method: GET, path: /basic, effect: read, args: {} }
  oauth: { upstream: oauth, method: GET, path: /oauth, effect: read, args: {} }
`
const GATE = `
version: 1
environment: test
permissions:
  - { roles: [worker], tools: ["*"], effect: allow }
rate_limits:
  - { limit: 100000, per_s: 1 }
`

describe('How a call is made', () => {
  let gate: TestGate
  let key: string
  let tokens: TestUpstream
  before(async () => {
    tokens = await TestUpstream.start()
    gate = await TestGate.start({
      policies: { 'tools.yaml': TOOLS, 'gate.yaml': GATE },
      env: {
        QUERY_KEY: 'secret of the query',
        BASIC_USER: 'the-user',
        BASIC_PASSWORD: 'the-password',
        TOKEN_URL: tokens.url,
        OAUTH_ID: 'client:1',
        OAUTH_SECRET: 'client secret/1',
      },
    })
    key = await gate.agent('worker-1')
  })
  after(async () => {
    await gate.stop()
    await tokens.stop()
  })
  beforeEach(() => {
    gate.upstream.effects.length = 0
    tokens.effects.length = 0
  })

  const proxy = (
    method: string,
    route: string,
    options: { body?: unknown; headers?: Record<string, string> } = {},
  ) => gate.call(method, `/proxy${route}`, { key, ...options })
  const act = (tool: string, args: unknown) => gate.act(key, { tool, args })
  const argsOf = async (answer: { headers: Headers }) =>
    (await gate.call('GET', `/actions/${answer.headers.get('portcullis-action')}`)).body.request
  const only = () => {
    const [effect] = gate.upstream.effects
    if (!effect || gate.upstream.effects.length > 1) throw new Error('not exactly one effect')
    return effect
  }

  it('reads parameters of every style into typed args, and writes them in one spelling', async () => {
    const answer = await proxy(
      'GET',
      '/test/contacts/a%20b.json?limit=5&tag=x&created%5Bgte%5D=7&tag=y%2Cz&ids=1%2C2&bars=p|q&filter[b][c]=true&filter%5Ba%5D=3&ratio=0.50',
      { headers: { 'x-api-version': '3' } },
    )
    expect(answer.status, answer.text).to.equal(200)
    const { args } = await argsOf(answer)
    expect(args).to.deep.equal({
      id: 'a b',
      tag: ['x', 'y,z'],
      ids: [1, 2],
      bars: ['p', 'q'],
      since: 7,
      filter: { a: 3, b: { c: true } },
      limit: 5,
      ratio: 0.5,
      version: 3,
    })
    const { url, headers } = only()
    expect(url).to.equal(
      '/base/contacts/a%20b.json?tag=x&tag=y%2Cz&ids=1%2C2&bars=p%7Cq&created%5Bgte%5D=7&filter%5Ba%5D=3&filter%5Bb%5D%5Bc%5D=true&limit=5&ratio=0.5',
    )
    expect(headers['x-api-version']).to.equal('3')
    gate.upstream.effects.length = 0
    expect((await act('search', args)).status).to.equal(200)
    expect(only().url).to.equal(url)
  })

  it('leaves out a null, and refuses by name what it does not know', async () => {
    await act('search', { id: 'a', deep: null })
    expect(only().url).to.equal('/base/contacts/a.json')
    const answer = await proxy('GET', '/test/contacts/a.json?page=2')
    expect(answer.body.error.message).to.match(
      /^unknown query parameter `page`; this route has tag, ids,/,
    )
    for (const query of [
      'limit=1&limit=2',
      'limit=x',
      'ids=1,,2',
      'tag[]=a',
      'filter[a=1',
      'filter=1',
      'ratio=1e999',
    ]) {
      const refused = await proxy('GET', `/test/contacts/a.json?${query}`)
      expect([refused.status, refused.body.error?.code], query).to.deep.equal([
        400,
        'invalid_request',
      ])
    }
    const twice = await fetch(`${gate.gate.url}/proxy/test/contacts/a.json`, {
      headers: [
        ['x-api-key', key],
        ['x-api-version', '1'],
        ['x-api-version', '2'],
      ],
    })
    expect(twice.status).to.equal(400)
    expect(gate.upstream.effects).to.have.length(1)
  })

  it('passes parameters nobody declared where the tool says so, seen and in order', async () => {
    const answer = await proxy('GET', '/query/any?z=1&a=2&b=3&b=4')
    expect(answer.status, answer.text).to.equal(200)
    expect((await argsOf(answer)).args).to.deep.equal({
      a: '2',
      extra_query: { z: '1', b: ['3', '4'] },
    })
    expect(only().url).to.equal('/any?a=2&b=3&b=4&z=1&api_key=secret%20of%20the%20query')
    const own = await proxy('GET', '/query/any?api_key=x')
    expect(own.status).to.equal(400)
  })

  it('keeps text beside a variable from being part of its value', async () => {
    expect((await act('verb', { name: 'a', verb: 'stop' })).status).to.equal(200)
    for (const args of [
      { name: 'a:b', verb: 'c' },
      { name: 'a', verb: 'b:c' },
      { name: 'a', verb: 'run' },
      { name: 'a', verb: 'RUN' },
    ]) {
      expect((await act('verb', args)).status, JSON.stringify(args)).to.equal(400)
    }
    expect((await proxy('POST', '/test/v/a:run')).status).to.equal(200)
    expect((await proxy('POST', '/test/v/a%3Astop')).status).to.equal(200)
    expect((await proxy('POST', '/test/v/a:b:stop')).status).to.equal(403)
    expect(gate.upstream.effects.map(({ url }) => url)).to.deep.equal([
      '/base/v/a:stop',
      '/base/v/a:run',
      '/base/v/a:stop',
    ])
  })

  it('takes a separator within a segment only where the parameter says so, and no dots then', async () => {
    expect((await proxy('GET', '/test/projects/group%2fsub%2Fname/x')).status).to.equal(200)
    expect(only().url).to.equal('/base/projects/group%2Fsub%2Fname/x')
    for (const id of ['a%2F..%2Fb', 'a%2F%2Fb', '%2Fa', 'a%2F', 'a%252Fb']) {
      expect((await proxy('GET', `/test/projects/${id}/x`)).status, id).to.equal(400)
    }
    expect((await proxy('GET', '/test/contacts/a%2Fb.json')).status).to.equal(400)
    expect(gate.upstream.effects).to.have.length(1)
  })

  it('sends the type, the names and the shape of a body that the tool declares', async () => {
    await proxy('PATCH', '/test/patch', { body: { type: 'x' } })
    await proxy('POST', '/test/batch', { body: [3, 1] })
    const seen = gate.upstream.effects.map(({ headers, body }) => [headers['content-type'], body])
    expect(seen).to.deep.equal([
      ['application/merge-patch+json', '{"type":"x"}'],
      ['application/json', '[3,1]'],
    ])
    expect((await proxy('PATCH', '/test/patch', { body: { kind: 'x' } })).status).to.equal(400)
  })

  it('passes what the policy lets a client say, fixes what it does not, and has both on record', async () => {
    const headers = {
      accept: 'text/csv',
      'accept-language': 'fr',
      'if-match': '"7"',
      prefer: 'wait=1, return=minimal',
      'x-fixed': 'of the client',
      'x-other': 'of the client',
    }
    const answer = await proxy('GET', '/test/contacts/a.json', { headers })
    expect((await argsOf(answer)).headers).to.deep.equal({
      accept: 'text/csv',
      'if-match': '"7"',
      prefer: 'return=minimal',
    })
    const { headers: sent } = only()
    expect(sent).to.include({
      accept: 'text/csv',
      'accept-language': 'de',
      'if-match': '"7"',
      prefer: 'return=minimal',
      'x-fixed': 'of the gate',
    })
    expect(sent).to.not.have.any.keys('x-other')
  })

  it('shows its credential in the query or as a user with a password, and hides it from what comes back', async () => {
    gate.upstream.behave = (effect, res) =>
      reply(res, 200, { url: effect.url, authorization: effect.headers.authorization })
    const query = await act('any.query', {})
    expect(only().url).to.equal('/any?api_key=secret%20of%20the%20query')
    expect(query.text).to.include('[masked]')
    expect(query.text).to.not.include('secret')
    const basic = await act('basic', {})
    const headers = gate.upstream.effects[1]?.headers ?? {}
    expect(headers.authorization).to.equal(
      `Basic ${Buffer.from('the-user:the-password').toString('base64')}`,
    )
    expect(basic.text).to.include('[masked]')
    expect(basic.text).to.not.include('dGhlLXVzZXI6')
  })

  it('fetches a token once for all calls that wait for it, and again when it is spent', async () => {
    let issued = 0
    tokens.behave = (_effect, res) => {
      issued++
      reply(res, 200, {
        access_token: `token-number-${issued}`,
        token_type: 'Bearer',
        expires_in: 3600,
      })
    }
    gate.upstream.behave = (effect, res) => {
      const isSpent =
        effect.headers.authorization === 'Bearer token-number-1' && gate.upstream.effects.length > 5
      reply(res, isSpent ? 401 : 200, {
        saw: createHash('sha256').update(String(effect.headers.authorization)).digest('hex'),
      })
    }
    const answers = await Promise.all(Array.from({ length: 5 }, () => act('oauth', {})))
    expect(answers.map(({ status }) => status)).to.deep.equal([200, 200, 200, 200, 200])
    expect(issued).to.equal(1)
    const [asked] = tokens.effects
    expect(asked?.headers.authorization).to.equal(
      `Basic ${Buffer.from('client%3A1:client+secret%2F1').toString('base64')}`,
    )
    expect(asked?.body).to.equal('grant_type=client_credentials&scope=a+b&audience=x')
    expect((await act('oauth', {})).body.result.status).to.equal(401)
    expect((await act('oauth', {})).body.result.status).to.equal(200)
    expect(issued).to.equal(2)
  })

  it('keeps the token before out of answers too, and drops none that came after the refused one', async () => {
    let issued = 100
    tokens.behave = (_effect, res) => {
      issued++
      reply(res, 200, { access_token: `token-number-${issued}`, expires_in: 600 })
    }
    const shown: string[] = []
    let late = Promise.resolve()
    let release = () => {}
    gate.upstream.behave = async (effect, res) => {
      const token = String(effect.headers.authorization).replace('Bearer ', '')
      shown.push(token)
      if (shown.length === 1) {
        late = new Promise((resolve) => (release = resolve))
        await late
      }
      const isOld = token === shown[0]
      reply(res, isOld ? 401 : 200, { before: shown[0], now: token })
    }
    const call = () => act('oauth', {})
    const first = call()
    await until('the first call is out', () => shown.length === 1)
    await call() // refused: its token is spent
    const third = await call()
    release()
    await first // refused late, by the token that is spent already
    const fourth = await call()
    for (const { text } of [third, fourth]) {
      for (const token of new Set(shown)) expect(text).to.not.include(token)
    }
    expect(new Set(shown.slice(2)).size).to.equal(1)
  })

  it('says that there is no credential, and sends nothing, where the token server refuses', async () => {
    const other = await TestGate.start({
      policies: { 'tools.yaml': TOOLS, 'gate.yaml': GATE },
      env: { TOKEN_URL: tokens.url, OAUTH_ID: 'a', OAUTH_SECRET: 'b' },
      upstream: gate.upstream,
    })
    try {
      const agent = await other.agent('worker-2')
      for (const answer of [
        { status: 401, body: { error: 'invalid_client' } },
        { status: 200, body: { token_type: 'mac', access_token: 'x' } },
        { status: 302, body: {} },
      ]) {
        tokens.behave = (_effect, res) => reply(res, answer.status, answer.body)
        const refused = await other.act(agent, { tool: 'oauth', args: {} })
        expect([refused.status, refused.body.error?.code]).to.deep.equal([
          502,
          'credential_unavailable',
        ])
        expect(refused.body.error.retryable).to.equal(true)
      }
      expect(gate.upstream.effects).to.deep.equal([])
    } finally {
      await other.stop()
    }
  })
})
