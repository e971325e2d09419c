import { expect } from 'chai'
import { once } from 'node:events'
import http from 'node:http'
import { WebSocket } from 'ws'
import { postgresBin, PostgresServer } from '../support/database.ts'
import { EventReader } from '../support/events.ts'
import { ADMIN, TestGate, until } from '../support/gate.ts'
import { ACTIVITY, SocketReader } from '../support/socket-reader.ts'
import { reply, TestUpstream } from '../support/upstream.ts'

const UPDATE = { tool: 'items.update', args: { id: 'i-1', note: 'n' } }
const ENV_AGENT = 'env-token-of-an-agent'

interface Opened {
  readonly sse: EventReader
  readonly ws: SocketReader
}

async function openBoth(gate: TestGate, key: string): Promise<Opened> {
  const { url } = gate.gate
  return { sse: await EventReader.open(url, key), ws: await SocketReader.open(url, key) }
}

const closed = async (what: string, ...opened: readonly Opened[]) =>
  until(what, () => opened.every(({ sse, ws }) => sse.ended && ws.closed))

async function leave(...opened: readonly Opened[]): Promise<void> {
  for (const { sse, ws } of opened) {
    await sse.close()
    ws.socket.terminate()
  }
}

describe('open streams', () => {
  let gate: TestGate
  before(async () => {
    const API_TOKENS = `admin:tester:${ADMIN},agent:by-env:${ENV_AGENT}`
    gate = await TestGate.start({ env: { API_TOKENS } })
    gate.upstream.behave = (_effect, res) => reply(res, 200, {})
  })
  after(() => gate.stop())

  const made = async (body: object): Promise<{ id: string; key: string }> =>
    (await gate.call('POST', '/api/v1/keys', { body })).body
  const agent = async (name: string): Promise<{ id: string; key: string }> => {
    const { body } = await gate.call('POST', '/api/v1/agents', {
      body: { name, roles: ['worker'] },
    })
    return { id: body.agent.id, key: body.api_key }
  }

  it('end when their key is revoked, and those of other keys go on', async () => {
    const { id, key } = await made({ role: 'observer', name: 'leaver' })
    const other = await made({ role: 'observer', name: 'stayer' })
    const gone = await openBoth(gate, key)
    const stay = await openBoth(gate, other.key)
    const byEnvironment = await openBoth(gate, ADMIN)
    expect((await gate.call('DELETE', `/api/v1/keys/${id}`)).status).to.equal(204)
    await closed('the streams of the revoked key end', gone)
    await agent('made-later')
    // Not that of a checkpoint, which may be of the entry that ended the streams.
    const { body } = await gate.call('GET', '/state')
    const head = Number(body.audit.size)
    const has = ({ sse, ws }: Opened) => sse.ids.includes(head) && ws.ids.includes(head)
    await until('the others see what comes', () => has(stay) && has(byEnvironment))
    expect(gone.sse.ids).to.not.include(head)
    await leave(stay, byEnvironment)
  })

  it('end when their key was rotated without overlap, and when an overlap is over', async () => {
    for (const overlap of [0, 1]) {
      const { id, key } = await made({ role: 'observer', name: `rotated-${overlap}` })
      const opened = await openBoth(gate, key)
      const body = { overlap_s: overlap }
      const rotated = await gate.call('POST', `/api/v1/keys/${id}/rotate`, { body })
      expect(rotated.status, rotated.text).to.equal(201)
      await closed('the streams of the old key end', opened)
    }
  })

  it('end when their agent is deleted, whoever gave it its key', async () => {
    const { id, key } = await agent('short-lived')
    const own = await openBoth(gate, key)
    const byEnv = await agent('by-env')
    const environment = await openBoth(gate, ENV_AGENT)
    expect((await gate.call('DELETE', `/api/v1/agents/${id}`)).status).to.equal(204)
    await closed('the streams of the agent end', own)
    expect([environment.sse.ended, environment.ws.closed]).to.deep.equal([false, false])
    expect((await gate.call('DELETE', `/api/v1/agents/${byEnv.id}`)).status).to.equal(204)
    await closed('the streams of its environment token end', environment)
  })
})

describe('what a key is still being answered', () => {
  let gate: TestGate
  before(async () => {
    gate = await TestGate.start()
  })
  after(() => gate.stop())

  /** A request under way; `over` resolves when its connection is. */
  const asked = async (key: string, route: string, body?: object) => {
    const req = http.request(`${gate.gate.url}${route}`, {
      method: body ? 'POST' : 'GET',
      headers: { 'x-api-key': key, 'content-type': 'application/json' },
    })
    const over = new Promise<void>((resolve) => req.on('close', resolve))
    req.on('error', () => {})
    req.end(body ? JSON.stringify(body) : undefined)
    return { req, over }
  }
  const rotated = (name: string) =>
    gate.call('POST', `/api/v1/agents/${name}/keys/rotate`, { body: { overlap_s: 0 } })

  it('ends with it: a stream of an upstream, as its agent is deleted or its key is gone', async () => {
    gate.upstream.behave = (_effect, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      const beat = setInterval(() => res.write(':\n\n'), 20)
      res.on('close', () => clearInterval(beat))
    }
    for (const end of ['rotate', 'delete']) {
      const key = await gate.agent(`streams-${end}`)
      const { req, over } = await asked(key, '/proxy/test/items')
      const [res] = (await once(req, 'response')) as [http.IncomingMessage]
      await once(res, 'data')
      res.on('error', () => {}).resume()
      if (end === 'rotate') await rotated(`streams-${end}`)
      else await gate.call('DELETE', `/api/v1/agents/streams-${end}`)
      await over
    }
  })

  it('ends with it: a wait for a person', async () => {
    const key = await gate.agent('waits')
    const args = { tool: 'items.delete', args: { id: 'i-1' } }
    const held = await gate.act(key, args)
    const { over } = await asked(key, '/act', { ...args, wait_s: 60 })
    const other = await asked(key, `/actions/${held.body.action_id}?wait_s=60`)
    await rotated('waits')
    await Promise.all([over, other.over])
    const { body } = await gate.call('GET', `/actions/${held.body.action_id}`)
    expect(body.state).to.equal('held')
  })

  it('ends with the session of a browser that signs out', async () => {
    const own = { 'x-portcullis-csrf': '1', 'sec-fetch-site': 'same-origin' }
    const signed = await gate.call('POST', '/ui/session', {
      ...{ key: null, headers: own, body: { key: ADMIN } },
    })
    const cookie = (signed.headers.get('set-cookie') ?? '').split(';', 1)[0] ?? ''
    const stream = await fetch(`${gate.gate.url}/events`, { headers: { cookie } })
    const read = stream.text().catch(() => 'cut off')
    const headers = { ...own, cookie }
    expect((await gate.call('DELETE', '/ui/session', { key: null, headers })).status).to.be.below(
      300,
    )
    expect(await read).to.be.a('string')
  })
})

describe('streams open at once', () => {
  const PER_KEY = 3
  const MAX = 20
  let gate: TestGate
  before(async () => {
    const env = { STREAMS_PER_KEY: String(PER_KEY), STREAMS_MAX: String(MAX) }
    gate = await TestGate.start({ env })
  })
  after(() => gate.stop())

  const observer = async (name: string): Promise<string> => gate.key('observer', name)
  const open = (key: string, count: number) =>
    Promise.all(Array.from({ length: count }, () => EventReader.open(gate.gate.url, key)))
  const refused = async (key: string) => {
    const { status, body, headers } = await gate.call('GET', '/events', { key })
    expect([status, body.error?.code]).to.deep.equal([429, 'rate_limited'])
    expect(Number(headers.get('retry-after'))).to.be.greaterThan(0)
    return body.error.message as string
  }
  const refusedSocket = (key: string) =>
    new Promise<[number, string | undefined]>((resolve, reject) => {
      const headers = { 'x-api-key': key }
      const socket = new WebSocket(`${gate.gate.url.replace('http', 'ws')}${ACTIVITY}`, { headers })
      socket.on('unexpected-response', (_req, res) => {
        resolve([res.statusCode ?? 0, res.headers['retry-after']])
        socket.terminate()
      })
      socket.on('open', () => reject(new Error('it was let in')))
      socket.on('error', () => {})
    })

  it('are as many as the key may have, whichever kind they are; one that closes makes room', async () => {
    const key = await observer('many')
    const ws = await SocketReader.open(gate.gate.url, key)
    const [first, ...rest] = await open(key, PER_KEY - 1)
    expect(await refused(key)).to.include(`${PER_KEY} streams`)
    expect(await refusedSocket(key)).to.deep.equal([429, '5'])
    await first?.close()
    await until('there is room again', async () => {
      const reader = await SocketReader.open(gate.gate.url, key).catch(() => null)
      if (reader) rest.push({ close: async () => reader.socket.terminate() } as EventReader)
      return reader !== null
    })
    await refused(key)
    const head = await gate.call('HEAD', '/events', { key })
    expect(head.status, 'HEAD opens nothing').to.equal(200)
    const other = await open(await observer('other'), PER_KEY)
    await Promise.all([...rest, ...other].map((reader) => reader.close()))
    ws.socket.terminate()
  })

  it('of an agent are 16, of all together as many as the gate serves', async () => {
    const agent = await gate.agent('follower')
    const own = await open(agent, 16)
    expect(await refused(agent)).to.include('16 streams')
    const again = { body: { overlap_s: 3_600 } }
    const { body } = await gate.call('POST', '/api/v1/agents/follower/keys/rotate', again)
    expect(await refused(body.key), 'with another key of it').to.include('16 streams')
    const others = [
      ...(await open(await observer('x'), PER_KEY)),
      ...(await open(await observer('y'), MAX - 16 - PER_KEY)),
    ]
    expect(await refused(await observer('z'))).to.include(`${MAX} streams`)
    await Promise.all([...own, ...others].map((reader) => reader.close()))
  })

  it('that a request asked wrongly for take no room', async () => {
    const key = await observer('clumsy')
    for (let n = 0; n < PER_KEY * 2; n++) {
      const headers = { 'last-event-id': 'abc' }
      expect((await gate.call('GET', '/events', { key, headers })).status).to.equal(400)
    }
    const readers = await open(key, PER_KEY)
    await Promise.all(readers.map((reader) => reader.close()))
  })
})

describe('open streams on two gates', function () {
  this.timeout(600_000)
  let server: PostgresServer
  let upstream: TestUpstream
  let a: TestGate
  let b: TestGate
  before(async function () {
    if (!postgresBin()) {
      console.log('      skipped: no PostgreSQL binaries (initdb, pg_ctl) on this machine')
      this.skip()
    }
    server = await PostgresServer.start()
    upstream = await TestUpstream.start()
    const databaseUrl = await server.createDatabase()
    a = await TestGate.start({ databaseUrl, upstream })
    b = await TestGate.start({ databaseUrl, upstream })
  })
  after(async () => {
    await a?.stop()
    await b?.stop()
    await upstream?.stop()
    server?.stop()
  })

  it('end on both when a key is revoked on one', async () => {
    const { body } = await a.call('POST', '/api/v1/keys', {
      body: { role: 'observer', name: 'temp' },
    })
    const opened = [await openBoth(a, body.key), await openBoth(b, body.key)]
    expect((await a.call('DELETE', `/api/v1/keys/${body.id}`)).status).to.equal(204)
    await closed('its streams end on both', ...opened)
    const agent = await a.agent('worker')
    expect((await b.act(agent, UPDATE)).status).to.equal(200)
  })
})
