import { expect } from 'chai'
import { TestGate } from '../support/gate.ts'
import { GATE } from '../support/policies.ts'
import { reply } from '../support/upstream.ts'

const POLICY = GATE.replace(
  'rate_limits',
  `  - { roles: [closer], tools: ["items.update"], effect: allow, when: { args: { note: done } } }
  - { roles: [closer], tools: ["items.list"], effect: allow }
  - { roles: [closer], tools: ["items.list"], effect: deny, environments: [production] }
  - { roles: [closer], tools: ["items.get"], effect: allow }
  - { roles: [closer], tools: ["items.get"], effect: deny }
rate_limits`,
)

describe('GET /tools and GET /upstreams', () => {
  let gate: TestGate
  let operator: string
  before(async () => {
    gate = await TestGate.start({ policies: { 'gate.yaml': POLICY } })
    operator = await gate.key('operator', 'op')
  })
  after(() => gate.stop())

  const mayOf = async (key: string, query = '') => {
    const { status, body } = await gate.call('GET', `/tools${query}`, { key })
    expect(status).to.equal(200)
    const all = (body.tools as { name: string; may: string }[]).map(({ name, may }) => [name, may])
    return Object.fromEntries(all) as Record<string, string>
  }

  it('says of each tool how it is called and what rules say of the agent that asks', async () => {
    const worker = await gate.agent('worker-1')
    const { body } = await gate.call('GET', '/tools', { key: worker })
    const remove = body.tools.find(({ name }: { name: string }) => name === 'items.delete')
    expect(remove).to.deep.equal({
      name: 'items.delete',
      description: '',
      args: {
        type: 'object',
        properties: { id: { type: 'string' } },
        required: ['id'],
        additionalProperties: false,
      },
      effect: 'irreversible',
      upstream: 'test',
      method: 'DELETE',
      path: '/items/{id}',
      may: 'require_approval',
    })
    expect(await mayOf(worker)).to.include({ 'items.list': 'allow', 'llm.chat': 'deny' })
  })

  it('tells apart what is denied, what depends on args, and what is for another environment', async () => {
    expect(await mayOf(await gate.agent('closer-1', ['closer']))).to.deep.include({
      'items.update': 'depends',
      'items.list': 'allow',
      'items.get': 'deny',
      'items.delete': 'deny',
    })
    const none = await mayOf(await gate.agent('nobody-1', ['nobody']))
    expect(new Set(Object.values(none))).to.deep.equal(new Set(['deny']))
  })

  it('shows an agent its own view alone, and an operator that of any agent', async () => {
    const closer = await gate.agent('closer-2', ['closer'])
    await gate.agent('worker-2')
    expect(await mayOf(closer, '?agent=worker-2')).to.deep.equal(await mayOf(closer))
    expect(await mayOf(operator, '?agent=worker-2')).to.include({ 'items.update': 'allow' })
    const unnamed = await gate.call('GET', '/tools', { key: operator })
    expect([unnamed.status, unnamed.body.error.code]).to.deep.equal([400, 'invalid_request'])
    const unknown = await gate.call('GET', '/tools?agent=who', { key: operator })
    expect(unknown.status).to.equal(404)
    const observer = await gate.key('observer', 'obs')
    expect((await gate.call('GET', '/tools', { key: observer })).status).to.equal(403)
  })

  it('tells operators what became of the calls to each upstream, and nobody else', async () => {
    const key = await gate.agent('worker-3')
    const stateOf = async () => {
      const { status, body } = await gate.call('GET', '/upstreams', { key: operator })
      expect(status).to.equal(200)
      return body.upstreams.find(({ name }: { name: string }) => name === 'test')
    }
    expect(await stateOf()).to.include({
      health: 'unknown',
      calls: 0,
      latency_ms: null,
      last: null,
    })
    gate.upstream.behave = (_, res) => reply(res, 200, {})
    await gate.act(key, { tool: 'items.list', args: {} })
    const working = await stateOf()
    expect(working).to.include({ health: 'ok', calls: 1, answered: 1, base_url: gate.upstream.url })
    expect(working.last).to.include({ result: 'answered', status: 200 })
    expect(working.latency_ms.last).to.equal(working.latency_ms.max)
    gate.upstream.behave = (_, res) => reply(res, 503, {})
    await gate.act(key, { tool: 'items.list', args: {} })
    expect(await stateOf()).to.include({ health: 'failing', calls: 2, answered: 2 })
    gate.upstream.behave = (_, res) => void res.destroy()
    await gate.act(key, { tool: 'items.list', args: {} })
    const broken = await stateOf()
    expect(broken).to.include({ health: 'failing', calls: 3, unknown: 1 })
    expect(broken.last).to.include({ result: 'unknown', status: null })
    expect((await gate.call('GET', '/upstreams', { key })).status).to.equal(403)
  })
})
