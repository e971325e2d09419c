import { expect } from 'chai'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import pg from 'pg'
import { PostgresServer, postgresBin } from '../support/database.ts'
import { TestGate, until } from '../support/gate.ts'
import { rawOne, rawRequest } from '../support/raw.ts'
import { reply, type Behaviour } from '../support/upstream.ts'

const MIB = 1 << 20
const TOOLS = `
version: 1
upstreams:
  test: { base_url: '\${TICKETING_API_URL}/base', timeout_ms: 1500, idle_timeout_ms: 3000, credential: { header: X-K, env: SECRET } }
tools:
  read: { upstream: test, method: GET, path: /read, effect: read, response: { bytes_max: 9000000 }, return_headers: [x-total], args: {} }
  write: { upstream: test, method: POST, path: /write, effect: write, response: { bytes_max: 9000000 }, retryable_status: [503], args: {} }
  large: { upstream: test, method: GET, path: /large, effect: read, args: {} }
  passes: { upstream: test, method: POST, path: /passes, effect: write, response: { redirects: pass }, args: {} }
  never: { upstream: test, method: GET, path: /never, effect: read, response: { stream: never, bytes_max: 100000, redirects: refuse }, args: {} }
  refused: { upstream: test, method: POST, path: /refused, effect: write, on_hold: refused, args: {} }
  waits: { upstream: test, method: POST, path: /waits, effect: write, on_hold: wait, wait_s: 1, args: {} }
`
/** As above, with an upstream that a busy machine may keep waiting. */
const PATIENT_TOOLS = TOOLS.replace(
  'timeout_ms: 1500, idle_timeout_ms: 3000',
  'timeout_ms: 60000, idle_timeout_ms: 60000',
)
const GATE = `
version: 1
environment: test
permissions:
  - { roles: [worker], tools: [read, write, large, passes, never], effect: allow }
  - { roles: [worker], tools: [refused, waits], effect: require_approval }
rate_limits:
  - { limit: 100000, per_s: 1 }
`
const SECRET = 'a-credential-of-the-gate'
const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex')

/** What a client got of an answer, and whether it ended as it should. */
interface Got {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: Buffer
  readonly isWhole: boolean
}

describe('What an upstream answers', () => {
  let gate: TestGate
  let key: string
  before(async () => {
    gate = await TestGate.start({
      policies: { 'tools.yaml': TOOLS, 'gate.yaml': GATE },
      env: { SECRET },
    })
    key = await gate.agent('worker-1')
  })
  after(() => gate.stop())
  beforeEach(() => {
    gate.upstream.effects.length = 0
  })

  /** Asks, and answers as soon as the head is there. */
  const open = async (route: string, method = 'GET', of = gate, as = key) => {
    const req = http.request(`${of.gate.url}/proxy/test${route}`, {
      method,
      headers: { 'x-api-key': as },
    })
    req.on('error', () => {})
    req.end()
    const [res] = (await once(req, 'response')) as [http.IncomingMessage]
    return { req, res }
  }
  const whole = async (res: http.IncomingMessage): Promise<Got> => {
    const chunks: Buffer[] = []
    let isWhole = true
    try {
      for await (const chunk of res as AsyncIterable<Buffer>) chunks.push(chunk)
    } catch {
      isWhole = false
    }
    return {
      status: res.statusCode ?? 0,
      headers: res.headers,
      body: Buffer.concat(chunks),
      isWhole: isWhole && res.complete,
    }
  }
  const get = async (route: string, method = 'GET') => whole((await open(route, method)).res)
  const codeOf = ({ status, body }: Got) => [status, JSON.parse(String(body)).error?.code]
  const actionOf = async (id: string | string[] | undefined) =>
    (await gate.call('GET', `/actions/${String(id)}`)).body
  const chunked =
    (...chunks: readonly (string | Buffer)[]): Behaviour =>
    (_effect, res) => {
      res.writeHead(200, { 'content-type': 'text/plain' })
      for (const chunk of chunks) res.write(chunk)
      res.end()
    }
  const sized =
    (body: Buffer, headers: Record<string, string> = {}): Behaviour =>
    (_effect, res) => {
      res.writeHead(200, {
        'content-type': 'application/octet-stream',
        'content-length': body.length,
        ...headers,
      })
      res.end(body)
    }
  const outcomeOf = async (id: string | string[] | undefined) => {
    const { body } = await gate.call('GET', `/audit/timeline?limit=500`)
    return body.entries.find(
      (one: { kind: string; action_id: string }) => one.kind === 'outcome' && one.action_id === id,
    )
  }

  describe('that is streamed', () => {
    it('begins before the upstream has ended, and ends when its outcome is on record', async () => {
      let end: () => void = () => {}
      gate.upstream.behave = (_effect, res) => {
        res.writeHead(200, { 'content-type': 'text/event-stream' })
        res.write('data: 1\n\n')
        end = () => res.end('data: 2\n\n')
      }
      const { res } = await open('/read')
      expect(res.headers['portcullis-action']).to.match(/^act_/)
      const [first] = (await once(res, 'data')) as [Buffer]
      expect(String(first)).to.equal('data: 1\n\n')
      const id = res.headers['portcullis-action']
      expect((await actionOf(id)).status).to.equal('executing')
      end()
      const { body, isWhole } = await whole(res)
      expect([String(body), isWhole]).to.deep.equal(['data: 2\n\n', true])
      const action = await actionOf(id)
      expect([action.status, action.result.body]).to.deep.equal([
        'succeeded',
        'data: 1\n\ndata: 2\n\n',
      ])
    })

    it('comes whole whatever its size, with its length where there is one; the record has size, digest and beginning', async () => {
      const large = Buffer.from('line\n'.repeat(1_000_000))
      for (const behave of [sized(large, { 'content-type': 'text/plain' }), chunked(large)]) {
        gate.upstream.behave = behave
        const got = await get('/read')
        expect([got.isWhole, sha256(got.body)]).to.deep.equal([true, sha256(large)])
        const action = await actionOf(got.headers['portcullis-action'])
        expect(action.result).to.deep.include({
          truncated: true,
          bytes: large.length,
          sha256: sha256(large),
        })
        expect(action.result.body).to.equal('line\n'.repeat(200))
        const detail = await outcomeOf(got.headers['portcullis-action'])
        expect(detail).to.include({ response_bytes: large.length, response_sha256: sha256(large) })
      }
      gate.upstream.behave = sized(large)
      expect((await get('/read')).headers['content-length']).to.equal(String(large.length))
    })

    it('waits for a client that reads slowly', async () => {
      const large = Buffer.alloc(64 * MIB, 'x')
      let written = 0
      gate.upstream.behave = async (_effect, res) => {
        res.writeHead(200, { 'content-length': large.length })
        for (let at = 0; at < large.length; at += 65_536) {
          const part = large.subarray(at, at + 65_536)
          if (!res.write(part)) await once(res, 'drain')
          written += part.length
        }
        res.end()
      }
      const { res } = await open('/large')
      await once(res, 'readable')
      // It stands still with some of it on its way, and not with all of it in the gate.
      let before = -1
      await until('nothing more is taken', async () => {
        const isStill = written === before
        before = written
        await new Promise((resolve) => setTimeout(resolve, 100))
        return isStill
      })
      expect(written).to.be.below(large.length)
      const got = await whole(res)
      expect([got.isWhole, sha256(got.body)]).to.deep.equal([true, sha256(large)])
    })

    it('is given up for a client that takes nothing any more', async () => {
      gate.upstream.behave = sized(Buffer.alloc(64 * MIB, 'x'))
      const { res } = await open('/large')
      await once(res, 'readable')
      const id = res.headers['portcullis-action']
      await until('it is on record', async () => (await actionOf(id)).status !== 'executing')
      expect((await outcomeOf(id)).response_stopped).to.equal('client_left')
      expect((await whole(res)).isWhole).to.equal(false)
    })

    it('takes credentials out across chunks, and keeps the length that was announced', async () => {
      gate.upstream.behave = chunked(`a ${SECRET.slice(0, 5)}`, `${SECRET.slice(5)} b`)
      expect(String((await get('/read')).body)).to.equal('a [masked] b')
      const body = Buffer.from(`${'x'.repeat(2 * MIB)}${SECRET}y`)
      gate.upstream.behave = sized(body)
      const got = await get('/read')
      expect([got.isWhole, got.body.length]).to.deep.equal([true, body.length])
      expect(String(got.body.subarray(2 * MIB))).to.equal(`${'*'.repeat(SECRET.length)}y`)
    })

    it('is no whole answer where the upstream breaks off: a read fails, of a write nobody knows', async () => {
      for (const [route, method, status] of [
        ['/read', 'GET', 'failed'],
        ['/write', 'POST', 'indeterminate'],
      ] as const) {
        gate.upstream.behave = (_effect, res, socket) => {
          res.writeHead(200, { 'content-type': 'text/plain' })
          res.write('half')
          setTimeout(() => socket.destroy(), 50)
        }
        const got = await get(route, method)
        expect([String(got.body), got.isWhole], route).to.deep.equal(['half', false])
        const id = got.headers['portcullis-action']
        await until('it is on record', async () => (await actionOf(id)).status === status)
      }
    })

    it('is cut where it says nothing for too long, and where it is too large', async () => {
      gate.upstream.behave = (_effect, res) => {
        res.writeHead(200, { 'content-type': 'text/plain' })
        res.write('and then nothing')
      }
      expect((await get('/read')).isWhole).to.equal(false)
      gate.upstream.behave = chunked(...Array.from({ length: 10 }, () => Buffer.alloc(MIB, 'x')))
      const got = await get('/write', 'POST')
      expect(got.isWhole).to.equal(false)
      const id = got.headers['portcullis-action']
      await until('it is on record', async () => (await actionOf(id)).status !== 'executing')
      const { status, error } = await actionOf(id)
      expect([status, error.code]).to.deep.equal(['succeeded', 'response_too_large'])
    })

    it('is cut by the kill switch', async () => {
      gate.upstream.behave = (_effect, res) => {
        res.writeHead(200, { 'content-type': 'text/event-stream' })
        const timer = setInterval(() => res.write('data: x\n\n'), 50)
        res.on('close', () => clearInterval(timer))
      }
      const { res } = await open('/read')
      await once(res, 'data')
      await gate.call('PUT', '/kill-switch', {
        body: { engaged: true, scope: { tool: 'read' }, reason: 'stop' },
      })
      const startedAt = performance.now()
      expect((await whole(res)).isWhole).to.equal(false)
      expect(performance.now() - startedAt).to.be.below(5_000)
      await gate.call('PUT', '/kill-switch', {
        body: { engaged: false, scope: { tool: 'read' }, reason: 'go' },
      })
      const id = res.headers['portcullis-action']
      await until('it is on record', async () => (await actionOf(id)).status === 'failed')
      expect((await actionOf(id)).error.code).to.equal('kill_switch_engaged')
    })

    it('is left by its client: a read is stopped, a write is read to its end', async () => {
      let closed = 0
      const drip: Behaviour = (_effect, res) => {
        res.writeHead(200, { 'content-type': 'text/plain' })
        res.write('begin')
        res.on('close', () => closed++)
      }
      gate.upstream.behave = drip
      const read = await open('/read')
      await once(read.res, 'data')
      read.req.destroy()
      await until('the upstream is let go', () => closed === 1)
      let finish: () => void = () => {}
      gate.upstream.behave = (effect, res, socket) => {
        void drip(effect, res, socket)
        finish = () => res.end(' end')
      }
      const write = await open('/write', 'POST')
      await once(write.res, 'data')
      write.req.destroy()
      await once(write.req, 'close')
      finish()
      const id = write.res.headers['portcullis-action']
      await until('it is on record', async () => (await actionOf(id)).status === 'succeeded')
      expect((await actionOf(id)).result.body).to.equal('begin end')
    })

    it('is held whole for a client of HTTP/1.0, where an end looks like any other', async () => {
      gate.upstream.behave = (_effect, res, socket) => {
        res.writeHead(200, { 'content-type': 'text/plain' })
        res.write('half')
        setTimeout(() => socket.destroy(), 50)
      }
      const answer = await rawOne(
        gate.gate.url,
        ...rawRequest('GET /proxy/test/read HTTP/1.0', ['Host: gate', `X-API-Key: ${key}`]),
      )
      expect(answer.status).to.equal(502)
    })
  })

  it('never ends a stream whose outcome cannot be put on record', async function () {
    if (!postgresBin()) {
      console.log('      skipped: no PostgreSQL binaries (initdb, pg_ctl) on this machine')
      this.skip()
    }
    const server = await PostgresServer.start()
    const databaseUrl = await server.createDatabase()
    const other = await TestGate.start({
      policies: { 'tools.yaml': PATIENT_TOOLS, 'gate.yaml': GATE },
      databaseUrl,
      env: { SECRET },
    })
    const saboteur = new pg.Client({ connectionString: databaseUrl })
    await saboteur.connect()
    try {
      const agent = await other.agent('worker-1')
      const large = Buffer.alloc(2 * MIB, 'x')
      for (const respond of [sized(large), chunked(large)]) {
        other.upstream.behave = async (effect, res, socket) => {
          await saboteur.query('begin; lock table audit_entries in access exclusive mode')
          await respond(effect, res, socket)
        }
        const { res } = await open('/write', 'POST', other, agent)
        const got = await whole(res)
        expect([got.status, got.isWhole]).to.deep.equal([200, false])
        if (got.headers['content-length']) expect(got.body.length).to.be.below(large.length)
        await saboteur.query('rollback')
        other.upstream.behave = (_effect, reply) => void reply.end('{}')
        const route = `/actions/${String(res.headers['portcullis-action'])}`
        let last: unknown
        await until(
          () => `the outcome is on record: ${JSON.stringify(last)}`,
          async () => {
            const { status, body } = await other.call('GET', route)
            last = { answered: status, ...body }
            return body.status === 'succeeded'
          },
        ).catch(async (error: Error) => {
          const { text } = await other.call('GET', '/health')
          throw new Error(`${error.message}; ${text}`)
        })
        await until(
          'it works again',
          async () => (await other.act(agent, { tool: 'write', args: {} })).status === 200,
        )
      }
    } finally {
      await saboteur.end()
      await other.stop()
      server.stop()
    }
  })

  it('502 where it is larger than may be handed on, before its first byte', async () => {
    gate.upstream.behave = sized(Buffer.alloc(9_000_001))
    const got = await get('/write', 'POST')
    expect(codeOf(got)).to.deep.equal([502, 'response_too_large'])
    expect((await actionOf(got.headers['portcullis-action'])).status).to.equal('succeeded')
    gate.upstream.behave = chunked(Buffer.alloc(100_001))
    expect(codeOf(await get('/never'))).to.deep.equal([502, 'response_too_large'])
  })

  it('is unpacked where it comes packed, and so is what is in it', async () => {
    const text = `{"secret":"${SECRET}","n":1}`
    for (const [encoding, packed] of [
      ['gzip', gzipSync(text)],
      ['deflate', deflateSync(text)],
      ['br', brotliCompressSync(text)],
    ] as const) {
      gate.upstream.behave = sized(packed, {
        'content-encoding': encoding,
        'content-type': 'application/json',
      })
      const got = await get('/read')
      expect([String(got.body), got.headers['content-encoding']], encoding).to.deep.equal([
        '{"secret":"[masked]","n":1}',
        undefined,
      ])
      const acted = await gate.act(key, { tool: 'read', args: {} })
      expect(acted.body.result.body).to.deep.equal({ secret: '[masked]', n: 1 })
    }
    expect(gate.upstream.effects[0]?.headers['accept-encoding']).to.equal('identity')
  })

  it('502 where it cannot be unpacked, or is made to fill memory', async () => {
    for (const [encoding, packed] of [
      ['gzip', Buffer.from('no gzip at all')],
      ['zstd', Buffer.from('x')],
      ['gzip, br', gzipSync('x')],
      ['gzip', gzipSync(Buffer.alloc(8_000_000))],
    ] as const) {
      gate.upstream.behave = sized(packed, { 'content-encoding': encoding })
      const acted = await gate.act(key, { tool: 'read', args: {} })
      expect([acted.status, acted.body.error?.code], encoding).to.deep.equal([
        502,
        'response_unreadable',
      ])
    }
  })

  it('is a failure where it leads a write elsewhere; a read may follow through the gate', async () => {
    gate.upstream.behave = (_effect, res) => {
      res.writeHead(302, { location: '/base/elsewhere?x=1' })
      res.end()
    }
    const write = await get('/write', 'POST')
    expect(codeOf(write)).to.deep.equal([502, 'upstream_redirected'])
    expect((await actionOf(write.headers['portcullis-action'])).status).to.equal('failed')
    const read = await get('/read')
    expect([read.status, read.headers['location']]).to.deep.equal([
      302,
      '/proxy/test/elsewhere?x=1',
    ])
    expect((await get('/passes', 'POST')).status).to.equal(302)
    expect(codeOf(await get('/never'))).to.deep.equal([502, 'upstream_redirected'])
    expect(gate.upstream.effects).to.have.length(4)
  })

  it('gives the Idempotency-Key back where it says that nothing happened', async () => {
    const headers = { 'idempotency-key': `k-${randomBytes(4).toString('hex')}` }
    gate.upstream.behave = (_effect, res) => reply(res, 503, { busy: true })
    const act = () => gate.act(key, { tool: 'write', args: {} }, headers)
    expect((await act()).body.result.status).to.equal(503)
    gate.upstream.behave = (_effect, res) => reply(res, 200, { done: true })
    expect((await act()).body.result.status).to.equal(200)
    expect((await act()).body.result.status).to.equal(200)
    expect(gate.upstream.effects).to.have.length(2)
  })

  it('gives it back where the upstream says when to try again, unless the tool says otherwise', async () => {
    for (const status of [429, 503]) {
      const headers = { 'idempotency-key': `k-${randomBytes(4).toString('hex')}` }
      const act = async () =>
        (await gate.act(key, { tool: 'passes', args: {} }, headers)).body.result.status
      gate.upstream.behave = (_effect, res) => {
        res.setHeader('retry-after', '1')
        reply(res, status, { busy: true })
      }
      expect(await act()).to.equal(status)
      // Without a word of when, it is an answer like any other.
      gate.upstream.behave = (_effect, res) => reply(res, status, { busy: true })
      expect(await act()).to.equal(status)
      gate.upstream.behave = (_effect, res) => reply(res, 200, {})
      expect(await act()).to.equal(status)
    }
    expect(gate.upstream.effects).to.have.length(4)
    const headers = { 'idempotency-key': `k-${randomBytes(4).toString('hex')}` }
    gate.upstream.behave = (_effect, res) => {
      res.setHeader('retry-after', '1')
      reply(res, 429, { busy: true })
    }
    await gate.act(key, { tool: 'write', args: {} }, headers)
    await gate.act(key, { tool: 'write', args: {} }, headers)
    expect(gate.upstream.effects).to.have.length(5)
  })

  it('says that it was given before, where a key is sent again', async () => {
    gate.upstream.behave = (_effect, res) => reply(res, 200, { done: true })
    const mark = 'idempotent-replayed'
    for (const tool of ['write', 'nothing', 'refused']) {
      const headers = { 'idempotency-key': `k-${randomBytes(4).toString('hex')}` }
      const first = await gate.act(key, { tool, args: {} }, headers)
      const again = await gate.act(key, { tool, args: {} }, headers)
      const marks = [first, again].map((one) => one.headers.get(mark))
      expect([first.status === again.status, ...marks], tool).to.deep.equal([true, null, 'true'])
    }
    const headers = { 'x-api-key': key, 'idempotency-key': 'proxied-twice' }
    const proxied = async () =>
      (await fetch(`${gate.gate.url}/proxy/test/write`, { method: 'POST', headers })).headers
    expect([(await proxied()).get(mark), (await proxied()).get(mark)]).to.deep.equal([null, 'true'])
  })

  it('is JSON as it came, text, or base64 with its type, with the headers that matter', async () => {
    gate.upstream.behave = (_effect, res) => {
      res.writeHead(200, {
        'content-type': 'application/json',
        etag: '"1"',
        'retry-after': '3',
        'x-ratelimit-remaining': '7',
        'x-total': '9',
        'x-other': 'no',
        location: 'https://elsewhere.example/',
      })
      res.end('{"id":12345678901234567890,"n":1.50}')
    }
    const json = await gate.act(key, { tool: 'read', args: {} })
    expect(json.text).to.include('"body":{"id":12345678901234567890,"n":1.50}')
    expect(json.body.result.headers).to.deep.equal({
      etag: '"1"',
      'retry-after': '3',
      'x-ratelimit-remaining': '7',
      'x-total': '9',
    })
    gate.upstream.behave = sized(Buffer.from([0xff, 0]), { 'content-type': 'image/png' })
    const binary = await gate.act(key, { tool: 'read', args: {} })
    expect(binary.body.result.body).to.deep.equal({ base64: '/wA=', content_type: 'image/png' })
  })

  it('is cut for /act above 4 MiB, and kept for its agent to fetch', async () => {
    const large = randomBytes(5 * MIB)
    for (const behave of [sized(large), chunked(large)]) {
      gate.upstream.behave = behave
      const answer = await gate.act(key, { tool: 'read', args: {} })
      const { action_id: id, result } = answer.body
      expect(result).to.include({ truncated: true, bytes: large.length, sha256: sha256(large) })
      expect(answer.headers.get('location')).to.equal(`/actions/${id}/result`)
      const fetched = await fetch(`${gate.gate.url}/actions/${id}/result`, {
        headers: { 'x-api-key': key },
      })
      expect(sha256(Buffer.from(await fetched.arrayBuffer()))).to.equal(sha256(large))
      const stranger = await gate.agent(`stranger-${randomBytes(4).toString('hex')}`)
      expect((await gate.call('GET', `/actions/${id}/result`, { key: stranger })).status).to.equal(
        404,
      )
    }
    gate.upstream.behave = (_effect, res) => reply(res, 200, {})
    const small = await gate.act(key, { tool: 'read', args: {} })
    expect(
      (await gate.call('GET', `/actions/${small.body.action_id}/result`, { key })).status,
    ).to.equal(404)
  })

  it('is not answered again by its beginning', async () => {
    const large = randomBytes(300_000)
    gate.upstream.behave = chunked(large)
    const headers = { 'x-api-key': key, 'idempotency-key': `k-${randomBytes(4).toString('hex')}` }
    const ask = () => fetch(`${gate.gate.url}/proxy/test/read`, { headers })
    expect(sha256(Buffer.from(await (await ask()).arrayBuffer()))).to.equal(sha256(large))
    const again = await ask()
    expect([again.status, JSON.parse(await again.text()).error.code]).to.deep.equal([
      502,
      'response_too_large',
    ])
    expect(gate.upstream.effects).to.have.length(1)
  })

  it('is kept for whoever comes back for it, once a person has said yes', async () => {
    const large = randomBytes(5 * MIB)
    gate.upstream.behave = sized(large)
    const { error } = JSON.parse(String((await get('/refused', 'POST')).body))
    await gate.call('POST', `/approvals/${error.approval.id}/approve`, { body: {} })
    await until('it ran', async () => (await actionOf(error.action_id)).status === 'succeeded')
    const got = await get('/refused', 'POST')
    expect([got.status, got.isWhole, sha256(got.body)]).to.deep.equal([200, true, sha256(large)])
  })

  it('is waited for as the tool says while a person is asked', async () => {
    gate.upstream.behave = (_effect, res) => reply(res, 200, { done: true })
    for (const route of ['/refused', '/waits']) {
      const held = await get(route, 'POST')
      expect(codeOf(held)).to.deep.equal([403, 'approval_required'])
      expect(held.headers['x-should-retry']).to.equal('false')
      const { error } = JSON.parse(String(held.body))
      expect(held.headers['portcullis-action']).to.equal(error.action_id)
      expect(gate.upstream.effects).to.have.length(0)
      await gate.call('POST', `/approvals/${error.approval.id}/approve`, { body: {} })
      await until('it ran', async () => (await actionOf(error.action_id)).status === 'succeeded')
      // The same again gets its answer.
      const answer = await get(route, 'POST')
      expect([answer.status, String(answer.body)]).to.deep.equal([200, '{"done":true}'])
      expect(gate.upstream.effects).to.have.length(1)
      gate.upstream.effects.length = 0
    }
  })

  it('comes to an agent that waits while a person says yes', async () => {
    gate.upstream.behave = (_effect, res) => reply(res, 200, { done: true })
    const waiting = get('/waits', 'POST')
    let id = ''
    await until('it is held', async () => {
      const { body } = await gate.call('GET', '/approvals?status=pending')
      id = body.approvals[0]?.id ?? ''
      return id !== ''
    })
    await gate.call('POST', `/approvals/${id}/approve`, { body: {} })
    expect([200, 403]).to.include((await waiting).status)
  })

  it('is nothing to wait for where a connection cannot be made', async () => {
    const closed = net.createServer().listen(0)
    await once(closed, 'listening')
    closed.close()
    gate.upstream.behave = (_effect, _res, socket) => void socket.destroy()
    expect((await gate.act(key, { tool: 'read', args: {} })).status).to.equal(502)
  })
})
