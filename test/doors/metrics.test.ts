import { expect } from 'chai'
import { ADMIN, TestGate } from '../support/gate.ts'
import { reply } from '../support/upstream.ts'

describe('Prometheus metrics', () => {
  let gate: TestGate
  before(async () => {
    gate = await TestGate.start()
    gate.upstream.behave = (_effect, res) => reply(res, 200, {})
  })
  after(() => gate.stop())

  const scrape = async () => (await gate.call('GET', '/metrics', { key: null })).text
  const value = (text: string, name: string) =>
    Number(
      text
        .split('\n')
        .find((line) => line.startsWith(`${name} `))
        ?.split(' ')[1],
    )

  it('carry the names the seeds documented, and count what happened', async () => {
    const key = await gate.agent('counted')
    await gate.act(key, { tool: 'items.update', args: { id: 'i-1', note: 'n' } })
    await gate.act(key, { tool: 'items.unknown', args: {} })
    const operator = await gate.key('operator', 'planner')
    await gate.call('POST', '/plan', {
      key: operator,
      body: { changes: [{ path: '../x', after: 'y' }] },
    })
    await gate.call('POST', '/api/v1/agents/spawn', { body: { agent_config: { name: 'spawned' } } })
    const text = await scrape()
    expect(value(text, 'actions_total{kind="succeeded"}')).to.equal(1)
    expect(value(text, 'actions_total{kind="denied"}')).to.equal(1)
    expect(text).to.match(/^policy_denied_total\{reason="\w+"\} [1-9]/m)
    expect(value(text, 'act_seconds_count{kind="succeeded"}')).to.equal(1)
    expect(value(text, 'plan_seconds_count')).to.equal(1)
    expect(value(text, 'agent_manager_agent_spawn_duration_count')).to.equal(1)
    expect(value(text, 'portcullis_agents{status="initializing"}')).to.equal(1)
    expect(value(text, 'portcullis_agents{status="active"}')).to.equal(1)
    expect(value(text, 'agent_manager_agent_uptime{stat="longest"}')).to.be.at.least(0)
    expect(text).to.include('sandbox_run_success_rate')
    expect(value(text, 'failopen_total')).to.equal(0)
  })

  it('hold no ids, paths or keys in their labels', async () => {
    const text = await scrape()
    const labels = [...text.matchAll(/\{([^}]*)\}/g)].map(([, inside]) => inside).join(' ')
    expect(labels).to.not.match(/agt_|act_01|key_|\/items|pk_/)
    expect(text).to.not.include(ADMIN)
  })
})
