import { expect } from 'chai'
import { postgresBin, PostgresServer } from '../support/database.ts'
import { TestGate, type Answer } from '../support/gate.ts'
import { GATE } from '../support/policies.ts'
import { reply, TestUpstream } from '../support/upstream.ts'

const RATE = GATE.replace('limit: 100000, per_s: 1', 'limit: 3, per_s: 3600, scope: agent')
const AT_ONCE = 10

/** The same request under the same key, many times at once, spread over the gates. */
type Gates = readonly [TestGate, ...TestGate[]]

function together(gates: Gates, key: string, name: string, body: object) {
  return Promise.all(
    Array.from({ length: AT_ONCE }, (_, n) =>
      (gates[n % gates.length] ?? gates[0]).act(key, body, { 'idempotency-key': name }),
    ),
  )
}

const comparable = ({ status, text }: Answer) =>
  `${status} ${text.replace(/"request_id":"[^"]*",?/, '')}`

function suite(start: () => Promise<Gates>) {
  let gates: Gates
  let upstream: TestUpstream
  let key: string
  before(async () => {
    gates = await start()
    const [first] = gates
    upstream = first.upstream
    key = await first.agent('twice')
  })
  after(async () => {
    for (const gate of gates) await gate.stop()
  })
  beforeEach(() => {
    upstream.effects.length = 0
    upstream.behave = (_effect, res) => reply(res, 200, {})
  })

  it('denied: all get the first answer', async () => {
    const answers = await together(gates, key, 'denied', { tool: 'items.nothing', args: {} })
    expect(
      new Set(answers.map(comparable)).size,
      answers.map(({ text }) => text).join('\n'),
    ).to.equal(1)
    expect(answers[0]?.status).to.equal(403)
  })

  it('held: all get the first answer, and there is one approval', async () => {
    const body = { tool: 'items.delete', args: { id: 'i-1' } }
    const answers = await together(gates, key, 'held', body)
    expect(
      new Set(answers.map(comparable)).size,
      answers.map(({ text }) => text).join('\n'),
    ).to.equal(1)
    expect(answers[0]?.status).to.equal(202)
    const { body: list } = await gates[0].call('GET', '/approvals?status=pending')
    expect(list.approvals).to.have.length(1)
  })

  it('failed: one call is made, and all get its answer or are told that it is under way', async () => {
    upstream.behave = (_effect, res) => reply(res, 422, { no: 'good' })
    const body = { tool: 'items.update', args: { id: 'i-1', note: 'n' } }
    const answers = await together(gates, key, 'failed', body)
    const later = await together(gates, key, 'failed', body)
    expect(upstream.effects).to.have.length(1)
    expect(new Set(answers.map(({ status }) => status))).to.satisfy((all: Set<number>) =>
      [...all].every((status) => status === 409 || status === later[0]?.status),
    )
    expect(new Set(later.map(comparable)).size).to.equal(1)
    expect(later[0]?.body.status).to.equal('failed')
  })

  it('dry: all are answered alike, and nothing is kept under the key', async () => {
    const body = { tool: 'items.update', args: { id: 'i-1', note: 'n' }, dry_run: true }
    const answers = await together(gates, key, 'dry', body)
    const seen = answers.map(({ status, body: { decision } }) => [status, decision])
    expect(new Set(seen.map(String))).to.deep.equal(new Set(['200,allow']))
    expect(upstream.effects).to.deep.equal([])
    const real = await gates[0].act(key, { ...body, dry_run: false }, { 'idempotency-key': 'dry' })
    expect(real.status).to.equal(200)
  })

  it('over the rate: no answer is a 500, and what was refused for its rate runs nothing', async () => {
    const limited = await gates[0].agent('limited', ['limited'])
    const body = { tool: 'items.list', args: {} }
    const mine = Array.from({ length: AT_ONCE }, (_, n) =>
      (gates[n % gates.length] ?? gates[0]).act(limited, body, { 'idempotency-key': `rate-${n}` }),
    )
    const answers = await Promise.all(mine)
    const of = (wanted: number) => answers.filter(({ status }) => status === wanted).length
    expect([of(403), of(429)]).to.deep.equal([3, AT_ONCE - 3])
  })
}

describe('ten equal requests at once under one Idempotency-Key', function () {
  this.timeout(600_000)
  const policies = {
    'gate.yaml': RATE.replace(
      'limit: 3, per_s: 3600, scope: agent',
      'limit: 3, per_s: 3600, scope: agent, roles: [limited]',
    ),
  }

  describe('on one gate', () => {
    suite(async () => [await TestGate.start({ policies })])
  })

  describe('on two gates', () => {
    let server: PostgresServer
    let upstream: TestUpstream
    before(async function () {
      if (!postgresBin()) {
        console.log('      skipped: no PostgreSQL binaries (initdb, pg_ctl) on this machine')
        this.skip()
      }
      server = await PostgresServer.start()
      upstream = await TestUpstream.start()
    })
    after(async () => {
      await upstream?.stop()
      server?.stop()
    })
    suite(async () => {
      const databaseUrl = await server.createDatabase()
      const options = { databaseUrl, upstream, policies }
      return Promise.all([TestGate.start(options), TestGate.start(options)])
    })
  })
})
