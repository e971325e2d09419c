import { expect } from 'chai'
import { TestGate } from '../support/gate.ts'
import { GATE, TOOLS, writePolicies } from '../support/policies.ts'
import { reply } from '../support/upstream.ts'

const POLICY = `package agent

import data.frozen

# Rego alone may allow: nobody has role "clerk" in gate.yaml.
allow if {
  "clerk" in input.subject.properties.roles
  input.action.name == "items.update"
}

deny contains {"code": "frozen_item", "message": sprintf("item %s is frozen", [input.resource.id])} if {
  input.resource.id in frozen.items
}

require_approval contains "long notes need a second look" if {
  count(input.action.properties.args.note) > 20
}
`

const TESTS = `package agent_test

import data.agent

test_frozen_is_denied if {
  agent.deny with input as {"resource": {"id": "i-9"}} with data.frozen.items as ["i-9"]
}

test_clerks_may_update if {
  agent.allow with input as {"subject": {"properties": {"roles": ["clerk"]}}, "action": {"name": "items.update"}}
}
`

const FILES = {
  'gate.yaml': GATE,
  'tools.yaml': TOOLS.replace(
    'method: PATCH, path: "/items/{id}", effect: write,',
    'method: PATCH, path: "/items/{id}", effect: write, resource: { type: item, id_arg: id },',
  ),
  'agent.rego': POLICY,
  'agent_test.rego': TESTS,
  'data/frozen.yaml': 'items: [i-9]\n',
}

const update = (id: string, note = 'short') => ({ tool: 'items.update', args: { id, note } })

describe('Rego policies in the gate', () => {
  let gate: TestGate
  let key: string
  before(async () => {
    gate = await TestGate.start({ policies: FILES })
    key = await gate.agent('worker-1')
    gate.upstream.behave = (_effect, res) => reply(res, 200, {})
  })
  after(() => gate.stop())

  const reload = (files: Record<string, string>) => {
    writePolicies(gate.policyDir, { ...FILES, ...files })
    return gate.call('POST', '/policy/reload', { body: {} })
  }

  it('decide together with the guards: any deny wins, with the reason of the rule', async () => {
    expect((await gate.act(key, update('i-1'))).status).to.equal(200)
    const { status, body } = await gate.act(key, update('i-9'))
    expect([status, body.error.code]).to.deep.equal([403, 'policy_denied'])
    expect(body.error.reasons[0]).to.include({ code: 'frozen_item', message: 'item i-9 is frozen' })
  })

  it('can hold for approval, and can allow what no guard allows', async () => {
    expect((await gate.act(key, update('i-1', 'x'.repeat(30)))).status).to.equal(202)
    const clerk = await gate.agent('clerk-1', ['clerk'])
    expect((await gate.act(clerk, update('i-1'))).status).to.equal(200)
    const other = { tool: 'items.get', args: { id: 'i-1' } }
    expect((await gate.act(clerk, other)).body.error.reasons[0].code).to.equal('no_permission')
  })

  it('is freshly compiled by the next decision after an edit', async () => {
    const { body } = await reload({ 'agent.rego': POLICY.replace('is frozen', 'is on ice') })
    expect(body.changed).to.equal(true)
    expect((await gate.act(key, update('i-9'))).body.error.message).to.equal('item i-9 is on ice')
    await reload({})
  })

  it('422 for Rego that does not compile, with file, line and column, and the old one stays', async () => {
    const { status, body } = await reload({
      'agent.rego': POLICY.replace('frozen.items', 'frozzen.items'),
    })
    expect([status, body.error.code]).to.deep.equal([422, 'policy_invalid'])
    expect(body.error.diagnostics[0]).to.include({
      file: 'agent.rego',
      line: 12,
      code: 'rego_unsafe_var_error',
    })
    expect((await gate.act(key, update('i-9'))).status).to.equal(403)
    await reload({})
  })

  it('422 when the policy’s own tests do not hold', async () => {
    const { status, body } = await reload({
      'agent_test.rego': TESTS.replace('["clerk"]', '["cook"]'),
    })
    expect(status).to.equal(422)
    expect(body.error.diagnostics[0]).to.include({
      file: 'agent_test.rego',
      code: 'policy_test_failed',
    })
    expect(body.error.diagnostics[0].message).to.include('test_clerks_may_update')
    await reload({})
  })

  it('denies what does not finish within its budget, and answers others meanwhile', async () => {
    const slow = `${POLICY}
deny contains "never" if {
  input.resource.id == "i-7"
  xs := numbers.range(1, 2000)
  some a in xs
  some b in xs
  some c in xs
  a != b
  b != c
  c < 0
}
`
    expect((await reload({ 'agent.rego': slow })).status).to.equal(200)
    const { status, body } = await gate.act(key, update('i-7'))
    expect([status, body.error.reasons[0].code]).to.deep.equal([403, 'policy_budget_exceeded'])
    expect((await gate.act(key, update('i-1'))).status).to.equal(200)
    await reload({})
  })

  it('warns of what strict mode would refuse, and swaps all the same', async () => {
    const loose = POLICY.replace('allow if {', 'allow if {\n  unused := 1')
    const { status, text } = await reload({ 'agent.rego': loose })
    expect(status, text).to.equal(200)
    const { warnings } = (await gate.call('GET', '/policy')).body
    expect(warnings[0]).to.include({
      code: 'rego_warning',
      severity: 'warning',
      file: 'agent.rego',
      line: 7,
      message: 'assigned var unused unused',
    })
  })

  it('refuses a clock and chance: the same input gets the same answer', async () => {
    for (const use of ['time.now_ns() > 0', 'rand.intn("x", 2) == 1']) {
      const { status, body } = await reload({
        'agent.rego': `${POLICY}\ndeny contains "x" if ${use}\n`,
      })
      expect([status, body.error.diagnostics[0].code]).to.deep.equal([422, 'rego_capability_error'])
    }
    await reload({})
  })

  it('refuses builtins that reach outside', async () => {
    const { status, body } = await reload({
      'agent.rego': `${POLICY}\ndeny contains "x" if http.send({"method": "get", "url": "http://localhost"}).status_code == 200\n`,
    })
    expect(status).to.equal(422)
    expect(body.error.diagnostics[0].message).to.include('http.send')
    await reload({})
  })
})
