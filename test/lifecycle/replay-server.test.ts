import { expect } from 'chai'
import pg from 'pg'
import { postgresBin, PostgresServer } from '../support/database.ts'
import { TestGate } from '../support/gate.ts'
import { GATE } from '../support/policies.ts'
import { over, replayed } from '../support/replays.ts'
import { reply, TestUpstream } from '../support/upstream.ts'

const MASKED = `${GATE}record: { mask: [/args/data/secret] }\n`

describe('a replay over PostgreSQL', function () {
  this.timeout(300_000)
  let server: PostgresServer
  let upstream: TestUpstream
  let databaseUrl: string
  let a: TestGate
  let b: TestGate
  let key: string
  let ids: string[]
  before(async function () {
    if (!postgresBin()) {
      console.log('      skipped: no PostgreSQL binaries (initdb, pg_ctl) on this machine')
      this.skip()
    }
    server = await PostgresServer.start()
    upstream = await TestUpstream.start()
    upstream.behave = (_effect, res) => reply(res, 200, {})
    databaseUrl = await server.createDatabase()
    const options = { databaseUrl, upstream, policies: { 'gate.yaml': MASKED } }
    ;[a, b] = await Promise.all([TestGate.start(options), TestGate.start(options)])
    key = await a.agent('worker-1')
    ids = []
    for (let n = 0; n < 6; n++) {
      const data = n === 0 ? { secret: 'of nobody else' } : { n }
      const args = { id: `i-${n}`, data }
      const { body } = await (n % 2 ? a : b).act(key, { tool: 'items.update', args })
      ids.push(body.action_id)
    }
  })
  after(async () => {
    await a?.stop()
    await b?.stop()
    await upstream?.stop()
    server?.stop()
  })

  it('says what it cannot decide again and why, and guesses nothing', async () => {
    const client = new pg.Client({ connectionString: databaseUrl })
    await client.connect()
    // As an earlier version wrote them, and one whose look-ups were too much to keep.
    await client.query(`update actions set facts = '' where id = any($1)`, [ids.slice(1, 3)])
    const large = JSON.stringify({ partial: 'size', sha256: '0'.repeat(64) })
    await client.query('update actions set facts = $1 where id = $2', [large, ids[3]])
    await client.end()
    const report = await replayed(a, {})
    expect(report).to.include({ decisions: 6, same: 2 })
    expect(report.unplayable).to.deep.equal({
      masked: 1,
      facts_not_recorded: 2,
      facts_too_large: 1,
    })
  })

  it('is answered for by every replica, whichever runs it', async () => {
    const { body } = await a.call('POST', '/policy/replays', { body: {} })
    const one = await over(b, body.id)
    expect(one).to.include({ id: body.id, status: 'finished', requested_by: 'tester' })
    expect(one.report.same).to.equal(2)
  })

  it('is bounded: more than five that are not over are refused for now', async () => {
    const post = () => a.call('POST', '/policy/replays', { body: {} })
    const answers = await Promise.all(Array.from({ length: 12 }, post))
    const refused = answers.filter(({ status }) => status === 429)
    expect(refused).to.not.have.length(0)
    expect(refused[0]?.body.error.code).to.equal('rate_limited')
    for (const { body } of answers.filter(({ status }) => status === 202)) await over(a, body.id)
  })
})
