import { expect } from 'chai'
import type { Socket } from 'node:net'
import { ADMIN, TestGate, until, type Answer } from '../support/gate.ts'
import { GATE, PATIENCE, TOOLS } from '../support/policies.ts'
import { rawOne, rawRequest } from '../support/raw.ts'
import { reply, type Behaviour, type Effect } from '../support/upstream.ts'

const TOKEN = 'token-of-the-gate-itself'
const RESPONSE_BYTES_MAX = 400_000
const POLICIES = {
  'tools.yaml': `${TOOLS.replace(
    PATIENCE,
    `timeout_ms: 700
    credential: { header: Authorization, env: UPSTREAM_TOKEN, prefix: 'Bearer ' }
    response_bytes_max: ${RESPONSE_BYTES_MAX}`,
  )}
  items.head: { upstream: test, method: HEAD, path: /items, effect: read, args: { type: object } }
  items.create:
    { upstream: test, method: POST, path: /items, effect: write, query: [dry, n],
      args: { type: object, properties: { dry: { type: boolean }, n: { type: integer }, data: {} } } }
`,
  'gate.yaml': GATE.replace('"items.list"', '"items.list", "items.head", "items.create"'),
}

describe('ANY /proxy/{upstream}/{path}', () => {
  let gate: TestGate
  let key: string
  before(async () => {
    gate = await TestGate.start({ policies: POLICIES, env: { UPSTREAM_TOKEN: TOKEN } })
    key = await gate.agent('worker-1')
  })
  after(() => gate.stop())
  beforeEach(() => {
    gate.upstream.effects.length = 0
    gate.upstream.behave = (effect, res) => reply(res, 200, { got: effect.body })
  })

  interface Options {
    readonly body?: unknown
    readonly headers?: Record<string, string>
    readonly as?: string
  }

  const proxy = (method: string, route: string, { body, headers = {}, as = key }: Options = {}) =>
    gate.call(method, `/proxy/test${route}`, {
      key: as,
      headers,
      ...(body === undefined ? {} : { body }),
    })

  const codeOf = ({ status, body }: Answer) => [status, body.error?.code]
  const onlyEffect = (): Effect => {
    const [effect] = gate.upstream.effects
    if (!effect || gate.upstream.effects.length > 1) throw new Error('not exactly one effect')
    return effect
  }
  const calls = () => gate.upstream.effects.map(({ method, url }) => `${method} ${url}`)

  it('chooses the tool by method and path, and calls exactly that', async () => {
    const routes: [string, string, unknown?][] = [
      ['GET', '/items?status=open'],
      ['GET', '/items/i-1'],
      ['PATCH', '/items/i-1', { note: 'n' }],
      ['POST', '/items?dry=true&n=3', { data: [1] }],
    ]
    for (const [method, route, body] of routes) {
      expect((await proxy(method, route, { body })).status).to.equal(200)
    }
    expect(calls()).to.deep.equal(routes.map(([method, route]) => `${method} ${route}`))
    const { body } = await gate.call('GET', '/actions?limit=4')
    const tools = body.actions.map(
      ({ request }: { request: { action: { name: string } } }) => request.action.name,
    )
    expect(tools).to.deep.equal(['items.create', 'items.update', 'items.get', 'items.list'])
    expect(body.actions[0].request.args).to.deep.equal({ dry: true, n: 3, data: [1] })
  })

  it('answers status, headers and body of the upstream as they are', async () => {
    gate.upstream.behave = (_effect, res) => {
      res.writeHead(418, { 'content-type': 'text/x-tea', 'x-pot': 'short', link: ['</a>', '</b>'] })
      res.end('no coffee')
    }
    const answer = await proxy('GET', '/items')
    expect([answer.status, answer.text]).to.deep.equal([418, 'no coffee'])
    expect(answer.headers.get('content-type')).to.equal('text/x-tea')
    expect(answer.headers.get('x-pot')).to.equal('short')
    expect(answer.headers.get('link')).to.equal('</a>, </b>')
    expect(answer.headers.get('portcullis-action')).to.match(/^act_/)
    expect(answer.headers.get('portcullis-decision')).to.match(/^dec_/)
  })

  it('passes bytes that are no text, and text with a byte order mark, unchanged', async () => {
    const bodies = [
      Buffer.from(Array.from({ length: 256 }, (_, n) => n)),
      Buffer.from('\ufeffid;name\r\n1;\u0000x\r\n'),
      Buffer.alloc(0),
      Buffer.alloc(RESPONSE_BYTES_MAX, 'x'),
    ]
    for (const body of bodies) {
      gate.upstream.behave = (_effect, res) => {
        res.writeHead(200, { 'content-type': 'application/octet-stream' })
        res.end(body)
      }
      const response = await fetch(`${gate.gate.url}/proxy/test/items`, {
        headers: { 'x-api-key': key },
      })
      const got = Buffer.from(await response.arrayBuffer())
      expect(got.equals(body), `${body.length} bytes`).to.equal(true)
    }
  })

  it('passes headers that are not ASCII as the bytes they were', async () => {
    for (const bytes of [
      Buffer.from('caf\u00e9 \u65e5\u672c'),
      Buffer.from('caf\u00e9', 'latin1'),
    ]) {
      gate.upstream.behave = (_effect, _res, socket) =>
        sayAll(socket, 'HTTP/1.1 200 OK\r\nX-Name: ', bytes, '\r\nContent-Length: 2\r\n\r\nok')
      const answer = await proxy('GET', '/items')
      expect([answer.status, answer.text]).to.deep.equal([200, 'ok'])
      expect(answer.headers.get('x-name')).to.match(/^caf/)
    }
  })

  it('drops hop-by-hop headers and those that Connection names, in both directions', async () => {
    gate.upstream.behave = (_effect, _res, socket) =>
      sayAll(
        socket,
        'HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=99\r\n',
        'Proxy-Authenticate: Basic\r\nTrailer: X\r\nUpgrade: h2c\r\nX-Kept: 1\r\nContent-Length: 0\r\n\r\n',
      )
    const answer = await rawOne(
      gate.gate.url,
      ...rawRequest('GET /proxy/test/items HTTP/1.1', [
        'Host: gate',
        `X-API-Key: ${key}`,
        'TE: trailers',
        'Proxy-Authorization: Basic abc',
      ]),
    )
    expect(answer.head).to.match(/^x-kept: 1$/im)
    expect(answer.head).to.not.match(/^(x-hop|keep-alive|proxy-authenticate|trailer|upgrade):/im)
    const [effect] = gate.upstream.effects
    expect(effect?.headers).to.not.have.any.keys('te', 'proxy-authorization')
  })

  it('keeps its own headers and what would speak for the gate from the upstream', async () => {
    gate.upstream.behave = (_effect, res) => {
      res.writeHead(200, {
        'portcullis-action': 'act_forged',
        'x-request-id': 'forged',
        'access-control-allow-origin': '*',
        'set-cookie': 'session=of-the-gate',
        'alt-svc': 'h2="direct.example:443"',
        server: 'Leaky/1.0',
      })
      res.end()
    }
    const { status, headers } = await proxy('GET', '/items')
    expect(status).to.equal(200)
    expect(headers.get('portcullis-action')).to.match(/^act_(?!forged)/)
    expect(headers.get('x-request-id')).to.match(/^req_/)
    for (const name of ['access-control-allow-origin', 'set-cookie', 'alt-svc', 'server']) {
      expect(headers.get(name), name).to.equal(null)
    }
  })

  it('sends the credential of the gate and nothing of the agent', async () => {
    const headers = {
      cookie: 'a=b',
      'x-forwarded-for': '10.0.0.1',
      'x-http-method-override': 'DELETE',
      'user-agent': 'agent',
      'accept-encoding': 'gzip',
      'idempotency-key': 'k-1',
      origin: 'https://evil.example',
    }
    await proxy('PATCH', '/items/i-1', { body: { note: 'n' }, headers })
    const { headers: sent, rawHeaders } = onlyEffect()
    expect(sent.authorization).to.equal(`Bearer ${TOKEN}`)
    expect(Object.keys(sent).sort()).to.deep.equal([
      'accept',
      'accept-encoding',
      'authorization',
      'connection',
      'content-length',
      'content-type',
      'host',
      'user-agent',
      'x-request-id',
    ])
    expect(rawHeaders.join('\n')).to.not.include(key)
    expect(sent.host).to.equal(`127.0.0.1:${gate.upstream.port}`)
  })

  it('takes the key as Bearer too, and never forwards it', async () => {
    const response = await fetch(`${gate.gate.url}/proxy/test/items`, {
      headers: { authorization: `Bearer ${key}` },
    })
    expect(response.status).to.equal(200)
    expect(gate.upstream.effects[0]?.headers.authorization).to.equal(`Bearer ${TOKEN}`)
  })

  it('does not follow redirects, and none leads past the gate', async () => {
    for (const [location, seen] of [
      ['/items/i-2?x=1', '/proxy/test/items/i-2?x=1'],
      ['https://evil.example/', null],
      ['//evil.example/', null],
      ['/\\evil.example/', null],
      ['items/i-2', '/proxy/test/items/items/i-2'],
      [`${gate.upstream.url}/items/i-3`, '/proxy/test/items/i-3'],
      [`http://user@127.0.0.1:${gate.upstream.port}/items/i-3`, null],
    ] as const) {
      gate.upstream.effects.length = 0
      gate.upstream.behave = (_effect, res) => {
        res.writeHead(302, { location })
        res.end()
      }
      const answer = await proxy('GET', '/items/i-1')
      expect([answer.status, answer.headers.get('location')]).to.deep.equal([302, seen])
      expect(calls()).to.deep.equal(['GET /items/i-1'])
    }
  })

  it('403 for a route no tool stands for, on record with method and path', async () => {
    for (const [method, route] of [
      ['GET', '/admin'],
      ['PUT', '/items/i-1'],
      ['GET', '/'],
      ['GET', '/items/i-1/x'],
    ] as const) {
      const answer = await proxy(method, route)
      expect(codeOf(answer)).to.deep.equal([403, 'no_such_tool'])
      expect(answer.body.error.message).to.include(`\`${method} ${route}\``)
      expect(answer.body.error.reasons[0].code).to.equal('unknown_tool')
      const { body } = await gate.call('GET', `/actions/${answer.body.error.action_id}`)
      expect(body.request.action.name).to.equal('proxy/test')
      expect(body.request.args).to.deep.equal({ method, path: route })
    }
    const other = await gate.call('GET', '/proxy/elsewhere/items', { key })
    expect(codeOf(other)).to.deep.equal([403, 'no_such_tool'])
    expect(calls()).to.deep.equal([])
  })

  it('names the routes that are nearest to one that is not there', async () => {
    const { body } = await proxy('PUT', '/item/i-1')
    expect(body.error.message).to.match(
      /^no tool stands for `PUT \/item\/i-1`; the nearest are `(?:PATCH|GET|DELETE) \/items\/\{id\}`, `/,
    )
  })

  it('answers OPTIONS itself, with the methods that tools have there', async () => {
    for (const [route, allow] of [
      ['/items', 'GET, HEAD, POST, OPTIONS'],
      ['/items/i-1', 'GET, PATCH, DELETE, HEAD, OPTIONS'],
      ['/nowhere', 'OPTIONS'],
    ] as const) {
      const answer = await proxy('OPTIONS', route)
      const methods = answer.headers.get('allow')?.split(', ').sort()
      expect([answer.status, methods]).to.deep.equal([204, allow.split(', ').sort()])
    }
    expect(calls()).to.deep.equal([])
  })

  it('404 where no upstream is named, 403 for other keys, 401 without one', async () => {
    for (const route of ['/proxy', '/proxy/', '/proxy//items', '/proxy/a%2fb/items']) {
      expect((await gate.call('GET', route, { key })).status, route).to.equal(404)
    }
    expect(codeOf(await proxy('GET', '/items', { as: ADMIN }))).to.deep.equal([403, 'forbidden'])
    const { status } = await gate.call('GET', '/proxy/test/items', { key: null })
    expect(status).to.equal(401)
  })

  it('takes any spelling that has one meaning, and writes it anew', async () => {
    for (const [route, seen] of [
      ['/items?n=1&dry=true', '/items?dry=true&n=1'],
      ['/items?n=%31', '/items?n=1'],
      ['/%69tems?%6e=1', '/items?n=1'],
      ['/items?', '/items'],
    ] as const) {
      gate.upstream.effects.length = 0
      expect((await proxy('POST', route, { body: {} })).status, route).to.equal(200)
      expect(calls()).to.deep.equal([`POST ${seen}`])
    }
  })

  it('400 for a query or a body that could be read in two ways, with its place', async () => {
    for (const [route, body] of [
      ['/items?n=01'],
      ['/items?n=1&n=2'],
      ['/items?other=1'],
      ['/items?n'],
      ['/items?', { n: 1 }],
    ] as const) {
      const answer = await proxy('POST', route, { body })
      expect(codeOf(answer), route).to.deep.equal([400, 'invalid_request'])
    }
    expect(calls()).to.deep.equal([])
  })

  it('answers HEAD without a body, through a tool of its own', async () => {
    gate.upstream.behave = (_effect, res) => {
      res.writeHead(200, { 'x-count': '7' })
      res.end()
    }
    const answer = await proxy('HEAD', '/items')
    expect([answer.status, answer.text, answer.headers.get('x-count')]).to.deep.equal([
      200,
      '',
      '7',
    ])
    expect(calls()).to.deep.equal(['HEAD /items'])
    // Without one it is the GET, without its body.
    const other = await proxy('HEAD', '/items/i-1')
    expect([other.status, other.text, other.headers.get('x-count')]).to.deep.equal([200, '', '7'])
    expect(calls()).to.deep.equal(['HEAD /items', 'GET /items/i-1'])
  })

  describe('held actions', () => {
    const remove = (options: Options = {}) => proxy('DELETE', '/items/i-1', options)

    async function held(): Promise<{ id: string; action: string }> {
      const answer = await remove()
      expect(answer.status).to.equal(202)
      const action = answer.headers.get('portcullis-action') ?? ''
      expect(answer.body.action_id).to.equal(action)
      expect(answer.headers.get('location')).to.equal(`/actions/${action}`)
      return { id: answer.body.approval.id, action }
    }
    const vote = (id: string, choice: string) =>
      gate.call('POST', `/approvals/${id}/${choice}`, { body: {} })
    const collect = (action: string, headers = {}) =>
      remove({ headers: { 'portcullis-action': action, ...headers } })

    it('202, and the same request collects the result once approved; the effect happens once', async () => {
      const { id, action } = await held()
      expect((await collect(action)).status).to.equal(202)
      expect(calls()).to.deep.equal([])
      await vote(id, 'approve')
      const result = await collect(action, { prefer: 'wait=20' })
      expect([result.status, result.body.got]).to.deep.equal([200, ''])
      expect((await collect(action)).text).to.equal(result.text)
      expect(calls()).to.deep.equal(['DELETE /items/i-1'])
    })

    it('a refusal after a deny', async () => {
      const { id, action } = await held()
      await vote(id, 'deny')
      expect(codeOf(await collect(action))).to.deep.equal([403, 'policy_denied'])
      expect(calls()).to.deep.equal([])
    })

    it('422 for another request and 404 for what is not the agent\u2019s own', async () => {
      const { action } = await held()
      const headers = { 'portcullis-action': action }
      const other = await proxy('DELETE', '/items/i-2', { headers })
      expect(codeOf(other)).to.deep.equal([422, 'idempotency_mismatch'])
      const unrouted = await proxy('DELETE', '/admin', { headers })
      expect(codeOf(unrouted)).to.deep.equal([422, 'idempotency_mismatch'])
      const stranger = await gate.agent('stranger')
      expect(codeOf(await remove({ headers, as: stranger }))).to.deep.equal([404, 'not_found'])
      expect(codeOf(await collect('act_unknown'))).to.deep.equal([404, 'not_found'])
    })

    it('Prefer: wait holds the first request until somebody decides', async () => {
      const waiter = await gate.agent('waiter')
      const waiting = remove({ as: waiter, headers: { prefer: 'respond-async, wait=30' } })
      let id = ''
      await until('the approval is listed', async () => {
        const { body } = await gate.call('GET', '/approvals', { key: waiter })
        id = body.approvals[0]?.id ?? ''
        return id !== ''
      })
      await vote(id, 'approve')
      expect((await waiting).status).to.equal(200)
    })

    it('an Idempotency-Key gives the first answer again', async () => {
      const headers = { 'idempotency-key': 'same' }
      const first = await proxy('PATCH', '/items/i-1', { body: { note: 'n' }, headers })
      const second = await proxy('PATCH', '/items/i-1', { body: { note: 'n' }, headers })
      expect(second.text).to.equal(first.text)
      expect(second.headers.get('portcullis-action')).to.equal(
        first.headers.get('portcullis-action'),
      )
      expect(calls()).to.have.length(1)
    })
  })

  describe('an upstream that lies or stalls', () => {
    const ok = 'HTTP/1.1 200 OK\r\n'
    const lies: [string, Behaviour][] = [
      ['never answers', () => {}],
      ['hangs up', (_effect, _res, socket) => void socket.destroy()],
      ['answers no HTTP', (_e, _res, socket) => say(socket, 'SSH-2.0-OpenSSH\r\n')],
      [
        'ends before its content-length',
        (_e, _res, socket) => {
          sayAll(socket, `${ok}Content-Length: 100\r\n\r\nshort`)
        },
      ],
      [
        'stalls in the middle',
        (_e, _res, socket) => say(socket, `${ok}Content-Length: 100\r\n\r\nx`),
      ],
      [
        'drips for ever',
        (_e, _res, socket) => {
          say(socket, `${ok}Content-Length: 100000\r\n\r\n`)
          repeat(socket, () => socket.write('x'))
        },
      ],
      [
        'gives two lengths',
        (_e, _res, socket) => say(socket, `${ok}Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy`),
      ],
      [
        'gives a length and chunks',
        (_e, _res, socket) =>
          say(socket, `${ok}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`),
      ],
      [
        'sends a bad chunk',
        (_e, _res, socket) =>
          say(socket, `${ok}Transfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n0\r\n\r\n`),
      ],
      [
        'floods with 1xx',
        (_e, _res, socket) =>
          repeat(socket, () => socket.write('HTTP/1.1 102 Processing\r\n\r\n'.repeat(50))),
      ],
      [
        'sends huge headers',
        (_e, _res, socket) =>
          say(socket, `${ok}X: ${'x'.repeat(200_000)}\r\nContent-Length: 0\r\n\r\n`),
      ],
      [
        'switches protocols',
        (_e, _res, socket) =>
          say(
            socket,
            'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
          ),
      ],
      [
        'has a status that is none',
        (_e, _res, socket) => say(socket, 'HTTP/1.1 099 What\r\nContent-Length: 0\r\n\r\n'),
      ],
    ]
    for (const [what, behave] of lies) {
      it(`and ${what}: 504 for a write, 502 for a read, and it goes on`, async () => {
        gate.upstream.behave = behave
        const [write, read] = await Promise.all([
          proxy('PATCH', '/items/i-1', { body: { note: 'n' } }),
          proxy('GET', '/items'),
        ])
        expect(codeOf(write)).to.deep.equal([504, 'outcome_unknown'])
        expect(codeOf(read)).to.deep.equal([502, 'upstream_unreachable'])
        expect(gate.upstream.effects).to.have.length(2)
        gate.upstream.behave = (_effect, res) => reply(res, 200, {})
        expect((await proxy('GET', '/items')).status).to.equal(200)
      })
    }

    it('and sends more than it announced: the surplus is nobody\u2019s answer', async () => {
      const forged = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged'
      gate.upstream.behave = (_effect, _res, socket) =>
        say(socket, `${ok}Content-Length: 2\r\n\r\nok${forged}`)
      expect((await proxy('GET', '/items')).text).to.equal('ok')
      gate.upstream.behave = (_effect, res) => reply(res, 200, { honest: true })
      const answers = await Promise.all(Array.from({ length: 20 }, () => proxy('GET', '/items')))
      for (const { text } of answers) expect(text).to.equal('{"honest":true}')
    })
  })
})

function say(socket: Socket, ...parts: readonly (string | Buffer)[]): void {
  for (const part of parts) socket.write(part)
}

/** The same, and hangs up. */
function sayAll(socket: Socket, ...parts: readonly (string | Buffer)[]): void {
  say(socket, ...parts)
  socket.end()
}

/** As often as the socket takes it, until the other side has had enough. */
function repeat(socket: Socket, write: () => boolean): void {
  socket.on('error', () => {})
  const again = () => {
    if (!socket.destroyed && socket.writable) socket.write('', () => setTimeout(again, 1))
    if (!socket.destroyed && socket.writable) write()
  }
  again()
}
