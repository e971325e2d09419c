import { expect } from 'chai'
import { JUDGE } from '../../src/decide/index.ts'
import { type Diagnostic, loadBundle } from '../../src/policy/index.ts'
import { REGO_COMPILER } from '../../src/engines/rego-compiler.ts'
import { TestGate } from '../support/gate.ts'
import { GATE, writePolicies } from '../support/policies.ts'
import { type Files, findingsOf, gateWith, OPTIONS, sampleFiles } from './sample.ts'

const HEAD = `version: 1
subjects:
  reader: { roles: [reader] }
  writer: { roles: [writer] }
actions:
  get: { tool: notes.get }
  write: { tool: notes.write, args: { text: hello } }
resources:
  first: { type: note, id: n-1 }
`
const rows = (...list: string[]): Files => ({
  'tests/notes.yaml': `${HEAD}matrix:\n${list.map((row) => `  - ${row}\n`).join('')}`,
})
const OPTS = { judge: JUDGE, compiler: REGO_COMPILER }

async function findings(files: Files): Promise<readonly Diagnostic[]> {
  const result = await loadBundle(sampleFiles(files), { ...OPTIONS, ...OPTS })
  return result.ok ? [] : result.diagnostics
}

describe('policy tests in YAML', () => {
  it('hold for every combination of their rows, or each that does not is named', async () => {
    const good = rows(
      '{ resources: [first], actions: [get], effect: allow }',
      '{ subjects: [writer], actions: [write], resources: [first], effect: allow }',
      '{ subjects: [reader], actions: [write], resources: [first], effect: deny, reason: no_permission }',
    )
    expect(await findings(good)).to.deep.equal([])
    const bad = await findings(rows('{ resources: [first], effect: allow }'))
    expect(bad).to.have.length(1)
    expect(bad[0]).to.include({
      code: 'policy_test_failed',
      file: 'tests/notes.yaml',
      line: 11,
      message: 'reader write first: expected allow, got deny',
      hint: 'decided by `gate`: no_permission: no rule permits this',
    })
  })

  it('give the resource to the arg that names it, and take a wrong reason for a failure', async () => {
    const files = {
      'gate.yaml': gateWith(
        '{ id: guarded, kind: args_schema, tools: [notes.get], schema: { properties: { id: { const: n-1 } } } }',
      ),
      ...rows(
        '{ subjects: [reader], actions: [get], resources: [first], effect: allow }',
        '{ subjects: [reader], actions: [get], effect: deny, reason: args_schema }',
      ),
    }
    const [only, ...more] = await findings(files)
    expect(more).to.deep.equal([])
    expect(only?.message).to.equal('reader get: expected deny (args_schema), got deny')
    expect(only?.hint).to.include('invalid_args')
  })

  it('name the guard that decided, with file and line', async () => {
    const night =
      "{ id: hours, kind: time_window, days: [mon], from: '08:00', to: '09:00', timezone: UTC }"
    const row = '{ subjects: [writer], actions: [get], resources: [first], effect: allow }'
    const [only] = await findings({ 'gate.yaml': gateWith(night), ...rows(row) })
    expect(only?.hint).to.match(/^decided by `hours` \(gate\.yaml:7\): /)
    const early = row.replace('effect', "now: '2026-01-05T08:30:00Z', effect")
    expect(await findings({ 'gate.yaml': gateWith(night), ...rows(early) })).to.deep.equal([])
  })

  it('name the Rego rule that decided, with file and line', async () => {
    const [only] = await findings({
      'agent.rego':
        'package agent\n\ndeny contains "not that one" if {\n  input.resource.id == "n-1"\n}\n',
      ...rows('{ subjects: [writer], actions: [get], resources: [first], effect: allow }'),
    })
    expect(only?.hint).to.equal('decided by `rego` (agent.rego:3): rego_deny: not that one')
  })

  const WRONG: readonly (readonly [string, Files, string, string?])[] = [
    [
      'unknown_key',
      rows('{ subject: [reader], effect: allow }'),
      '11:7',
      'did you mean `subjects`?',
    ],
    ['missing_key', rows('{ subjects: [reader] }'), '11:5'],
    ['unknown_value', rows('{ effect: alow }'), '11:15', 'did you mean `allow`?'],
    [
      'no_such_subject',
      rows('{ subjects: [raeder], effect: allow }'),
      '11:18',
      'did you mean `reader`?',
    ],
    ['no_such_action', rows('{ actions: [gett], effect: allow }'), '11:17', 'did you mean `get`?'],
    [
      'no_such_resource',
      rows('{ resources: [frist], effect: allow }'),
      '11:19',
      'did you mean `first`?',
    ],
    [
      'no_such_tool',
      { 'tests/a.yml': HEAD.replace('notes.get', 'notes.gte') + 'matrix: [{ effect: deny }]\n' },
      '6:16',
      'did you mean `notes.get`?',
    ],
    ['wrong_value', rows('{ now: yesterday, effect: deny }'), '11:12'],
  ]
  for (const [code, files, at, hint] of WRONG) {
    it(`refuse ${code} where it stands`, async () => {
      const [first] = await findingsOf(files, OPTS)
      expect([first?.code, `${first?.line}:${first?.col}`]).to.deep.equal([code, at])
      if (hint) expect(first?.hint).to.equal(hint)
    })
  }

  it('are refused when there are too many of them', async () => {
    const names = Array.from({ length: 200 }, (_, n) => `s${n}: { roles: [reader] }`).join(', ')
    const head = HEAD.replace(/subjects:\n.*\n.*\n/, `subjects: { ${names} }\n`)
    const list = Array.from({ length: 30 }, () => '  - { effect: allow }\n').join('')
    const [first] = await findingsOf({ 'tests/a.yaml': `${head}matrix:\n${list}` }, OPTS)
    expect(first?.code).to.equal('too_many_cases')
  })

  it('are no unknown files, also where nobody runs them', async () => {
    const files = rows('{ resources: [first], effect: allow }')
    const result = await loadBundle(sampleFiles(files), OPTIONS)
    expect(result.ok && result.bundle.warnings).to.deep.equal([])
  })

  it('keep a policy that breaks them from being swapped in', async () => {
    const tests = `version: 1
subjects: { worker: { roles: [worker] } }
actions: { delete: { tool: items.delete, args: { id: i-1 } } }
matrix: [{ effect: require_approval }]
`
    const gate = await TestGate.start({
      policies: { 'gate.yaml': GATE, 'tests/items.yaml': tests },
    })
    try {
      const before = (await gate.call('GET', '/policy')).body.revision
      const open = GATE.replace('effect: require_approval', 'effect: allow')
      writePolicies(gate.policyDir, { 'gate.yaml': open, 'tests/items.yaml': tests })
      const { status, body } = await gate.call('POST', '/policy/reload', { body: {} })
      expect(status).to.equal(422)
      expect(body.error.diagnostics[0]).to.include({
        code: 'policy_test_failed',
        file: 'tests/items.yaml',
        line: 4,
        message: 'worker delete: expected require_approval, got allow',
      })
      expect((await gate.call('GET', '/policy')).body.revision).to.equal(before)
    } finally {
      await gate.stop()
    }
  })
})
