import { expect } from 'chai'
import { heard, MAKER, TestGate, until, type Answer } from '../support/gate.ts'
import { GATE } from '../support/policies.ts'
import { reply } from '../support/upstream.ts'

const BUDGETS = `${GATE}
budgets:
  - { id: monthly, limit: '100.00', period: month, scope: agent, thresholds: [50, 80, 100] }
  - { id: each, per_action_limit: '5.00' }
guards:
  - { id: few_lists, kind: bulk_limit, tools: [items.list], windows: [{ count: actions, limit: 10, per_s: 3600, scope: agent }] }
  - { id: watch_gets, kind: bulk_limit, mode: shadow, tools: [items.get], windows: [{ count: actions, limit: 2, per_s: 3600, scope: agent }] }
`
const UPDATE = { tool: 'items.update', args: { id: 'i-1', note: 'n' } }

describe('budgets and counters', () => {
  let gate: TestGate
  before(async () => {
    gate = await TestGate.start({ policies: { 'gate.yaml': BUDGETS } })
  })
  after(() => gate.stop())
  beforeEach(() => {
    gate.upstream.effects.length = 0
    gate.upstream.behave = (_effect, res) => reply(res, 200, {})
  })

  const spent = async (key: string) => {
    const rows = await gate.gate.operations.budgetsOf(key)
    const ofGuards = rows.filter(({ key: counter }) => !counter.startsWith('own:'))
    return ofGuards.map(({ reserved, settled }) => ({ reserved, settled }))
  }

  it('never lets 2,000 concurrent actions of 0.10 spend more than 100.00', async () => {
    const key = await gate.agent('spender')
    const act = () => heard(() => gate.act(key, { ...UPDATE, cost: '0.10' }))
    const answers = await Promise.all(Array.from({ length: 2_000 }, act))
    const carriedOut = answers.filter(({ status }) => status === 200)
    expect(carriedOut).to.have.length(1_000)
    expect(gate.upstream.effects).to.have.length(1_000)
    const refused = new Set(
      answers.filter(({ status }) => status !== 200).map(({ body }) => body.error.code),
    )
    expect(['budget_exceeded', 'agent_paused']).to.include.members([...refused])
    expect(await spent('spender')).to.deep.equal([{ reserved: 0n, settled: 100_000_000n }])
  })

  it('pauses the agent that goes over, raises one alert, and refuses it from then on', async () => {
    const key = await gate.agent('rich')
    for (let n = 0; n < 20; n++)
      expect((await gate.act(key, { ...UPDATE, cost: '5' })).status).to.equal(200)
    const over = await gate.act(key, { ...UPDATE, cost: '0.01' })
    expect([over.status, over.body.error.code]).to.deep.equal([403, 'budget_exceeded'])
    const paused = await gate.act(key, UPDATE)
    expect([paused.status, paused.body.error.code]).to.deep.equal([403, 'agent_paused'])
    const { body: agent } = await gate.call('GET', '/api/v1/agents/rich')
    expect(agent.agent.status).to.equal('paused')
    const { body } = await gate.call('GET', `/api/v1/alerts?agent=${agent.agent.id}`)
    const types = body.alerts.map(({ type }: { type: string }) => type)
    expect(types.filter((type: string) => type === 'budget_exceeded')).to.have.length(1)
    expect(types.filter((type: string) => type === 'budget_threshold')).to.have.length(3)
  })

  it('an approved action that goes over pauses the agent, with the alerts of any other', async () => {
    const { body: made } = await gate.call('POST', '/api/v1/agents', {
      key: MAKER,
      body: { name: 'agreed', roles: ['worker'], owner: 'tests', monthly_budget: '7.00' },
    })
    const hold = (id: string) =>
      gate.act(made.api_key, { tool: 'items.delete', args: { id }, cost: '4' })
    const approve = async ({ body: held }: Answer) => {
      await gate.call('POST', `/approvals/${held.approval.id}/approve`)
      const action = () => gate.call('GET', `/actions/${held.action_id}`)
      await until(`${held.action_id} has ended`, async () => {
        return !['held', 'executing'].includes((await action()).body.status)
      })
      return (await action()).body
    }
    const [first, second] = [await hold('a'), await hold('b')]
    expect((await approve(first)).status).to.equal('succeeded')
    const over = await approve(second)
    expect([over.status, over.error.code]).to.deep.equal(['denied', 'budget_exceeded'])
    expect(gate.upstream.effects).to.have.length(1)
    const { body } = await gate.call('GET', '/api/v1/agents/agreed')
    expect(body.agent.status).to.equal('paused')
    const { body: alerts } = await gate.call('GET', `/api/v1/alerts?agent=${body.agent.id}`)
    const types = alerts.alerts.map(({ type }: { type: string }) => type)
    expect(types).to.have.members(['budget_threshold', 'budget_exceeded'])
  })

  it('400 per_action_limit_exceeded for a single action that costs too much', async () => {
    const key = await gate.agent('big')
    const { status, body } = await gate.act(key, { ...UPDATE, cost: '5.01' })
    expect([status, body.error.code]).to.deep.equal([400, 'per_action_limit_exceeded'])
    expect(gate.upstream.effects).to.have.length(0)
  })

  it('gives back what a failed action reserved, and keeps what an unknown one did', async () => {
    const key = await gate.agent('unlucky')
    gate.upstream.behave = (_effect, res) => reply(res, 500, {})
    await gate.act(key, { ...UPDATE, cost: '1' })
    expect(await spent('unlucky')).to.deep.equal([{ reserved: 0n, settled: 0n }])
    gate.upstream.behave = (_effect, _res, socket) => {
      socket.destroy()
    }
    const lost = await gate.act(key, { ...UPDATE, cost: '2' })
    expect(await spent('unlucky')).to.deep.equal([{ reserved: 2_000_000n, settled: 0n }])
    await gate.call('POST', `/actions/${lost.body.error.action_id}/settle`, {
      body: { outcome: 'succeeded', note: 'it did happen' },
    })
    expect(await spent('unlucky')).to.deep.equal([{ reserved: 0n, settled: 2_000_000n }])
  })

  it('counts a window exactly under concurrency', async () => {
    const key = await gate.agent('lister')
    const list = () => gate.act(key, { tool: 'items.list', args: {} })
    const answers = await Promise.all(Array.from({ length: 100 }, list))
    expect(answers.filter(({ status }) => status === 200)).to.have.length(10)
    expect(gate.upstream.effects).to.have.length(10)
  })

  it('only records what a shadow limit would have refused', async () => {
    const key = await gate.agent('getter')
    const get = () => gate.act(key, { tool: 'items.get', args: { id: 'a' } })
    for (let n = 0; n < 3; n++) expect((await get()).status).to.equal(200)
    const { body } = await gate.call('GET', '/audit/timeline?tool=items.get&kind=decision&limit=1')
    expect(body.entries[0].shadow.map(({ source }: { source: string }) => source)).to.deep.equal([
      'watch_gets',
    ])
  })

  it('takes no part of a budget for a dry run', async () => {
    const key = await gate.agent('dry')
    expect((await gate.act(key, { ...UPDATE, cost: '5', dry_run: true })).status).to.equal(200)
    expect(await spent('dry')).to.deep.equal([])
  })
})

describe('the rate limit', () => {
  it('is 5 a second for each agent by default, with Retry-After, and shared by all its keys', async () => {
    const gate = await TestGate.start({
      policies: { 'gate.yaml': GATE.replace(/rate_limits:[^]*/, '') },
    })
    try {
      const key = await gate.agent('fast')
      const answers = await Promise.all(Array.from({ length: 20 }, () => gate.act(key, UPDATE)))
      expect(answers.filter(({ status }) => status === 200)).to.have.length(5)
      const limited = answers.find(({ status }) => status === 429)
      expect(limited?.body.error.code).to.equal('rate_limited')
      expect(Number(limited?.headers.get('retry-after'))).to.be.greaterThan(0)
      expect((await gate.act(await gate.agent('calm'), UPDATE)).status).to.equal(200)
    } finally {
      await gate.stop()
    }
  })
})
