import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { TestGate } from '../support/gate.ts'
import { GATE, TOOLS } from '../support/policies.ts'
import { over, replayed } from '../support/replays.ts'
import { reply } from '../support/upstream.ts'

const RULE = `package agent

deny contains "not that note" if input.action.properties.args.note == "bad"

deny contains "not to them" if input.context.facts.person.blocked
`
/** A policy with a counter of each kind, look-ups and a module. */
const RICH = `${GATE.replace(
  'rate_limits:',
  '  - { roles: [clerk], tools: [items.update], effect: allow }\nrate_limits:',
)}
guards:
  - { id: some, kind: bulk_limit, tools: [items.update], windows: [{ count: actions, limit: 4, per_s: 3600, scope: agent }] }
budgets:
  - { id: money, limit: '0.50', period: month, scope: agent }
`
const FILES = { 'gate.yaml': RICH, 'tools.yaml': TOOLS, 'agent.rego': RULE }

const update = (id: string, note = 'n') => ({
  tool: 'items.update',
  args: { id, note },
  cost: '0.10',
})

interface Group {
  readonly from: string
  readonly to: string
  readonly source: string
  readonly count: number
  readonly examples: readonly {
    readonly candidate: { readonly trace: readonly { source: string; expressions?: unknown }[] }
  }[]
}

describe('a replay', function () {
  this.timeout(300_000)
  let gate: TestGate
  let worker: string
  let clerk: string
  const live = async (): Promise<string> => (await gate.call('GET', '/policy')).body.revision
  before(async () => {
    gate = await TestGate.start({ policies: FILES })
    gate.upstream.behave = (effect, res) =>
      reply(res, 200, effect.url.startsWith('/people/blocked') ? { blocked: true } : {})
    worker = await gate.agent('worker-1')
    clerk = await gate.agent('clerk-1', ['clerk'])
    for (const key of [worker, clerk]) {
      for (let n = 0; n < 6; n++) await gate.act(key, update(`i-${n}`))
      await gate.act(key, update('i-1', 'bad'))
    }
    await gate.act(worker, { tool: 'mail.send', args: { id: 'blocked', text: 'hi' } })
    await gate.act(worker, { tool: 'mail.send', args: { id: 'ada', text: 'hi' } })
    await gate.act(worker, { tool: 'items.get', args: { id: 'i-1' } })
    await gate.act(worker, { tool: 'no.such', args: {} })
    const held = await gate.act(worker, { tool: 'items.delete', args: { id: 'i-9' } })
    const at = `/approvals/${held.body.approval.id}/approve`
    expect((await gate.call('POST', at, { body: {} })).status).to.equal(200)
    await gate.call('GET', `/actions/${held.body.action_id}?wait_s=20`)
    await gate.act(worker, { tool: 'items.delete', args: { id: 'i-10' } })
  })
  after(() => gate.stop())

  it('finds no difference where the same revision is asked: all that it was decided by is on record', async () => {
    const report = await replayed(gate, {})
    expect(report, JSON.stringify(report.rules)).to.include({ decisions: 20, same: 20, errors: 0 })
    expect(report).to.deep.include({ unplayable: {}, rules: [], begun_at_zero: [] })
    expect(report.revision).to.equal(await live())
  })

  it('has nothing carried out, charged or counted, and says on record that it was run', async () => {
    const { entries } = (await gate.call('GET', '/audit/timeline?limit=500')).body
    const effects = gate.upstream.effects.length
    const spend = async () => (await gate.call('GET', '/api/v1/spend')).text
    const before = await spend()
    await replayed(gate, {
      files: { ...FILES, 'gate.yaml': RICH.replace('limit: 4', 'limit: 40') },
    })
    expect([await spend(), gate.upstream.effects.length]).to.deep.equal([before, effects])
    const after = (await gate.call('GET', '/audit/timeline?limit=500')).body.entries
    const added = after.slice(0, after.length - entries.length)
    expect(added.map((one: { kind: string }) => one.kind)).to.deep.equal([
      'policy.replay_finished',
      'policy.replay_queued',
    ])
    expect(added[0]).to.include({ decisions: 20, status: 'finished' })
    expect(added[1]).to.include({ actor: 'tester', draft: 3 })
  })

  it('names what a stricter policy refuses: the rule with its place, agents and tools, and both traces', async () => {
    const rego = `${RULE}\ndeny contains "no mail at all" if input.action.name == "mail.send"\n`
    const report = await replayed(gate, { files: { ...FILES, 'agent.rego': rego } })
    expect(report).to.include({ new_deny: 1, new_allow: 0, new_hold: 0, by_policy: 1 })
    const [rule] = report.rules
    expect(rule).to.include({ from: 'allow', to: 'deny', policy: 'candidate', count: 1 })
    expect(rule).to.include({ file: 'agent.rego', line: 7, message: 'no mail at all' })
    expect(report.agents).to.deep.equal([{ name: 'worker-1', changed: 1 }])
    expect(report.tools).to.deep.equal([{ name: 'mail.send', changed: 1 }])
    const [example] = rule.examples
    expect(example).to.include({ agent: 'worker-1', tool: 'mail.send', revision: await live() })
    expect(example.recorded.trace).to.not.have.length(0)
    const step = example.candidate.trace.find((one: { kind: string }) => one.kind === 'module')
    const held = step.expressions.filter((one: { outcome: string }) => one.outcome === 'true')
    expect(held[0]).to.include({ file: 'agent.rego', line: 7 })
  })

  it('tells what the policy changed from what only a counter changed', async () => {
    // Without the window, the budget of 0.50 is what ends it: five of six fit where four did.
    const without = RICH.replace(/ {2}- \{ id: some.*\n/, '').replace('guards:\n', '')
    const report = await replayed(gate, { files: { ...FILES, 'gate.yaml': without } })
    expect(report).to.include({ new_allow: 2, new_deny: 0, by_policy: 2 })
    const groups = report.rules as Group[]
    expect(groups.map(({ source, count }) => [source, count])).to.deep.equal([['some', 2]])
    // The first of each agent refused, the fifth fits: nothing but the count has changed for that one.
    const rego = `${RULE}\ndeny contains "not the first" if input.action.properties.args.id == "i-0"\n`
    const moved = await replayed(gate, { files: { ...FILES, 'agent.rego': rego } })
    expect(moved).to.include({ new_deny: 2, new_allow: 2, by_policy: 2, by_counter: 2 })
    const made = moved.rules.map((one: { to: string; made_by: string }) => [one.to, one.made_by])
    expect(made).to.have.deep.members([
      ['deny', 'policy'],
      ['allow', 'counter'],
    ])
  })

  it('names guards whose counters the record does not know', async () => {
    const fresh = `  - { id: fresh, kind: bulk_limit, tools: [items.update], windows: [{ count: actions, limit: 2, per_s: 60, scope: agent }] }\n`
    const more = RICH.replace('guards:\n', `guards:\n${fresh}`)
    const report = await replayed(gate, { files: { ...FILES, 'gate.yaml': more } })
    expect(report).to.deep.include({ begun_at_zero: ['fresh'] })
    expect(report.new_deny).to.equal(4)
  })

  it('judges agents as they were, whatever they are today', async () => {
    const { agents } = (await gate.call('GET', '/api/v1/agents?role=clerk')).body
    const change = { roles: ['worker'] }
    const changed = await gate.call('PATCH', `/api/v1/agents/${agents[0].id}`, { body: change })
    expect(changed.status, changed.text).to.equal(200)
    expect(await replayed(gate, {})).to.include({ decisions: 20, same: 20 })
    const files = { ...FILES, 'gate.yaml': RICH.replace('roles: [clerk]', 'roles: [nobody]') }
    const report = await replayed(gate, { files })
    expect(report.agents).to.deep.equal([{ name: 'clerk-1', changed: 4 }])
    expect(report.rules[0]).to.include({ code: 'no_permission' })
  })

  it('takes a part: an agent, a tool, an effect, a time, a sample', async () => {
    const count = async (filter: object) => (await replayed(gate, filter)).decisions
    expect(await count({ agent: 'clerk-1' })).to.equal(7)
    expect(await count({ tool: 'mail.send' })).to.equal(2)
    expect(await count({ effect: 'require_approval' })).to.equal(2)
    expect(await count({ from: '2020-01-01T00:00:00Z', to: '2020-01-02T00:00:00Z' })).to.equal(0)
    const sample = await replayed(gate, { sample: 5 })
    expect(sample.sampled).to.equal(true)
    expect(sample.decisions).to.be.within(4, 6)
  })

  it('decides a past revision again, also where its files lie on no disk any more', async () => {
    const first = await live()
    fs.writeFileSync(path.join(gate.policyDir, 'gate.yaml'), RICH.replace('limit: 4', 'limit: 1'))
    expect((await gate.call('POST', '/policy/reload', { body: {} })).status).to.equal(200)
    expect(await replayed(gate, {})).to.include({ new_deny: 6 })
    expect(await replayed(gate, { revision: first.slice(0, 12) })).to.include({ same: 20 })
    fs.writeFileSync(path.join(gate.policyDir, 'gate.yaml'), RICH)
    expect((await gate.call('POST', '/policy/reload', { body: {} })).status).to.equal(200)
  })

  it('ends with what is wrong with a draft that does not load', async () => {
    const files = { ...FILES, 'gate.yaml': RICH.replace('effect: allow', 'effect: alow') }
    const { body } = await gate.call('POST', '/policy/replays', { body: { files } })
    const one = await over(gate, body.id)
    expect(one).to.include({ status: 'failed', report: null })
    expect(one.error).to.match(/^the policy does not load: gate\.yaml:\d+:\d+ /)
  })

  it('answers 400 for what contradicts itself and 404 for what never was', async () => {
    const post = async (body: object) =>
      (await gate.call('POST', '/policy/replays', { body })).body.error.code
    expect(await post({ files: FILES, revision: await live() })).to.equal('invalid_request')
    const at = '2026-01-01T00:00:00Z'
    expect(await post({ from: at, to: at })).to.equal('invalid_request')
    expect(await post({ revision: '00000000' })).to.equal('not_found')
    expect(await post({ agent: 'nobody' })).to.equal('not_found')
    expect((await gate.call('GET', '/policy/replays/rpl_none')).status).to.equal(404)
    const { replays } = (await gate.call('GET', '/policy/replays?limit=2')).body
    expect(replays).to.have.length(2)
    expect(replays[0]).to.include({ status: 'failed', requested_by: 'tester' })
  })
})
