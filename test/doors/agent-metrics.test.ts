import { expect } from 'chai'
import type { JsonObject } from '../../src/model/json.ts'
import { TestGate, type Answer } from '../support/gate.ts'

describe('what agents and other systems tell the gate', () => {
  let gate: TestGate
  let key: string
  let id: string
  before(async () => {
    gate = await TestGate.start()
    key = await gate.agent('measured')
    id = (await gate.call('GET', '/api/v1/agents/measured')).body.agent.id
  })
  after(() => gate.stop())

  const codeOf = ({ status, body }: Answer) => [status, body.error?.code]
  const record = (body: object, by?: string) =>
    gate.call('POST', '/api/v1/metrics', { body, ...(by ? { key: by } : {}) })
  const get = async (path: string, by?: string) =>
    (await gate.call('GET', path, by ? { key: by } : {})).body

  describe('metrics', () => {
    before(async () => {
      for (let n = 1; n <= 20; n++) {
        const timestamp = n <= 10 ? '2026-03-01T12:00:00Z' : '2026-03-02T00:00:00Z'
        await record({ metric_type: 'execution_time_ms', value: n, unit: 'ms', timestamp }, key)
      }
      for (const value of [1, 1, 0, 1])
        await record({ agent: 'measured', metric_type: 'success', value })
    })

    it('are recorded, listed by agent, type and time, and paged', async () => {
      const all = await get(`/api/v1/metrics?agent_id=${id}&metric_type=execution_time_ms&limit=15`)
      expect(all.metrics).to.have.length(15)
      const rest = await get(
        `/api/v1/metrics?agent=measured&metric_type=execution_time_ms&cursor=${all.next_cursor}`,
      )
      const values = [...all.metrics, ...rest.metrics].map(
        ({ value }: JsonObject) => value as number,
      )
      expect(values.sort((a, b) => a - b)).to.deep.equal(
        Array.from({ length: 20 }, (_, n) => n + 1),
      )
      const range = await get('/api/v1/metrics?since=2026-03-01&until=2026-03-02')
      expect(range.metrics).to.have.length(10)
    })

    it('are aggregated: count, sum, mean, p50, p95, by agent, type and period', async () => {
      const query = 'metric_type=execution_time_ms'
      const { aggregates } = await get(`/api/v1/metrics/aggregate?${query}`)
      expect(aggregates).to.have.length(1)
      expect(aggregates[0]).to.include({
        agent: id,
        count: 20,
        sum: 210,
        mean: 10.5,
        min: 1,
        max: 20,
      })
      expect([aggregates[0].p50, aggregates[0].p95]).to.deep.equal([10.5, 19.05])
      const days = await get(`/api/v1/metrics/aggregate?${query}&period=day&by_agent=false`)
      expect(
        days.aggregates.map((one: JsonObject) => [one['period_start'], one['sum'], one['agent']]),
      ).to.deep.equal([
        ['2026-03-02T00:00:00.000Z', 155, null],
        ['2026-03-01T00:00:00.000Z', 55, null],
      ])
      expect((await get('/api/v1/metrics/aggregate?metric_type=none')).aggregates).to.deep.equal([])
    })

    it('are summed up for one agent, with its success rate', async () => {
      const body = await get('/api/v1/metrics/agent/measured/summary', key)
      expect(body.success_rate).to.equal(0.75)
      expect(body.metrics.execution_time_ms.count).to.equal(20)
    })

    it('of one agent are nothing to another', async () => {
      const nosy = await gate.agent('nosy')
      expect(codeOf(await record({ agent: id, metric_type: 'x', value: 1 }, nosy))).to.deep.equal([
        404,
        'not_found',
      ])
      expect((await get('/api/v1/metrics', nosy)).metrics).to.deep.equal([])
      const summary = await gate.call('GET', `/api/v1/metrics/agent/${id}/summary`, { key: nosy })
      expect(summary.status).to.equal(404)
    })

    it('400 and 404 for what is none', async () => {
      for (const body of [
        { metric_type: 'x' },
        { metric_type: 'x', value: '1' },
        { metric_type: '', value: 1 },
        { metric_type: 'x', value: 1, timestamp: 'yesterday' },
        { metric_type: 'x', value: 1, timestamp: '2999-01-01T00:00:00Z' },
        { metric_type: 'x', value: 1, colour: 1 },
      ]) {
        expect(codeOf(await record(body, key)), JSON.stringify(body)).to.deep.equal([
          400,
          'invalid_request',
        ])
      }
      expect(codeOf(await record({ metric_type: 'x', value: 1 }))).to.deep.equal([
        400,
        'invalid_request',
      ])
      const unknown = await record({ agent: 'nobody', metric_type: 'x', value: 1 })
      expect(codeOf(unknown)).to.deep.equal([404, 'not_found'])
      const period = await gate.call('GET', '/api/v1/metrics/aggregate?period=eon')
      expect(codeOf(period)).to.deep.equal([400, 'invalid_request'])
    })
  })

  describe('events of other systems', () => {
    const ingest = (body: object, by?: string) =>
      gate.call('POST', '/api/v1/events/ingest', { body, ...(by ? { key: by } : {}) })

    it('stand on the record as somebody else’s word, and in the stream', async () => {
      const answer = await ingest({
        event_type: 'rbac_decision',
        agent_id: id,
        agent_role: 'coder',
        operation: 'file_write',
        decision: 'denied',
        resources: ['/etc/passwd'],
        metadata: { hook: 'post-audit-trail' },
      })
      expect(answer.status).to.equal(201)
      const { events } = await get(`/api/v1/events/audit?agent_id=${id}&decision=denied`)
      expect(events[0]).to.include({
        kind: 'event.ingested',
        operation: 'file_write',
        decision: 'denied',
      })
      expect(events[0].details).to.deep.include({ event_type: 'rbac_decision', actor: 'tester' })
      const { body } = await gate.call('GET', '/metrics')
      expect(JSON.stringify(body)).to.not.include('file_write')
    })

    it('are queried by operation and time, paged by the chain', async () => {
      for (let n = 0; n < 5; n++) await ingest({ event_type: 'tick', operation: 'op-x' }, key)
      const first = await get('/api/v1/events/audit?operation=op-x&limit=3')
      const rest = await get(`/api/v1/events/audit?operation=op-x&cursor=${first.next_cursor}`)
      expect([first.events.length, rest.events.length]).to.deep.equal([3, 2])
      const none = await get('/api/v1/events/audit?operation=op-x&until=2020-01-01')
      expect(none.events).to.deep.equal([])
    })

    it('are counted', async () => {
      const stats = await get('/api/v1/events/audit/stats')
      expect(stats.by_decision).to.have.all.keys('allowed', 'denied', 'requires_approval')
      expect(stats.by_operation['op-x']).to.equal(5)
      expect(stats.by_agent[id]).to.be.greaterThan(5)
      expect(stats.kept_days).to.equal(90)
      const today = new Date().toISOString().slice(0, 10)
      expect(stats.by_day[today]).to.equal(stats.total)
      const empty = await get('/api/v1/events/audit/stats?until=2020-01-01')
      expect(empty.total).to.equal(0)
    })

    it('400 for what is none; an agent speaks for itself only', async () => {
      expect(codeOf(await ingest({}))).to.deep.equal([400, 'invalid_request'])
      expect(codeOf(await ingest({ event_type: 'x', decision: 'maybe' }))).to.deep.equal([
        400,
        'invalid_request',
      ])
      const other = await gate.agent('other-voice')
      expect(codeOf(await ingest({ event_type: 'x', agent: id }, other))).to.deep.equal([
        404,
        'not_found',
      ])
    })
  })
})
