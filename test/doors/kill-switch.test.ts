import { expect } from 'chai'
import { TestGate } from '../support/gate.ts'
import { GATE, TOOLS, writePolicies } from '../support/policies.ts'
import { reply } from '../support/upstream.ts'

const UPDATE = { tool: 'items.update', args: { id: 'i-1', note: 'n' } }
const GET = { tool: 'people.get', args: { id: 'p-1' } }

describe('the scope of a kill switch', () => {
  let gate: TestGate
  let key: string
  before(async () => {
    gate = await TestGate.start()
    gate.upstream.behave = (_effect, res) => reply(res, 200, {})
    key = await gate.agent('scoped-agent')
  })
  after(() => gate.stop())

  const kill = (engaged: boolean, scope: object) =>
    gate.call('PUT', '/kill-switch', { body: { engaged, scope, reason: 'drill' } })
  const switches = async () => (await gate.call('GET', '/kill-switch')).body.switches

  it('is a glob for tools, and says how much it covers', async () => {
    const { status, body } = await kill(true, { tool: 'items.*' })
    expect([status, body.covers]).to.deep.equal([200, { agents: 1, tools: 4, upstreams: 1 }])
    expect((await gate.act(key, UPDATE)).body.error.code).to.equal('kill_switch_engaged')
    expect((await gate.act(key, GET)).status).to.equal(200)
    expect((await kill(false, { tool: 'items.*' })).status).to.equal(200)
    expect((await gate.act(key, UPDATE)).status).to.equal(200)
  })

  const NOTHING: [object, string | null][] = [
    [{ tool: 'itms.update' }, 'items.update'],
    [{ tool: 'contacts.*' }, null],
    [{ tool: 'itms.*' }, 'items.*'],
    [{ tool: 'Items.Update' }, 'items.update'],
    [{ agent: 'Scoped-Agent' }, 'scoped-agent'],
    [{ agent: 'nobody-of-this-name' }, null],
    [{ upstream: 'tset' }, 'test'],
    [{ tool: 'items.update', upstream: 'llm' }, null],
  ]
  for (const [scope, meant] of NOTHING) {
    it(`that covers nothing is refused and engages nothing: ${JSON.stringify(scope)}`, async () => {
      const { status, body } = await kill(true, scope)
      expect([status, body.error.code]).to.deep.equal([404, 'no_such_scope'])
      if (meant) expect(body.error.message).to.include(`did you mean \`${meant}\``)
      expect(await switches()).to.deep.equal([])
      const { body: record } = await gate.call('GET', '/audit/timeline?kind=kill_switch.engaged')
      const scopes = record.entries.map((entry: { scope: object }) => JSON.stringify(entry.scope))
      expect(scopes.join()).to.not.include(JSON.stringify(Object.values(scope)[0]))
    })
  }

  it('says where the tools go that go to another upstream', async () => {
    const { body } = await kill(true, { tool: 'items.update', upstream: 'llm' })
    expect(body.error.message).to.equal(
      'the scope stops nothing: `items.update` goes to `test`, not to `llm`',
    )
  })

  it('holds an agent by its id: renaming it changes nothing, and the switch shows its name of today', async () => {
    await gate.agent('before-the-name')
    const other = (
      await gate.call('POST', '/api/v1/agents/before-the-name/keys/rotate', { body: {} })
    ).body.key
    const engaged = await kill(true, { agent: 'before-the-name' })
    expect(engaged.body.covers.agents).to.equal(1)
    await gate.call('PATCH', '/api/v1/agents/before-the-name', { body: { name: 'after-it' } })
    expect((await gate.act(other, UPDATE)).body.error.code).to.equal('kill_switch_engaged')
    expect((await gate.act(key, UPDATE)).status).to.equal(200)
    const [shown] = await switches()
    expect(shown.scope).to.include({ agent: 'after-it', agent_id: engaged.body.scope.agent_id })
    expect((await kill(false, { agent: 'after-it' })).status).to.equal(200)
    expect((await gate.act(other, UPDATE)).status).to.equal(200)
  })

  it('can always be released, also when what it named is gone', async () => {
    await gate.agent('leaving')
    const { body } = await kill(true, { agent: 'leaving' })
    await gate.call('DELETE', '/api/v1/agents/leaving')
    expect((await kill(true, { tool: 'items.get' })).status).to.equal(200)
    writePolicies(gate.policyDir, {
      'tools.yaml': TOOLS.replaceAll('items.get', 'items.fetch'),
      'gate.yaml': GATE.replace('items.get', 'items.fetch'),
    })
    expect((await gate.call('POST', '/policy/reload', { body: {} })).status).to.equal(200)
    expect((await kill(false, { tool: 'items.get' })).status).to.equal(200)
    expect((await kill(false, { agent: body.scope.agent_id })).status).to.equal(200)
    expect(await switches()).to.deep.equal([])
    expect((await kill(false, { agent: body.scope.agent_id })).status).to.equal(404)
  })

  it('is released by what it shows: the name of one that is gone, also where another has it now', async () => {
    for (const isTaken of [false, true]) {
      await gate.agent('gone-by-name')
      await kill(true, { agent: 'gone-by-name' })
      await gate.call('DELETE', '/api/v1/agents/gone-by-name')
      if (isTaken) await gate.agent('gone-by-name')
      const [{ scope }] = await switches()
      expect(scope.agent).to.equal('gone-by-name')
      expect((await kill(false, { agent: scope.agent })).status, String(isTaken)).to.equal(200)
      expect(await switches()).to.deep.equal([])
    }
  })
})
