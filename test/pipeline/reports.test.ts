import { expect } from 'chai'
import { Agent, request } from 'undici'
import type { JsonObject } from '../../src/model/json.ts'
import { postgresBin, PostgresServer } from '../support/database.ts'
import { TestGate, type Answer } from '../support/gate.ts'
import { reply } from '../support/upstream.ts'

const UPDATE = { tool: 'items.update', args: { id: 'i-1', note: 'n' } }

describe('what agents report and spend', () => {
  let gate: TestGate
  before(async () => {
    gate = await TestGate.start()
    gate.upstream.behave = (_effect, res) => reply(res, 200, {})
  })
  after(() => gate.stop())

  const codeOf = ({ status, body }: Answer) => [status, body.error?.code]
  const report = (body: object, key?: string, headers: Record<string, string> = {}) =>
    gate.call('POST', '/api/v1/actions', { body, headers, ...(key ? { key } : {}) })
  const agent = async (name: string, more: object = {}): Promise<{ id: string; key: string }> => {
    const { body } = await gate.call('POST', '/api/v1/agents', {
      body: { name, roles: ['worker'], ...more },
    })
    return { id: body.agent.id, key: body.api_key }
  }
  const spend = async (name: string) =>
    (await gate.call('GET', `/api/v1/agents/${name}/spend`)).body
  const alerts = async (id: string, type: string) =>
    (await gate.call('GET', `/api/v1/alerts?agent=${id}&type=${type}`)).body.alerts

  it('201 with what is left, and a list of them', async () => {
    const { id, key } = await agent('spender', { monthly_budget: 10, per_action_limit: 5 })
    const body = {
      action_type: 'api_call',
      target: 'openai:gpt-4',
      cost: 0.05,
      metadata: { tokens: 1500 },
    }
    const answer = await report(body, key)
    expect(answer.status).to.equal(201)
    expect(answer.body.action).to.deep.include({
      agent: id,
      cost: '0.05',
      metadata: { tokens: 1500 },
    })
    expect(answer.body.budget).to.deep.equal({ spent: '0.05', limit: '10.00', remaining: '9.95' })
    await report({ action_type: 'other', cost: '1.000001', outcome: 'failure' }, key)
    const { body: listed } = await gate.call('GET', `/api/v1/actions?agent=${id}&limit=1`)
    expect(listed.actions[0]).to.include({ action_type: 'other', cost: '1.000001' })
    const next = await gate.call('GET', `/api/v1/actions?agent=${id}&cursor=${listed.next_cursor}`)
    expect(next.body.actions).to.have.length(1)
    const failed = await gate.call('GET', `/api/v1/actions?agent=${id}&outcome=failure`)
    expect(failed.body.actions).to.have.length(1)
    expect(await alerts(id, 'action_failed')).to.have.length(1)
    const { body: read } = await gate.call('GET', '/api/v1/agents/spender')
    expect(read.budget).to.include({ spent: '1.050001', limit: '10.00', remaining: '8.949999' })
    const { by_type: byType, ...sums } = await spend('spender')
    expect(sums).to.deep.include({ spent: '1.050001', remaining: '8.949999', percent: 10 })
    expect(byType.map(({ type, spent }: JsonObject) => [type, spent])).to.deep.equal([
      ['other', '1.000001'],
      ['api_call', '0.05'],
    ])
  })

  it('400 over the per-action limit, 403 paused, 404 unknown, 403 for another agent', async () => {
    const { id, key } = await agent('limited', { monthly_budget: 100, per_action_limit: 5 })
    const other = await agent('other')
    expect(codeOf(await report({ action_type: 'a', cost: 5.01 }, key))).to.deep.equal([
      400,
      'per_action_limit_exceeded',
    ])
    expect((await report({ action_type: 'a', cost: 5 }, key)).status).to.equal(201)
    expect(codeOf(await report({ agent: id, action_type: 'a' }, other.key))).to.deep.equal([
      403,
      'forbidden',
    ])
    expect(codeOf(await report({ agent: 'nobody', action_type: 'a' }))).to.deep.equal([
      404,
      'not_found',
    ])
    expect(codeOf(await report({ action_type: 'a' }))).to.deep.equal([400, 'invalid_request'])
    await gate.call('PATCH', `/api/v1/agents/${id}`, { body: { status: 'paused' } })
    expect(codeOf(await report({ action_type: 'a' }, key))).to.deep.equal([403, 'agent_paused'])
    const { body } = await gate.call('GET', `/audit/timeline?agent=${id}&kind=report.refused`)
    expect(body.entries.map(({ code }: JsonObject) => code)).to.deep.equal([
      'agent_paused',
      'per_action_limit_exceeded',
    ])
  })

  it('over the monthly budget: 403, the agent paused, one alert; thresholds once each', async () => {
    const { id, key } = await agent('over', { monthly_budget: '1.00', thresholds: [50, 100] })
    for (let n = 0; n < 4; n++)
      expect((await report({ action_type: 'a', cost: 0.25 }, key)).status).to.equal(201)
    const over = await report({ action_type: 'a', cost: '0.000001' }, key)
    expect(codeOf(over)).to.deep.equal([403, 'budget_exceeded'])
    expect(codeOf(await report({ action_type: 'a', cost: 0 }, key))).to.deep.equal([
      403,
      'agent_paused',
    ])
    const { body } = await gate.call('GET', '/api/v1/agents/over')
    expect(body.agent.status).to.equal('paused')
    expect(await alerts(id, 'budget_exceeded')).to.have.length(1)
    expect(await alerts(id, 'budget_threshold')).to.have.length(2)
    await gate.call('POST', `/api/v1/agents/${id}/action`, { body: { action: 'resume' } })
    expect((await report({ action_type: 'a', cost: 0 }, key)).status).to.equal(201)
    await gate.call('PATCH', `/api/v1/agents/${id}`, { body: { monthly_budget: 0.5 } })
    expect(codeOf(await report({ action_type: 'a', cost: 0 }, key))).to.deep.equal([
      403,
      'budget_exceeded',
    ])
  })

  it('400 for amounts that are none, and nothing is charged', async () => {
    const { key } = await agent('amounts', { monthly_budget: 10 })
    for (const cost of [
      -1,
      -0.01,
      '1e3',
      'NaN',
      '',
      ' 1',
      '0.0000001',
      1e300,
      '99999999999',
      null,
      {},
    ]) {
      const answer = await report({ action_type: 'a', cost }, key)
      expect(codeOf(answer), JSON.stringify(cost)).to.deep.equal([400, 'invalid_request'])
    }
    for (const raw of ['NaN', 'Infinity', '1e999', '0x10', '01']) {
      const answer = await gate.call('POST', '/api/v1/actions', {
        key,
        raw: `{"action_type":"a","cost":${raw}}`,
      })
      expect(codeOf(answer), raw).to.deep.equal([400, 'invalid_request'])
    }
    expect((await spend('amounts')).spent).to.equal('0.00')
  })

  it('are charged once under an Idempotency-Key, and a refusal is kept as well', async () => {
    const { id, key } = await agent('twice', { monthly_budget: 1 })
    const headers = { 'idempotency-key': 'r-1' }
    const first = await report({ action_type: 'a', cost: 0.6 }, key, headers)
    const again = await report({ action_type: 'a', cost: 0.6 }, key, headers)
    expect(again.body).to.deep.equal(first.body)
    expect((await spend('twice')).spent).to.equal('0.60')
    const other = { 'idempotency-key': 'r-2' }
    const over = await report({ action_type: 'a', cost: 0.6 }, key, other)
    expect(codeOf(over)).to.deep.equal([403, 'budget_exceeded'])
    await gate.call('PATCH', `/api/v1/agents/${id}`, {
      body: { monthly_budget: 9, status: 'active' },
    })
    expect(codeOf(await report({ action_type: 'a', cost: 0.6 }, key, other))).to.deep.equal([
      403,
      'budget_exceeded',
    ])
    expect(await alerts(id, 'budget_exceeded')).to.have.length(1)
  })

  it('share the budget with the actions that go through the gate', async () => {
    const { id, key } = await agent('both', { monthly_budget: 1, per_action_limit: 0.8 })
    expect(codeOf(await gate.act(key, { ...UPDATE, cost: '0.9' }))).to.deep.equal([
      400,
      'per_action_limit_exceeded',
    ])
    expect((await gate.act(key, { ...UPDATE, cost: '0.7' })).status).to.equal(200)
    expect(codeOf(await report({ action_type: 'a', cost: 0.4 }, key))).to.deep.equal([
      403,
      'budget_exceeded',
    ])
    expect(codeOf(await gate.act(key, UPDATE))).to.deep.equal([403, 'agent_paused'])
    expect(await spend('both')).to.include({ spent: '0.70', remaining: '0.30' })
    const { body } = await gate.call('GET', '/api/v1/spend')
    expect(body.agents.find((one: JsonObject) => one['agent'] === id)).to.include({ spent: '0.70' })
  })

  it('raise an alert when the upstream of an action breaks, and none when it says no', async () => {
    const { id, key } = await agent('unlucky')
    gate.upstream.behave = (_effect, res) => reply(res, 404, {})
    expect((await gate.act(key, UPDATE)).body.status).to.equal('failed')
    expect(await alerts(id, 'action_failed')).to.have.length(0)
    gate.upstream.behave = (_effect, res) => reply(res, 500, {})
    expect((await gate.act(key, UPDATE)).body.status).to.equal('failed')
    expect(await alerts(id, 'action_failed')).to.have.length(1)
    gate.upstream.behave = (_effect, res) => reply(res, 200, {})
  })

  it('stop under the kill switch', async () => {
    const { key } = await agent('killed')
    const kill = (engaged: boolean) =>
      gate.call('PUT', '/kill-switch', {
        body: { engaged, scope: { agent: 'killed' }, reason: 'drill' },
      })
    await kill(true)
    expect(codeOf(await report({ action_type: 'a' }, key))).to.deep.equal([
      503,
      'kill_switch_engaged',
    ])
    await kill(false)
    expect((await report({ action_type: 'a' }, key)).status).to.equal(201)
  })

  it('begin anew with the month of the database clock, to the millisecond', async () => {
    const own = await TestGate.start()
    try {
      const { body } = await own.call('POST', '/api/v1/agents', {
        body: { name: 'monthly', monthly_budget: 1 },
      })
      const spendOne = () =>
        own.call('POST', '/api/v1/actions', {
          key: body.api_key,
          body: { action_type: 'a', cost: 1 },
        })
      // Ledger time never runs backwards, so a head in the future is what the month is read from.
      const moveTo = (time: string) =>
        own.gate.operations.write(async (tx) => {
          await tx.query('update ledger_head set at = $1', [new Date(time)])
        })
      const year = new Date().getUTCFullYear() + 1
      await moveTo(`${year}-01-31T23:59:59.998Z`)
      expect((await spendOne()).status).to.equal(201)
      await moveTo(`${year}-02-01T00:00:00.000Z`)
      expect((await spendOne()).status).to.equal(201)
      expect(codeOf(await spendOne())).to.deep.equal([403, 'budget_exceeded'])
      const months = [`${year}-01`, `${year}-02`, `${year}-03`]
      const spent = []
      for (const month of months) {
        const answer = await own.call('GET', `/api/v1/agents/monthly/spend?month=${month}`)
        spent.push([answer.body.spent, answer.body.by_type.length])
      }
      expect(spent).to.deep.equal([
        ['1.00', 1],
        ['1.00', 1],
        ['0.00', 0],
      ])
    } finally {
      await own.stop()
    }
  })

  describe('10,000 at once on a PostgreSQL server', function () {
    this.timeout(600_000)
    let server: PostgresServer
    let big: TestGate
    before(async function () {
      if (!postgresBin()) {
        console.log('      skipped: no PostgreSQL binaries (initdb, pg_ctl) on this machine')
        this.skip()
      }
      server = await PostgresServer.start()
      big = await TestGate.start({ databaseUrl: await server.createDatabase() })
    })
    after(async () => {
      await big?.stop()
      server?.stop()
    })

    it('never go over: spent is the sum of the accepted, one pause, one alert', async () => {
      const { body } = await big.call('POST', '/api/v1/agents', {
        body: { name: 'storm', monthly_budget: '100.00' },
      })
      const { id } = body.agent
      // Costs of 0.01 to 0.07 add up to about 400: most must be refused.
      const costs = Array.from({ length: 10_000 }, (_, n) => (1 + (n % 7)) * 10_000)
      // As many sockets as one process can open without its own connects timing out.
      const dispatcher = new Agent({ connections: 1_000 })
      const answers = await Promise.all(
        costs.map(async (micros) => {
          const answer = await request(`${big.gate.url}/api/v1/actions`, {
            method: 'POST',
            dispatcher,
            headers: { 'x-api-key': body.api_key, 'content-type': 'application/json' },
            body: JSON.stringify({ action_type: 'a', cost: (micros / 1e6).toFixed(2) }),
          })
          const { error } = (await answer.body.json()) as { error?: { code: string } }
          return { micros, status: answer.statusCode, code: error?.code }
        }),
      )
      await dispatcher.close()
      const accepted = answers.filter(({ status }) => status === 201)
      const sum = accepted.reduce((total, { micros }) => total + micros, 0)
      expect(sum).to.be.at.most(100_000_000)
      expect(accepted.length).to.be.greaterThan(1_000)
      const refusals = new Set(
        answers.filter(({ status }) => status !== 201).map(({ code }) => code),
      )
      // On a busy machine some are not answered in time: whether those were recorded, nobody knows.
      const unheard = ['store_unavailable', 'audit_unavailable'].filter((code) =>
        refusals.delete(code),
      )
      expect([...refusals]).to.have.members(['agent_paused', 'budget_exceeded'])
      const month = await big.call('GET', '/api/v1/agents/storm/spend')
      const spent = Math.round(Number(month.body.spent) * 1e6)
      expect(spent).to.be.within(sum, unheard.length > 0 ? 100_000_000 : sum)
      expect(month.body.by_type[0].actions).to.be.at.least(accepted.length)
      const of = (kind: string) => big.call('GET', `/audit/timeline?agent=${id}&kind=${kind}`)
      expect((await of('agent.paused')).body.entries).to.have.length(1)
      expect((await of('alert.budget_exceeded')).body.entries).to.have.length(1)
      const { body: verdict } = await big.call('GET', '/audit/verify')
      expect(verdict.integrity).to.equal('ok')
    })
  })
})
