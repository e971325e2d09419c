import { expect } from 'chai'
import pg from 'pg'
import { Listener } from '../../src/store/listener.ts'
import { postgresBin, PostgresServer } from '../support/database.ts'
import { scratch } from '../support/scratch.ts'
import { TestGate, until } from '../support/gate.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { reply, TestUpstream } from '../support/upstream.ts'

const UPDATE = { tool: 'items.update', args: { id: 'i-1', note: 'n' } }

describe('a gate whose connections to PostgreSQL fall silent', function () {
  this.timeout(600_000)
  let server: PostgresServer
  let upstream: TestUpstream
  let proxy: TcpProxy
  let gate: TestGate
  let peer: TestGate
  let gateUrl: string
  let key: string
  before(async function () {
    if (!postgresBin()) {
      console.log('      skipped: no PostgreSQL binaries (initdb, pg_ctl) on this machine')
      this.skip()
    }
    server = await PostgresServer.start()
    upstream = await TestUpstream.start()
    upstream.behave = (_effect, res) => reply(res, 200, {})
    const databaseUrl = await server.createDatabase()
    const target = new URL(databaseUrl)
    proxy = await TcpProxy.start(Number(target.port))
    target.port = String(proxy.port)
    gateUrl = target.href
    peer = await TestGate.start({ databaseUrl, upstream })
    gate = await TestGate.start({ databaseUrl: gateUrl, upstream })
    key = await gate.agent('worker')
  })
  after(async () => {
    proxy?.heal()
    await gate?.stop()
    await peer?.stop()
    await proxy?.stop()
    await upstream?.stop()
    server?.stop()
  })

  const works = (one: TestGate) => async () => (await one.act(key, UPDATE)).status === 200
  const kill = (one: TestGate, engaged: boolean) =>
    one.call('PUT', '/kill-switch', { body: { engaged, reason: 'drill' } })

  it('answers everybody while nothing answers it, the kill switch too, and works once new connections do', async () => {
    await until('it works', works(gate))
    const before = upstream.effects.length
    proxy.fallSilent()
    // None of these may wait for a network that is not coming back: the silence ends only after them.
    const [engaged, ...refused] = await Promise.all([
      kill(gate, true),
      ...Array.from({ length: 30 }, () => gate.act(key, UPDATE)),
    ])
    expect([engaged?.status, engaged?.body.recorded]).to.deep.equal([202, false])
    expect(new Set(refused.map(({ status }) => status))).to.deep.equal(new Set([503]))
    expect((await gate.call('GET', '/readyz', { key: null })).status).to.equal(503)
    expect((await gate.call('GET', '/healthz', { key: null })).status).to.equal(200)
    expect(upstream.effects).to.have.length(before)
    proxy.heal()
    await until('the switch is on record', async () => {
      const { body } = await peer.call('GET', '/kill-switch')
      return body.engaged
    })
    expect((await kill(peer, false)).status).to.equal(200)
    await until('it works again', works(gate))
  })

  it('goes on when a single answer of the lease is lost', async () => {
    proxy.silenceAfter = 'update replicas set lease_until'
    await until('an answer is lost', () => proxy.silenceAfter === null)
    proxy.heal()
    await until('the lease is lost or renewed', async () => (await kill(gate, true)).status === 200)
    expect((await kill(gate, false)).status).to.equal(200)
    await until('it works again', works(gate))
  })

  it('starts although the record cannot be written at once', async () => {
    const databaseUrl = await server.createDatabase()
    const options = { databaseUrl, dataDir: scratch('data'), upstream }
    await (await TestGate.start(options)).stop()
    const [holder, watcher] = [1, 2].map(() => new pg.Client({ connectionString: databaseUrl }))
    if (!holder || !watcher) throw new Error('two clients')
    await Promise.all([holder.connect(), watcher.connect()])
    await holder.query('begin; select 1 from ledger_head for update')
    const starting = TestGate.start(options)
    const waits = async () =>
      (await watcher.query('select 1 from pg_locks where not granted')).rows.length > 0
    await until('it waits for the record', waits)
    await until('it has waited in vain', async () => !(await waits()))
    await holder.query('rollback')
    const late = await starting
    expect((await late.call('GET', '/readyz', { key: null })).status).to.equal(200)
    await late.stop()
    await Promise.all([holder.end(), watcher.end()])
  })

  it('stops while nothing answers it', async () => {
    const databaseUrl = gateUrl
    const leaving = await TestGate.start({ databaseUrl, upstream })
    await until('it works', works(leaving))
    proxy.fallSilent()
    await leaving.stop()
    proxy.heal()
    await until('the other works again', works(gate))
  })

  it('stops while its listener still connects', async () => {
    const target = new URL(gateUrl)
    const config = { host: target.hostname, port: Number(target.port), user: 'postgres' }
    for (const isSilent of [false, true]) {
      if (isSilent) proxy.fallSilent()
      const listener = new Listener(config, 'nobody', () => {})
      listener.start()
      await listener.stop()
    }
    proxy.heal()
    await until('the gate works again', works(gate))
  })

  it('starts in the end where the first connections of all are not answered in time', async () => {
    const target = new URL(await server.createDatabase())
    const slow = await TcpProxy.start(Number(target.port))
    target.port = String(slow.port)
    slow.fallSilent()
    const starting = TestGate.start({ databaseUrl: target.href, upstream })
    await until('a connection was given up', () => slow.givenUp > 0)
    slow.heal()
    const late = await starting
    expect((await late.call('GET', '/readyz')).status).to.equal(200)
    await late.stop()
    await slow.stop()
  })

  it('does not stop the others when it falls silent inside a batch of the ledger', async () => {
    proxy.silenceAfter = 'begin isolation level' // what travels with it takes the lock
    const stuck = gate.act(key, UPDATE)
    await until('it is silent inside a batch', () => proxy.silenceAfter === null)
    await until('the other gate goes on', works(peer))
    expect((await kill(peer, true)).status).to.equal(200)
    expect((await kill(peer, false)).status).to.equal(200)
    expect((await stuck).status).to.equal(503)
    proxy.heal()
    await until('it works again', works(gate))
  })
})
