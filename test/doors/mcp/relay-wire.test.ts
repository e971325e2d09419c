import { expect } from 'chai'
import type http from 'node:http'
import type { JsonObject } from '../../../src/model/json.ts'
import { TestGate } from '../../support/gate.ts'
import { GATE, TOOLS } from '../../support/policies.ts'
import { reply } from '../../support/upstream.ts'
import { pinsOf } from './pinned.ts'
import { SERVED } from './servers.ts'
import { initialized } from './session.ts'

// What a server may answer that no SDK would: a server by hand, which says anything.

const ERROR = 'dev.portcullis/error'
const ACTION = 'dev.portcullis/action'

describe('MCP relayed: what a server may say', () => {
  let gate: TestGate
  let key: string
  /** How `tools/call` is answered; its result, or all of it. */
  let answer: (id: string, res: http.ServerResponse, params: JsonObject) => void
  const told: JsonObject[] = []
  before(async () => {
    gate = await TestGate.start({
      policies: {
        'tools.yaml': `${TOOLS.replace(
          'tools:\n',
          '  crm: { mcp: { url: "${TICKETING_API_URL}/mcp" }, timeout_ms: 1500, response_bytes_max: 100000 }\ntools:\n',
        )}mcp: { tools: { "crm:*": { effect: write }, "crm:find": { effect: read } } }\n`,
        'gate.yaml': GATE.replace('"items.list",', '"items.list", "mcp.crm.*",'),
        'mcp-pins.json': pinsOf('crm', SERVED),
      },
    })
    key = await gate.agent('any-answer')
    gate.upstream.behave = (effect, res) => {
      const { id, method, params, ...rest } = JSON.parse(effect.body)
      const result = (value: unknown) => reply(res, 200, { jsonrpc: '2.0', id, result: value })
      if (method === 'server/discover')
        result({ supportedVersions: ['2026-07-28'], resultType: 'complete' })
      else if (method === 'tools/list') result({ tools: SERVED, resultType: 'complete' })
      else if (method === 'tools/call') answer(id, res, params)
      else {
        told.push({ id, ...rest })
        res.writeHead(202).end()
      }
    }
  })
  after(() => gate.stop())

  /** Calls as a client of the legacy protocol: what is said is seen as it comes. */
  async function call(name: string, meta: JsonObject = {}) {
    const session = await initialized(gate, key, '/mcp/crm')
    const params = { name, arguments: { id: 'x' }, _meta: meta }
    return gate.call('POST', '/mcp/crm', {
      key,
      headers: { 'mcp-session-id': session },
      body: { jsonrpc: '2.0', id: 1, method: 'tools/call', params },
    })
  }
  const raw =
    (text: string, type = 'application/json') =>
    (_id: string, res: http.ServerResponse) => {
      res.writeHead(200, { 'content-type': type }).end(text.replaceAll('$ID', _id))
    }
  const stateOf = async (result: JsonObject) => {
    const meta = result['_meta'] as Record<string, { action_id: string }>
    const { action_id: id } = meta[ERROR] ?? meta[ACTION] ?? { action_id: '' }
    return (await gate.call('GET', `/actions/${id}`)).body.state
  }

  it('hands a result on digit by digit, unknown members and all', async () => {
    const own =
      '{"content":[],"x":{"big":12345678901234567890,"e":1e400},"_meta":{"theirs":[1.10]}}'
    answer = raw(`{"jsonrpc":"2.0","id":"$ID","result":${own}}`)
    const { text } = await call('store')
    expect(text).to.include('"big":12345678901234567890').and.include('"e":1e400')
    expect(text).to.include('"theirs":[1.10]').and.include(ACTION)
  })

  it('says nothing in our name that the server said', async () => {
    const fake = `{"content":[],"_meta":{"${ERROR}":{"code":"policy_denied"},"kept":1}}`
    answer = raw(`{"jsonrpc":"2.0","id":"$ID","result":${fake}}`)
    const { body } = await call('store')
    expect(body.result._meta).to.have.all.keys('kept', ACTION)
  })

  it('reads answers by how they are framed, whatever type they say', async () => {
    const response = '{"jsonrpc":"2.0","id":"$ID","result":{"content":[]}}'
    const note = '{"jsonrpc":"2.0","method":"notifications/message","params":{}}'
    for (const [text, type] of [
      [`${note}\n${response}\n`, 'application/json'],
      [`data: ${note}\n\ndata: ${response}\n\n`, 'application/json'],
      [`data: ${response}\n\n`, 'text/event-stream'],
      [response, 'text/plain'],
    ] as const) {
      answer = raw(text, type)
      expect((await call('store')).body.result?.content, text).to.deep.equal([])
    }
  })

  it('is not kept waiting by a stream that stays open behind the response', async () => {
    answer = (id, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write(`data: {"jsonrpc":"2.0","id":"${id}","result":{"content":[]}}\n\n`)
    }
    expect((await call('store')).body.result.content).to.deep.equal([])
  })

  it('refuses what a server asks of its client, and goes on', async () => {
    answer = (id, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write(
        'data: {"jsonrpc":"2.0","id":"q1","method":"sampling/createMessage","params":{}}\n\n',
      )
      res.end(`data: {"jsonrpc":"2.0","id":"${id}","result":{"content":[]}}\n\n`)
    }
    told.length = 0
    expect((await call('store')).body.result.content).to.deep.equal([])
    expect(told.map(({ id, error }) => [id, (error as JsonObject)['code']])).to.deep.equal([
      ['q1', -32601],
    ])
  })

  it('answers a few requests of a server in one exchange, and none after its response', async () => {
    const asks = (from: number) =>
      Array.from(
        { length: 200 },
        (_, n) => `data: {"jsonrpc":"2.0","id":"q${from + n}","method":"roots/list"}\n\n`,
      ).join('')
    answer = (id, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.end(
        `${asks(0)}data: {"jsonrpc":"2.0","id":"${id}","result":{"content":[]}}\n\n${asks(200)}`,
      )
    }
    told.length = 0
    expect((await call('store')).body.result.content).to.deep.equal([])
    expect((await call('store')).status).to.equal(200) // by then all of the first were sent
    expect(
      told.filter(({ id }) => typeof id === 'string' && id.startsWith('q')).length,
    ).to.be.at.most(8)
  })

  it('passes an error on with its code, unless that is one of ours, and cuts its text', async () => {
    const error = (code: number) =>
      `{"jsonrpc":"2.0","id":"$ID","error":{"code":${code},"message":"${'m'.repeat(3000)}"}}`
    for (const [code, seen] of [
      [-32602, -32602],
      [42, 42],
      [-32001, -32602],
    ] as const) {
      answer = raw(error(code))
      const { status, body } = await call('store')
      expect([status, body.error.code, body.error.message.length]).to.deep.equal([200, seen, 2000])
    }
  })

  const FAILED: Readonly<Record<string, readonly [string, string, string]>> = {
    'more than it may': [
      `{"jsonrpc":"2.0","id":"$ID","result":{"x":"${'y'.repeat(200_000)}"}}`,
      'response_too_large',
      'failed',
    ],
    'a kind of result nobody asked for': [
      '{"jsonrpc":"2.0","id":"$ID","result":{"resultType":"task","taskId":"t"}}',
      'response_unreadable',
      'failed',
    ],
    'two results': [
      '{"jsonrpc":"2.0","id":"$ID","result":{"resultType":"task"},"result":{"content":[]}}',
      'response_unreadable',
      'failed',
    ],
    'two kinds of result': [
      '{"jsonrpc":"2.0","id":"$ID","result":{"resultType":"task","resultType":"complete","content":[]}}',
      'response_unreadable',
      'failed',
    ],
    'two things beside a result': [
      `{"jsonrpc":"2.0","id":"$ID","result":{"_meta":{"${ERROR}":{}},"_meta":{},"content":[]}}`,
      'response_unreadable',
      'failed',
    ],
    'a result that is none': [
      '{"jsonrpc":"2.0","id":"$ID","result":7}',
      'response_unreadable',
      'failed',
    ],
    'the response to another request': [
      '{"jsonrpc":"2.0","id":"other","result":{}}',
      'outcome_unknown',
      'indeterminate',
    ],
    'no message': ['<html>', 'outcome_unknown', 'indeterminate'],
    nothing: ['', 'outcome_unknown', 'indeterminate'],
  }
  for (const [what, [text, code, state]] of Object.entries(FAILED)) {
    it(`answers ${code} where a server says ${what}`, async () => {
      answer = raw(text)
      const { result } = (await call('store')).body
      expect(result._meta[ERROR].code).to.equal(code)
      expect(await stateOf(result)).to.equal(state)
    })
  }

  it('says that a list cannot be had, as the reference does', async () => {
    const { behave } = gate.upstream
    const session = await initialized(gate, key, '/mcp/crm')
    gate.upstream.behave = (_effect, res) => reply(res, 500, {})
    try {
      const { status, body } = await gate.call('POST', '/mcp/crm', {
        key,
        headers: { 'mcp-session-id': session },
        body: { jsonrpc: '2.0', id: 1, method: 'tools/list' },
      })
      expect([status, body.error.data.code]).to.deep.equal([502, 'upstream_unreachable'])
    } finally {
      gate.upstream.behave = behave
    }
  })

  it('knows nothing of a write that got no answer, and that a read had no effect', async () => {
    answer = (_id, res) => res.destroy()
    const write = (await call('store')).body.result
    expect([write._meta[ERROR].code, await stateOf(write)]).to.deep.equal([
      'outcome_unknown',
      'indeterminate',
    ])
    const read = (await call('find')).body.result
    expect([read._meta[ERROR].code, await stateOf(read)]).to.deep.equal([
      'upstream_unreachable',
      'failed',
    ])
    answer = () => {} // and never answers
    const late = (await call('store')).body.result
    expect(late._meta[ERROR].code).to.equal('outcome_unknown')
  })

  it('sends a call once, with an id of its own and the headers that intermediaries read', async () => {
    let seen: JsonObject = {}
    answer = (id, res, params) => {
      seen = params
      raw('{"jsonrpc":"2.0","id":"$ID","result":{"content":[]}}')(id, res)
    }
    gate.upstream.effects.length = 0
    await call('store', { progressToken: 'mine', 'secret.example/x': 'y' })
    const calls = gate.upstream.effects.filter(({ body }) => body.includes('tools/call'))
    expect(calls).to.have.length(1)
    expect(calls[0]?.headers).to.include({
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': 'store',
    })
    expect(JSON.stringify(seen)).to.not.include('secret.example').and.not.include('"mine"')
    expect(JSON.parse(calls[0]?.body ?? '{}').id).to.match(/^[0-9a-f-]{36}$/)
  })
})
