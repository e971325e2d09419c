import { expect } from 'chai'
import { postgresBin, PostgresServer } from '../support/database.ts'
import { EventReader } from '../support/events.ts'
import { ADMIN, TestGate, until } from '../support/gate.ts'
import { SocketReader } from '../support/socket-reader.ts'
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
    const { body } = await gate.call('GET', '/audit/checkpoint')
    const head = Number(body.checkpoint.size)
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

describe('open streams on two gates', function () {
  this.timeout(120_000)
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
