import { expect } from 'chai'
import { TestGate } from '../support/gate.ts'
import { GATE } from '../support/policies.ts'
import { reply } from '../support/upstream.ts'

const UPDATE = { tool: 'items.update', args: { id: 'i-1', note: 'n' } }

describe('calls that a page is made of', () => {
  let gate: TestGate
  let key: string
  before(async () => {
    gate = await TestGate.start()
    key = await gate.agent('worker-1')
    gate.upstream.behave = (_effect, res) => reply(res, 200, {})
    for (let n = 0; n < 5; n++) await gate.act(key, UPDATE)
    for (let n = 0; n < 3; n++) await gate.act(key, { tool: 'items.delete', args: { id: `${n}` } })
    await gate.act(key, { tool: 'nothing.there', args: {} })
  })
  after(() => gate.stop())

  const get = async (route: string) => (await gate.call('GET', route)).body

  it('GET /whoami: the name and role of a key, and the agent it acts as', async () => {
    expect(await get('/whoami')).to.include({ name: 'tester', role: 'admin', agent: null })
    const { body } = await gate.call('GET', '/whoami', { key })
    expect(body.role).to.equal('agent')
    expect(body.agent).to.include({ name: 'worker-1', status: 'active', owner: 'tests' })
  })

  it('GET /actions: by effect, upstream, error and time, with how many there are', async () => {
    const totalOf = async (query: string) => (await get(`/actions?${query}`)).total
    expect(await totalOf('limit=2')).to.equal(9)
    expect(await totalOf('effect=allow')).to.equal(5)
    expect(await totalOf('effect=require_approval&agent=worker-1')).to.equal(3)
    expect(await totalOf('upstream=test')).to.equal(8)
    expect(await totalOf('error_code=policy_denied')).to.equal(1)
    const page = await get('/actions?limit=4')
    const middle = page.actions.at(-1)
    const since = encodeURIComponent(middle.created_at)
    expect(await totalOf(`since=${since}`)).to.be.at.least(4)
    expect(await totalOf(`until=${since}`)).to.be.at.most(5)
    expect(await totalOf('since=2999-01-01')).to.equal(0)
    expect((await gate.call('GET', '/actions?since=yesterday')).status).to.equal(400)
  })

  it('alerts are acknowledged once, by whoever was first, and counted until then', async () => {
    gate.upstream.behave = (_effect, res) => void res.destroy()
    await gate.act(key, UPDATE)
    const { alerts, open } = await get('/api/v1/alerts')
    expect(open).to.equal(alerts.length).and.to.be.greaterThan(0)
    expect(alerts[0]).to.include({ state: 'open', acknowledged_by: null })
    const route = `/api/v1/alerts/${alerts[0].id}/acknowledge`
    const first = await gate.call('POST', route, { body: {} })
    expect(first.body).to.include({ state: 'acknowledged', acknowledged_by: 'tester' })
    const other = await gate.key('operator', 'ops')
    const again = await gate.call('POST', route, { key: other, body: {} })
    expect(again.body.acknowledged_by).to.equal('tester')
    expect((await get('/api/v1/alerts?state=open')).open).to.equal(open - 1)
    const seen = await get('/api/v1/alerts?state=acknowledged')
    expect(seen.alerts.map(({ id }: { id: string }) => id)).to.deep.equal([alerts[0].id])
    const { entries } = await get('/audit/timeline?kind=alert.acknowledged')
    expect(entries).to.have.length(1)
    const none = await gate.call('POST', '/api/v1/alerts/alr_none/acknowledge', { body: {} })
    expect(none.status).to.equal(404)
  })

  it('the record: one entry by its number, and the signed heads', async () => {
    const { entries } = await get('/audit/timeline?limit=1')
    expect(await get(`/audit/entries/${entries[0].seq}`)).to.deep.equal(entries[0])
    for (const seq of ['0', '999999', 'x', '-1', '9'.repeat(30)]) {
      expect((await gate.call('GET', `/audit/entries/${seq}`)).status, seq).to.equal(404)
    }
    await get('/audit/verify')
    const { checkpoints, next_cursor: next } = await get('/audit/checkpoints?limit=1')
    expect(checkpoints[0].size).to.be.greaterThan(0)
    const older = await get(`/audit/checkpoints?cursor=${checkpoints[0].size}`)
    expect(next === null || older.checkpoints.length >= 0).to.equal(true)
    for (const one of older.checkpoints) expect(one.size).to.be.below(checkpoints[0].size)
  })

  it('GET /stats/series: decisions in steps of time, by what they were', async () => {
    const sum = (points: readonly number[]) => points.reduce((all, n) => all + n, 0)
    const until = encodeURIComponent(new Date(Date.now() + 60_000).toISOString())
    const { series, step_s: step } = await get(`/stats/series?until=${until}`)
    expect(step).to.equal(864)
    const counts = Object.fromEntries(
      series.map(({ name, points }: { name: string; points: number[] }) => [name, sum(points)]),
    )
    expect(counts).to.deep.equal({ allow: 6, deny: 1, require_approval: 3 })
    for (const { points } of series) expect(points).to.have.length(100)
    const tools = await get(`/stats/series?by=tool&until=${until}&step_s=3600`)
    const update = tools.series.find(({ name }: { name: string }) => name === 'items.update')
    expect([update.points.length, sum(update.points)]).to.deep.equal([24, 6])
    const agents = await get(`/stats/series?by=agent&until=${until}`)
    expect(agents.series.map(({ name }: { name: string }) => name)).to.deep.equal(['worker-1'])
    for (const wrong of ['step_s=1', 'since=2030-01-01&until=2029-01-01', 'by=colour']) {
      expect((await gate.call('GET', `/stats/series?${wrong}`)).status, wrong).to.equal(400)
    }
  })

  it('keys say when they were used last, and are listed by agent', async () => {
    const unused = await gate.agent('never-came')
    const { keys } = await get('/api/v1/keys')
    const of = (name: string) => keys.filter((one: { name: string }) => one.name === name)
    expect(of('worker-1')[0].last_used_at).to.match(/^\d{4}-/)
    expect(of('never-came').map((one: { last_used_at: null }) => one.last_used_at)).to.deep.equal([
      null,
    ])
    const { keys: own } = await get('/api/v1/keys?agent=worker-1')
    expect(own).to.deep.equal(of('worker-1'))
    expect((await gate.call('GET', '/api/v1/keys?agent=nobody')).status).to.equal(404)
    await gate.act(unused, UPDATE)
    const [used] = (await get('/api/v1/keys?agent=never-came')).keys
    expect(used.last_used_at).to.be.a('string')
  })

  it('agents say when they were seen last and what was decided today, where that is asked for', async () => {
    const quiet = await gate.agent('quiet-one')
    expect(quiet).to.be.a('string')
    const { agents } = await get('/api/v1/agents?activity=true&limit=100')
    const of = (name: string) => agents.find((one: { name: string }) => one.name === name)
    expect(of('worker-1').activity.today).to.deep.equal({ allow: 6, deny: 1, require_approval: 3 })
    expect(of('worker-1').activity.last_seen_at).to.be.a('string')
    expect(of('quiet-one').activity).to.deep.equal({
      last_seen_at: null,
      today: { allow: 0, deny: 0, require_approval: 0 },
    })
    const { agent } = await get('/api/v1/agents/worker-1?activity=true')
    expect(agent.activity).to.deep.equal(of('worker-1').activity)
    expect((await get('/api/v1/agents/worker-1')).agent).to.not.have.property('activity')
  })

  it('spend in steps of time: what failed was given back, what agents report counts', async () => {
    const spender = await gate.agent('spender')
    await gate.act(spender, { ...UPDATE, cost: '0.25' })
    await gate.act(spender, { ...UPDATE, args: { id: 'i-2', note: 'm' }, cost: '0.50' })
    gate.upstream.behave = (_effect, res) => reply(res, 422, {})
    await gate.act(spender, { ...UPDATE, args: { id: 'i-3', note: 'm' }, cost: '8' })
    gate.upstream.behave = (_effect, res) => reply(res, 200, {})
    await gate.call('POST', '/api/v1/actions', {
      key: spender,
      body: { action_type: 'email_sent', cost: '0.05' },
    })
    const sums = async (query: string) => {
      const { series } = await get(`/api/v1/spend/series?${query}`)
      type Line = { name: string; points: string[] }
      const totals = series.map(({ name, points }: Line) => [
        name,
        points.reduce((sum, amount) => sum + Number(amount) * 1e6, 0) / 1e6,
      ])
      return Object.fromEntries(totals) as Record<string, number>
    }
    expect((await sums('by=agent'))['spender']).to.equal(0.8)
    expect(await sums('by=tool')).to.include({ 'items.update': 0.75, email_sent: 0.05 })
    expect(await sums('by=upstream')).to.include({ test: 0.75 })
    expect(await sums('since=2020-01-01&until=2020-01-02')).to.deep.equal({})
    expect((await gate.call('GET', '/api/v1/spend/series?by=moon')).status).to.equal(400)
    expect((await gate.call('GET', '/api/v1/spend/series?step_s=1')).status).to.equal(400)
  })
})

describe('what budgets stand at', () => {
  let gate: TestGate
  before(async () => {
    const budgets = `budgets:
  - { id: each, limit: '1.00', period: day, scope: agent }
  - { id: all, limit: '10.00', period: total, scope: global }
`
    gate = await TestGate.start({ policies: { 'gate.yaml': GATE + budgets } })
  })
  after(() => gate.stop())

  it('GET /budgets: of each agent and of all, spent and reserved, nearest to the limit first', async () => {
    const body = { name: 'worker-1', roles: ['worker'], owner: 'tests' }
    const made = (await gate.call('POST', '/api/v1/agents', { body })).body
    expect((await gate.call('GET', '/budgets')).body).to.deep.equal({ budgets: [] })
    await gate.act(made.api_key, { ...UPDATE, cost: '0.50' })
    await gate.act(made.api_key, { tool: 'items.delete', args: { id: 'i' }, cost: '0.25' })
    const { budgets } = (await gate.call('GET', '/budgets')).body
    const amounts = { spent: '0.50', reserved: '0.00' }
    expect(budgets).to.deep.equal([
      {
        ...{ guard: 'each', period: 'day', scope: 'agent', of: made.agent.id, name: 'worker-1' },
        ...{ limit: '1.00', ...amounts, remaining: '0.50', percent: 50 },
      },
      {
        ...{ guard: 'all', period: 'total', scope: 'global', of: '*', name: null },
        ...{ limit: '10.00', ...amounts, remaining: '9.50', percent: 5 },
      },
    ])
  })
})
