import { expect } from 'chai'
import http from 'node:http'
import { ADMIN, TestGate, until, type Answer } from '../../support/gate.ts'
import { GATE, TOOLS } from '../../support/policies.ts'
import { reply } from '../../support/upstream.ts'
import { initialized } from './session.ts'

const ROUTE = '/mcp/tools'
const VERSION = 'io.modelcontextprotocol/protocolVersion'
const CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities'
const MODERN = '2026-07-28'
const ENVELOPE = { [VERSION]: MODERN, [CAPABILITIES]: {} }

interface Message {
  readonly id?: unknown
  readonly method: string
  readonly params?: Record<string, unknown>
}

describe('MCP on the wire', () => {
  let gate: TestGate
  let key: string
  let observer: string
  before(async () => {
    gate = await TestGate.start({
      policies: { 'tools.yaml': `${TOOLS}\nmcp: { hold_s: 0 }\n` },
      env: { ALLOWED_ORIGINS: 'https://inspector.example' },
    })
    key = await gate.agent('wire')
    observer = await gate.key('observer', 'wire-observer')
    gate.upstream.behave = (_effect, res) => reply(res, 200, { ok: true })
  })
  after(() => gate.stop())

  const send = (message: unknown, headers: Record<string, string> = {}, as = key) =>
    gate.call('POST', ROUTE, { key: as, headers, body: message })
  const rpc = (message: Message) => ({ jsonrpc: '2.0', id: 1, ...message })
  const codeOf = ({ status, body }: Answer) => [status, body.error?.code]

  /** A modern request whose headers agree with it, unless they are given. */
  const modern = (
    method: string,
    params: Record<string, unknown> = {},
    headers: Record<string, string> = {},
    meta: Record<string, unknown> = ENVELOPE,
  ) =>
    send(rpc({ method, params: { ...params, _meta: meta } }), {
      'mcp-protocol-version': MODERN,
      'mcp-method': method,
      ...(typeof params['name'] === 'string' ? { 'mcp-name': params['name'] } : {}),
      ...headers,
    })

  describe('origin and host', () => {
    it('come first: a foreign one is refused whatever the key, and on every method', async () => {
      for (const origin of ['https://evil.example', 'null', 'http://localhost.evil.example']) {
        for (const as of [key, 'pk_wrong', null]) {
          const headers = { origin }
          for (const method of ['POST', 'GET', 'DELETE']) {
            const answer = await gate.call(method, ROUTE, { key: as, headers })
            expect(codeOf(answer), `${method} ${origin}`).to.deep.equal([403, 403])
            expect(answer.body.error.data.code).to.equal('forbidden')
          }
        }
      }
    })

    it('are the machine\u2019s own, at any port, or those that are configured', async () => {
      for (const origin of ['http://localhost:9999', 'https://inspector.example']) {
        const answer = await modern('server/discover', {}, { origin })
        expect(answer.status, origin).to.equal(200)
      }
    })

    it('a foreign host is refused where only this machine is listened to', async () => {
      const statuses = await Promise.all(
        ['evil.example', 'localhost.evil.example:80', '127.0.0.1.evil.example'].map(withHost),
      )
      expect(statuses).to.deep.equal([403, 403, 403])
      expect(await withHost('localhost:1234')).to.equal(200)
    })

    /** `fetch` lets nobody say another host. */
    function withHost(host: string): Promise<number | undefined> {
      const body = JSON.stringify(rpc({ method: 'initialize', params: {} }))
      return new Promise((resolve, reject) => {
        const req = http.request(`${gate.gate.url}${ROUTE}`, {
          method: 'POST',
          headers: { host, 'x-api-key': key, 'content-type': 'application/json' },
        })
        req.on('response', (res) => resolve(res.resume().statusCode)).on('error', reject)
        req.end(body)
      })
    }
  })

  describe('the key', () => {
    it('is asked for before the body is looked at, and the answer says how to show it', async () => {
      const answer = await gate.call('POST', ROUTE, { key: null, raw: '{' })
      expect(codeOf(answer)).to.deep.equal([401, 401])
      expect(answer.headers.get('www-authenticate')).to.equal('Bearer')
    })

    it('of an observer lists everything and calls nothing', async () => {
      const session = await initialized(gate, observer)
      const headers = { 'mcp-session-id': session }
      const listed = await send(rpc({ method: 'tools/list' }), headers, observer)
      expect(listed.body.result.tools).to.have.length(6)
      const params = { name: 'items_list', arguments: {} }
      const called = await send(rpc({ method: 'tools/call', params }), headers, observer)
      expect(codeOf(called)).to.deep.equal([403, 403])
    })
  })

  describe('the body', () => {
    it('is one message of JSON-RPC in strict JSON', async () => {
      const wrong: readonly (readonly [string, number])[] = [
        ['', -32700],
        ['{', -32700],
        ['{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"ping"}', -32700],
        ['{"jsonrpc":"2.0","id":1,"method":"\\ud800"}', -32700],
        [
          `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":${'['.repeat(70)}${']'.repeat(70)}}}`,
          -32700,
        ],
        ['[]', -32600],
        ['[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600],
        ['7', -32600],
        ['{"id":1,"method":"ping"}', -32600],
        ['{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600],
        ['{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600],
        ['{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600],
        ['{"jsonrpc":"2.0","id":1,"method":7}', -32600],
        ['{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', -32600],
      ]
      for (const [raw, code] of wrong) {
        const answer = await gate.call('POST', ROUTE, { key, raw })
        expect(codeOf(answer), raw).to.deep.equal([400, code])
        expect(answer.headers.get('cache-control')).to.equal('no-store')
      }
    })

    it('is bounded before it is read', async () => {
      const large = JSON.stringify(rpc({ method: 'ping', params: { a: 'x'.repeat(1 << 20) } }))
      expect((await gate.call('POST', ROUTE, { key, raw: large })).status).to.equal(413)
      const text = { 'content-type': 'text/plain' }
      const answer = await gate.call('POST', ROUTE, { key, raw: '{}', headers: text })
      expect(answer.status).to.equal(415)
      const packed = { 'content-encoding': 'gzip' }
      expect((await gate.call('POST', ROUTE, { key, raw: '{}', headers: packed })).status).to.equal(
        415,
      )
    })
  })

  describe('the modern protocol', () => {
    it('says what it can, for nobody to keep, without a session', async () => {
      const { body, headers } = await modern('server/discover', {}, { 'mcp-session-id': 'ses_x' })
      expect(body.result.supportedVersions[0]).to.equal(MODERN)
      expect(body.result).to.deep.include({
        resultType: 'complete',
        ttlMs: 0,
        cacheScope: 'private',
      })
      expect(body.result.capabilities).to.deep.equal({
        tools: { listChanged: true },
        extensions: { 'io.modelcontextprotocol/tasks': {} },
      })
      expect(headers.get('mcp-session-id')).to.equal(null)
    })

    it('refuses an envelope that is not whole, and a version nobody speaks', async () => {
      for (const meta of [{ [VERSION]: MODERN }, { [VERSION]: 7, [CAPABILITIES]: {} }, {}]) {
        const answer = await modern('tools/list', {}, {}, meta)
        expect(codeOf(answer)).to.deep.equal([400, -32602])
        expect(answer.body.id).to.equal(1)
      }
      const meta = { ...ENVELOPE, [VERSION]: '2099-01-01' }
      const answer = await modern('tools/list', {}, { 'mcp-protocol-version': '2099-01-01' }, meta)
      expect(codeOf(answer)).to.deep.equal([400, -32022])
      expect(answer.body.error.data.requested).to.equal('2099-01-01')
      expect(answer.body.error.data.supported).to.include(MODERN)
      // What is not said alike is not looked at any further.
      expect(codeOf(await modern('tools/list', {}, {}, meta))).to.deep.equal([400, -32020])
    })

    it('refuses headers that do not agree with the body, and nothing is called', async () => {
      const params = { name: 'items_list', arguments: {} }
      const before = gate.upstream.effects.length
      for (const headers of [
        { 'mcp-method': 'tools/list' },
        { 'mcp-method': 'Tools/Call' },
        { 'mcp-method': '' },
        { 'mcp-name': 'items_get' },
        { 'mcp-name': 'ITEMS_LIST' },
        { 'mcp-name': '' },
        { 'mcp-protocol-version': '2025-11-25' },
        { 'mcp-protocol-version': '' },
      ]) {
        const answer = await modern('tools/call', params, headers)
        expect(codeOf(answer), JSON.stringify(headers)).to.deep.equal([400, -32020])
        expect(answer.body.id).to.equal(1)
      }
      expect(gate.upstream.effects).to.have.length(before)
    })

    it('reads a name that travels as base64, and spaces around it', async () => {
      const name = Buffer.from('items_list').toString('base64')
      for (const given of [`=?base64?${name}?=`, '  items_list  ']) {
        const params = { name: 'items_list', arguments: {} }
        const answer = await modern('tools/call', params, { 'mcp-name': given })
        expect(answer.body.result.resultType).to.equal('complete')
      }
    })

    it('knows no method but those of its table: 404', async () => {
      for (const method of ['ping', 'initialize', 'resources/list', 'toString', 'tasks/list']) {
        expect(codeOf(await modern(method)), method).to.deep.equal([404, -32601])
      }
    })

    it('has no stream to get and no session to end', async () => {
      for (const method of ['GET', 'DELETE', 'HEAD']) {
        const answer = await gate.call(method, ROUTE, { key })
        expect(answer.status).to.equal(405)
        expect(answer.headers.get('allow')).to.equal('POST')
      }
    })
  })

  describe('sessions', () => {
    it('are needed by the legacy protocol', async () => {
      expect(codeOf(await send(rpc({ method: 'tools/list' })))).to.deep.equal([400, -32600])
    })

    it('are the same nothing when unknown, ended, or somebody else\u2019s', async () => {
      const other = await initialized(gate, await gate.agent('wire-other'))
      const ended = await initialized(gate, key)
      const end = () => gate.call('DELETE', ROUTE, { key, headers: { 'mcp-session-id': ended } })
      expect((await end()).status).to.equal(200)
      expect((await end()).status).to.equal(404)
      const unknown = `ses_${'a'.repeat(32)}`
      const texts = new Set<string>()
      for (const id of [other, ended, unknown, 'x', `${other}x`]) {
        const answer = await send(rpc({ method: 'tools/list' }), { 'mcp-session-id': id })
        expect(answer.status, id).to.equal(404)
        texts.add(answer.text)
      }
      expect(texts.size).to.equal(1)
    })

    it('stay the agent\u2019s when its key is rotated', async () => {
      const first = await gate.agent('wire-rotating')
      const session = await initialized(gate, first)
      const rotate = '/api/v1/agents/wire-rotating/keys/rotate'
      const { body } = await gate.call('POST', rotate, { body: {} })
      const headers = { 'mcp-session-id': session }
      const answer = await send(rpc({ method: 'tools/list' }), headers, body.api_key ?? body.key)
      expect(answer.status, answer.text).to.equal(200)
    })

    it('end by themselves when one has too many: those used longest ago', async () => {
      const crowded = await gate.agent('wire-crowded')
      const first = await initialized(gate, crowded)
      for (let n = 0; n < 32; n++) await initialized(gate, crowded)
      const last = await initialized(gate, crowded)
      const list = async (id: string) =>
        (await send(rpc({ method: 'tools/list' }), { 'mcp-session-id': id }, crowded)).status
      expect([await list(first), await list(last)]).to.deep.equal([404, 200])
    })

    it('speak the version that was agreed on, and refuse one nobody knows', async () => {
      const session = await initialized(gate, key)
      const list = (version: string) =>
        send(rpc({ method: 'tools/list' }), {
          'mcp-session-id': session,
          'mcp-protocol-version': version,
        })
      expect((await list('2025-06-18')).status).to.equal(200)
      expect((await list('1999-01-01')).status).to.equal(400)
    })

    it('take notifications and answers, and say nothing to them', async () => {
      const headers = { 'mcp-session-id': await initialized(gate, key) }
      const notes = [
        { jsonrpc: '2.0', method: 'notifications/initialized' },
        { jsonrpc: '2.0', method: 'notifications/anything', params: { a: 1 } },
        { jsonrpc: '2.0', id: 9, result: {} },
      ]
      for (const note of notes) {
        const { status, text } = await send(note, headers)
        expect([status, text]).to.deep.equal([202, ''])
      }
    })

    it('know no method but those of the table: an error under 200', async () => {
      const headers = { 'mcp-session-id': await initialized(gate, key) }
      for (const method of ['server/discover', 'resources/list', 'sampling/createMessage']) {
        expect(codeOf(await send(rpc({ method }), headers))).to.deep.equal([200, -32601])
      }
      expect((await send(rpc({ method: 'ping' }), headers)).body.result).to.deep.equal({})
    })
  })

  describe('calls', () => {
    it('are at most once under an idempotency key, in a header or in `_meta`', async () => {
      const headers = { 'mcp-session-id': await initialized(gate, key) }
      const call = (id: string, more: Record<string, string>, meta: Record<string, unknown>) => {
        const params = { name: 'items_update', arguments: { id }, _meta: meta }
        return send(rpc({ method: 'tools/call', params }), { ...headers, ...more })
      }
      const inMeta = { 'dev.portcullis/idempotencyKey': 'once-1' }
      for (const [more, meta] of [
        [{}, inMeta],
        [{ 'idempotency-key': 'once-1' }, {}],
        [{ 'idempotency-key': 'once-1' }, inMeta],
      ] as const) {
        expect((await call('once', more, meta)).body.result.isError).to.equal(undefined)
      }
      const urls = gate.upstream.effects.map(({ url }) => url)
      expect(urls.filter((url) => url === '/items/once')).to.have.length(1)
      const other = await call('twice', {}, inMeta)
      const { code } = other.body.result._meta['dev.portcullis/error']
      expect(code).to.equal('idempotency_mismatch')
      const two = await call('once', { 'idempotency-key': 'once-2' }, inMeta)
      expect(codeOf(two)).to.deep.equal([200, -32602])
    })

    it('do not wait where the policy says so', async () => {
      const params = { name: 'items_delete', arguments: { id: 'held' } }
      const { body, headers } = await modern('tools/call', params)
      expect(headers.get('content-type')).to.include('application/json')
      const error = body.result._meta['dev.portcullis/error']
      expect(error.code).to.equal('approval_pending')
      expect(body.result.structuredContent).to.deep.equal(error)
    })

    it('are joined by the same call of another session', async () => {
      const params = { name: 'items_delete', arguments: { id: 'joined' } }
      const ids: string[] = []
      for (let n = 0; n < 2; n++) {
        const headers = { 'mcp-session-id': await initialized(gate, key) }
        const { body } = await send(rpc({ method: 'tools/call', params }), headers)
        ids.push(body.result._meta['dev.portcullis/error'].action_id)
      }
      expect(new Set(ids).size).to.equal(1)
    })

    it('of a paused agent say so, and so does its `initialize`', async () => {
      const paused = await gate.agent('wire-paused')
      const headers = { 'mcp-session-id': await initialized(gate, paused) }
      const pause = { body: { action: 'pause', reason: 'test' } }
      const done = await gate.call('POST', '/api/v1/agents/wire-paused/action', pause)
      expect(done.status, done.text).to.equal(200)
      const params = { name: 'items_list', arguments: {} }
      const { body } = await send(rpc({ method: 'tools/call', params }), headers, paused)
      expect(body.result._meta['dev.portcullis/error'].code).to.equal('agent_paused')
      const anew = await send(rpc({ method: 'initialize', params: {} }), {}, paused)
      expect([anew.status, anew.body.error.data.code]).to.deep.equal([200, 'agent_paused'])
    })

    it('are counted by method, and unknown methods as one', async () => {
      await modern('nobody/knows')
      const { text } = await gate.call('GET', '/metrics', { key: ADMIN })
      const counted = (labels: string) => text.includes(`portcullis_mcp_requests_total{${labels}}`)
      expect(counted('server="tools",method="tools/call",result="answered"')).to.equal(true)
      expect(counted('server="tools",method="other",result="refused"')).to.equal(true)
      expect(text).to.not.include('nobody/knows')
    })
  })

  it('lists page by page, and takes only its own cursors', async () => {
    const tools = Array.from(
      { length: 230 },
      (_, n) =>
        `  many.n${n}: { upstream: test, method: GET, path: "/many/${n}", effect: read, args: { type: object } }`,
    )
    const large = await TestGate.start({
      policies: {
        'tools.yaml': `${TOOLS}${tools.join('\n')}\n`,
        'gate.yaml': GATE.replace('"people.get"]', '"people.get", "many.*"]'),
      },
    })
    const mine = await large.agent('paging')
    const page = async (as: string, cursor?: string) => {
      const session = await initialized(large, as)
      const params = cursor === undefined ? {} : { cursor }
      return large.call('POST', ROUTE, {
        key: as,
        headers: { 'mcp-session-id': session },
        body: rpc({ method: 'tools/list', params }),
      })
    }
    const names: string[] = []
    let cursor: string | undefined
    do {
      const { result } = (await page(mine, cursor)).body
      names.push(...result.tools.map(({ name }: { name: string }) => name))
      expect(result.tools.length).to.be.at.most(100)
      cursor = result.nextCursor
      if (cursor !== undefined) {
        const theirs = await page(await large.agent(`paging-${names.length}`), cursor)
        expect(codeOf(theirs), 'of somebody else').to.deep.equal([200, -32602])
      }
    } while (cursor !== undefined)
    expect(new Set(names).size).to.equal(236)
    for (const wrong of ['100', `100.${'0'.repeat(64)}`, 'x']) {
      expect(codeOf(await page(mine, wrong))).to.deep.equal([200, -32602])
    }
    await large.stop()
  })

  it('leaves a held call as it is when the gate stops, though its client loses the connection', async () => {
    const stopping = await TestGate.start()
    const mine = await stopping.agent('stopping')
    const params = { name: 'items_delete', arguments: { id: 'kept' }, _meta: ENVELOPE }
    const calling = fetch(`${stopping.gate.url}${ROUTE}`, {
      method: 'POST',
      headers: {
        'x-api-key': mine,
        'content-type': 'application/json',
        'mcp-protocol-version': MODERN,
        'mcp-method': 'tools/call',
        'mcp-name': 'items_delete',
      },
      body: JSON.stringify(rpc({ method: 'tools/call', params })),
    })
      .then((response) => response.text())
      .catch(() => 'cut')
    await until('it is held', async () => {
      const { body } = await stopping.call('GET', '/approvals?status=pending')
      return body.approvals.length === 1
    })
    const { dataDir, policyDir, upstream } = stopping
    await stopping.gate.stop()
    await calling
    const again = await TestGate.start({ dataDir, policyDir, upstream })
    const { body } = await again.call('GET', '/approvals?status=pending')
    expect(body.approvals).to.have.length(1)
    await again.stop()
    await upstream.stop()
  })
})
