import { expect } from 'chai'
import pg from 'pg'
import { postgresBin, PostgresServer } from '../support/database.ts'
import { heard, TestGate, until } from '../support/gate.ts'
import { GATE } from '../support/policies.ts'
import { reply, TestUpstream } from '../support/upstream.ts'

const UPDATE = { tool: 'items.update', args: { id: 'i-1', note: 'n' } }
const BUDGET = `${GATE.replace(
  'rate_limits:',
  '  - { roles: [asking], tools: [items.update], effect: require_approval }\nrate_limits:',
)}
record: { mask: [/args/data/secret] }
budgets:
  - { id: all, limit: '10.00', period: total, scope: agent }
`

describe('two gates on one PostgreSQL', function () {
  this.timeout(600_000)
  let databaseUrl = ''
  let server: PostgresServer
  let upstream: TestUpstream
  let a: TestGate
  let b: TestGate
  let key: string
  before(async function () {
    if (!postgresBin()) {
      console.log('      skipped: no PostgreSQL binaries (initdb, pg_ctl) on this machine')
      this.skip()
    }
    server = await PostgresServer.start()
    upstream = await TestUpstream.start()
    databaseUrl = await server.createDatabase()
    const options = { databaseUrl, upstream, policies: { 'gate.yaml': BUDGET } }
    // Both start at once on an empty database: migrations must survive that.
    ;[a, b] = await Promise.all([TestGate.start(options), TestGate.start(options)])
    key = await a.agent('shared')
  })
  after(async () => {
    await a?.stop()
    await b?.stop()
    await upstream?.stop()
    server?.stop()
  })
  beforeEach(() => {
    upstream.effects.length = 0
    upstream.behave = (_effect, res) => reply(res, 200, {})
  })

  const kill = (gate: TestGate, engaged: boolean) =>
    gate.call('PUT', '/kill-switch', { body: { engaged, reason: 'drill' } })

  it('share keys and agents', async () => {
    expect((await b.act(key, UPDATE)).status).to.equal(200)
    const other = await b.agent('made-on-b')
    expect((await a.act(other, UPDATE)).status).to.equal(200)
  })

  it('mask alike, and what one holds masked the other shows to approvers and carries out', async () => {
    const data = { secret: 'canary-of-two-gates', plain: 1 }
    const asking = await a.agent('asking', ['asking'])
    const held = await a.act(asking, { tool: 'items.update', args: { id: 'i-7', data } })
    expect(held.status, held.text).to.equal(202)
    const taken = await b.act(key, { tool: 'items.update', args: { id: 'i-8', data } })
    const secretOf = async (gate: TestGate, id: string) =>
      (await gate.call('GET', `/actions/${id}`)).body.request.args.data.secret
    const masked = await secretOf(b, held.body.action_id)
    expect(masked).to.match(/^masked:[0-9a-f]{32}$/)
    expect(await secretOf(a, taken.body.action_id)).to.equal(masked)
    const approval = `/approvals/${held.body.approval.id}`
    expect((await b.call('GET', approval)).body.args.data).to.deep.equal(data)
    upstream.effects.length = 0
    expect((await b.call('POST', `${approval}/approve`, { body: {} })).status).to.equal(200)
    const path = `/actions/${held.body.action_id}?wait_s=20`
    expect((await a.call('GET', path)).body.status).to.equal('succeeded')
    expect(JSON.parse(upstream.effects[0]?.body ?? '{}').data).to.deep.equal(data)
    expect((await b.call('GET', approval)).body.args.data.secret).to.equal(masked)
  })

  it('refuse a revoked key everywhere, soon', async () => {
    const { body } = await a.call('POST', '/api/v1/keys', {
      body: { role: 'observer', name: 'temp' },
    })
    expect((await b.call('GET', '/actions', { key: body.key })).status).to.equal(200)
    expect((await a.call('DELETE', `/api/v1/keys/${body.id}`)).status).to.equal(204)
    await until(
      'b refuses the key',
      async () => (await b.call('GET', '/actions', { key: body.key })).status === 401,
    )
  })

  it('refuse a key that was revoked past the gate, soon', async () => {
    const { body } = await a.call('POST', '/api/v1/keys', {
      body: { role: 'observer', name: 'temp' },
    })
    const asked = async () => (await b.call('GET', '/actions', { key: body.key })).status
    expect(await asked()).to.equal(200)
    const client = new pg.Client({ connectionString: databaseUrl })
    await client.connect()
    await client.query('update api_keys set revoked_at = now() where id = $1', [body.id])
    await client.end()
    await until('b refuses the key', async () => (await asked()) === 401)
  })

  it('start no effect on either after the kill switch answered 200', async () => {
    for (let round = 0; round < 5; round++) {
      let stop = false
      const load = [a, b].flatMap((gate) =>
        Array.from({ length: 8 }, async () => {
          while (!stop) await gate.act(key, UPDATE)
        }),
      )
      const before = upstream.effects.length
      await until('load is on', () => upstream.effects.length > before + 20)
      expect((await kill(a, true)).status).to.equal(200)
      const atAnswer = upstream.effects.length
      // Whatever is still on its way to the ledger or to the wire has had its chance after these.
      await Promise.all(Array.from({ length: 20 }, () => b.act(key, UPDATE)))
      stop = true
      await Promise.all(load)
      expect(upstream.effects.length, 'effects after the 200').to.equal(atAnswer)
      const refused = await b.act(key, UPDATE)
      expect([refused.status, refused.body.error.code]).to.deep.equal([503, 'kill_switch_engaged'])
      await kill(b, false)
      await until('a lets through again', async () => (await a.act(key, UPDATE)).status === 200)
    }
  })

  it('keep one budget between them: 10.00 hit by 400 actions of 0.10', async () => {
    const spender = await a.agent('spender')
    const answers = await Promise.all(
      Array.from({ length: 400 }, (_, n) =>
        heard(() => (n % 2 ? a : b).act(spender, { ...UPDATE, cost: '0.10' })),
      ),
    )
    // 502: carried out, and recorded only later.
    expect(answers.filter(({ status }) => [200, 502].includes(status))).to.have.length(100)
    expect(upstream.effects).to.have.length(100)
  })

  it('run an approved action once, whichever of them is asked', async () => {
    const held = await a.act(key, { tool: 'items.delete', args: { id: 'i-9' } })
    const approvers = await Promise.all(
      Array.from({ length: 40 }, (_, n) => a.key('approver', `p-${n}`)),
    )
    await Promise.all(
      approvers.map((one, n) =>
        (n % 2 ? a : b).call('POST', `/approvals/${held.body.approval.id}/approve`, {
          key: one,
          body: {},
        }),
      ),
    )
    await until('it ran', async () => {
      const { body } = await b.call('GET', `/actions/${held.body.action_id}`)
      return body.state === 'succeeded'
    })
    expect(upstream.effects.filter(({ method }) => method === 'DELETE')).to.have.length(1)
  })

  it('answer an Idempotency-Key used on the other one', async () => {
    const headers = { 'idempotency-key': 'across' }
    const first = await a.act(key, UPDATE, headers)
    const second = await b.act(key, UPDATE, headers)
    expect(second.body).to.deep.equal(first.body)
    expect(upstream.effects).to.have.length(1)
  })

  it('write one chain, which verifies on both', async () => {
    for (const gate of [a, b]) {
      const { body } = await gate.call('GET', '/audit/verify')
      expect([body.integrity, body.completeness, body.findings]).to.deep.equal(['ok', 'ok', []])
    }
    const { body } = await a.call('GET', '/state')
    expect(body.replicas).to.have.length(2)
  })

  it('carry each other’s events to their readers', async () => {
    const abort = new AbortController()
    const response = await fetch(`${b.gate.url}/events?types=decision`, {
      headers: { 'x-api-key': key },
      signal: abort.signal,
    })
    const reader = response.body?.getReader()
    const { body } = await a.act(key, { ...UPDATE, reason: 'seen on b' })
    let text = ''
    while (!text.includes(body.action_id)) {
      const { value } = (await reader?.read()) ?? {}
      text += new TextDecoder().decode(value)
    }
    abort.abort()
    expect(text).to.include('event: decision')
  })

  it('fail closed while the database is gone, and recover', async () => {
    server.kill()
    const down = await a.act(key, UPDATE)
    expect(down.status).to.equal(503)
    expect(['store_unavailable', 'audit_unavailable', 'kill_state_unknown']).to.include(
      down.body.error.code,
    )
    expect((await a.call('GET', '/healthz', { key: null })).status).to.equal(200)
    await until(
      'a is not ready',
      async () => (await a.call('GET', '/readyz', { key: null })).status === 503,
    )
    const seen = upstream.effects.length
    expect((await b.act(key, UPDATE)).status).to.equal(503)
    expect(upstream.effects).to.have.length(seen)
    server.up()
    await until('a acts again', async () => (await a.act(key, UPDATE)).status === 200)
    await until('b acts again', async () => (await b.act(key, UPDATE)).status === 200)
    expect((await a.call('GET', '/audit/verify')).body.integrity).to.equal('ok')
  })
})
