import { expect } from 'chai'
import { TestGate } from '../support/gate.ts'
import { GATE, TOOLS } from '../support/policies.ts'

const STRICT = GATE.replace('"items.update", ', '')
const RULE = `package agent

deny contains "not that note" if input.action.properties.args.note == "bad"
`
const UPDATE = { tool: 'items.update', args: { id: 'i-1', note: 'n' } }

describe('questions to a policy that change nothing', () => {
  let gate: TestGate
  before(async () => {
    gate = await TestGate.start({ policies: { 'agent.rego': RULE } })
    await gate.agent('worker-1')
  })
  after(() => gate.stop())

  const post = (what: string, body: object) => gate.call('POST', `/policy/${what}`, { body })
  const draft = { 'gate.yaml': STRICT, 'tools.yaml': TOOLS }

  it('try: what the live policy would decide for an agent, and why, with nothing left behind', async () => {
    const size = async () =>
      (await gate.call('GET', '/audit/timeline?limit=500')).body.entries.length
    const before = await size()
    const allowed = await post('try', { agent: 'worker-1', ...UPDATE })
    expect(allowed.body.decision, allowed.text).to.equal('allow')
    const args = { id: 'i-1', note: 'bad' }
    const denied = await post('try', { agent: 'worker-1', tool: 'items.update', args })
    expect(denied.body.decision).to.equal('deny')
    const step = denied.body.trace.find(({ kind }: { kind: string }) => kind === 'module')
    expect(step.expressions[0]).to.include({ file: 'agent.rego', line: 3, outcome: 'true' })
    const held = await post('try', { agent: 'worker-1', tool: 'items.delete', args: { id: '1' } })
    expect(held.body.decision).to.equal('require_approval')
    expect([await size(), gate.upstream.effects]).to.deep.equal([before, []])
  })

  it('try: a draft, for an agent that need not be, at another time', async () => {
    const profile = { roles: ['worker'] }
    const asked = await post('try', { files: draft, profile, ...UPDATE })
    expect(asked.body.decision, asked.text).to.equal('deny')
    const live = (await gate.call('GET', '/policy')).body.revision
    expect(asked.body.revision).to.not.equal(live)
    const hours = `${GATE}guards:\n  - { id: hours, kind: time_window, days: [mon], from: '08:00', to: '09:00', timezone: UTC }\n`
    const at = (time: string) =>
      post('try', { files: { ...draft, 'gate.yaml': hours }, profile, ...UPDATE, at: time })
    expect((await at('2026-01-05T08:30:00Z')).body.decision).to.equal('allow')
    expect((await at('2026-01-05T10:30:00Z')).body.decision).to.equal('deny')
    const paused = { files: draft, profile: { ...profile, status: 'paused' }, ...UPDATE }
    expect((await post('try', paused)).body.reasons[0].code).to.equal('agent_paused')
  })

  it('try: 400 for neither or both, 404 for nobody, 422 for what does not load', async () => {
    expect((await post('try', UPDATE)).status).to.equal(400)
    const both = { agent: 'worker-1', profile: {}, ...UPDATE }
    expect((await post('try', both)).status).to.equal(400)
    expect((await post('try', { agent: 'nobody', ...UPDATE })).status).to.equal(404)
    const cost = { agent: 'worker-1', ...UPDATE, cost: 'a lot' }
    expect((await post('try', cost)).status).to.equal(400)
    const broken = { files: { 'gate.yaml': '' }, profile: {}, ...UPDATE }
    expect((await post('try', broken)).body.error.code).to.equal('policy_invalid')
  })

  it('matrix: every agent or role with every tool', async () => {
    const body = { files: draft, roles: ['worker', 'guest'], tools: ['items.get', 'items.delete'] }
    const roles = await post('matrix', body)
    expect(roles.status, roles.text).to.equal(200)
    expect(roles.body.tools).to.deep.equal(['items.get', 'items.delete'])
    expect(roles.body.rows).to.deep.equal([
      { agent: 'worker', may: ['allow', 'require_approval'] },
      { agent: 'guest', may: ['deny', 'deny'] },
    ])
    const agents = await post('matrix', { agents: ['worker-1'] })
    expect(agents.body.rows[0].may).to.have.length(agents.body.tools.length)
    expect((await post('matrix', {})).status).to.equal(400)
    const typo = await post('matrix', { roles: ['worker'], tools: ['items.got'] })
    expect(typo.body.error.message).to.include('items.get')
  })

  it('test: every matrix and `test_` rule, what was wanted, and which lines no test reaches', async () => {
    const files = {
      ...{ 'gate.yaml': GATE, 'tools.yaml': TOOLS },
      'agent.rego': `${RULE}\ndeny contains "never asked" if {\n  input.context.x == 1\n  count(input.context) > 3\n}\n`,
      'agent_test.rego': `package agent_test

import data.agent

test_holds if "not that note" in agent.deny with input as {"action": {"properties": {"args": {"note": "bad"}}}}

test_fails if {
  note := "good"
  "not that note" in agent.deny with input as {"action": {"properties": {"args": {"note": note}}}}
}

todo_test_later if false
`,
      'tests/a.yaml': `version: 1
subjects: { worker: { roles: [worker] } }
actions: { update: { tool: items.update, args: { id: i-1 } } }
matrix: [{ effect: allow }, { name: wrong, effect: deny }]
must_allow: [{ actions: [update] }]
`,
    }
    const { status, body, text } = await post('test', { files })
    expect(status, text).to.equal(200)
    expect([body.passed, body.failed, body.todo]).to.deep.equal([3, 2, 1])
    const failed = body.results.filter(({ outcome }: { outcome: string }) => outcome === 'failed')
    expect(failed[0]).to.include({
      kind: 'rego',
      name: 'test_fails',
      file: 'agent_test.rego',
      line: 7,
    })
    expect(failed[0].stopped).to.include('agent.deny')
    expect(failed[1]).to.include({ kind: 'matrix', file: 'tests/a.yaml', line: 4, want: 'deny' })
    expect(failed[1].got).to.equal('allow')
    expect(body.coverage.missed).to.deep.equal({ 'agent.rego': [7] })
    // Without files: the live policy's, of which there are none.
    expect((await post('test', {})).body).to.include({ passed: 0, failed: 0, coverage: null })
    const broken = await post('test', { files: { 'gate.yaml': GATE } })
    expect(broken.body.error.code).to.equal('policy_invalid')
    // A draft whose tests fail can still be asked.
    const tried = await post('try', { files, agent: 'worker-1', ...UPDATE })
    expect(tried.body.decision, tried.text).to.equal('allow')
  })

  it('format: Rego in the one layout, other texts but for their ends of line', async () => {
    const files = {
      'a.rego': 'package a\nallow   if   input.x==1\n',
      'gate.yaml': 'version:   1\r\nenvironment: test',
    }
    const { body } = await post('format', { files })
    expect(body.files['a.rego']).to.equal('package a\n\nallow if input.x == 1\n')
    expect(body.files['gate.yaml']).to.equal('version:   1\nenvironment: test\n')
    expect(body.changed).to.deep.equal(['a.rego', 'gate.yaml'])
    expect((await post('format', { files: body.files })).body.changed).to.deep.equal([])
    const broken = await post('format', { files: { 'a.rego': 'package a\n\nallow if {\n' } })
    expect([broken.status, broken.body.error.diagnostics[0].file]).to.deep.equal([422, 'a.rego'])
  })
})
