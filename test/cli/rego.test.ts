import { spawnSync } from 'node:child_process'
import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { scratch } from '../support/scratch.ts'
import { TestGate } from '../support/gate.ts'
import { reply } from '../support/upstream.ts'

const CLI = path.resolve(import.meta.dirname, '..', '..', 'bin', 'portcullis.js')

const POLICY = `package agent

allow if input.subject.properties.roles[_] == "worker"

deny contains "odd ones are not for agents" if {
\tendswith(input.resource.id, "1")
}
`
const TESTS = `package agent_test

import data.agent

test_worker if agent.allow with input as {"subject": {"properties": {"roles": ["worker"]}}}
test_nobody if not agent.allow
todo_test_later if false
`

describe('portcullis rego and test', () => {
  let dir: string
  before(() => {
    dir = scratch('rego')
    fs.writeFileSync(path.join(dir, 'agent.rego'), POLICY)
    fs.writeFileSync(path.join(dir, 'agent_test.rego'), TESTS)
  })

  function run(...args: string[]) {
    return spawnSync(process.execPath, [CLI, ...args], { encoding: 'utf8', cwd: dir })
  }

  it('check says nothing is wrong, or what is, with a caret, and exits 3', () => {
    expect(run('rego', 'check', '.').status).to.equal(0)
    fs.writeFileSync(path.join(dir, 'bad.txt.rego'), 'package bad\n\np if nothing_there\n')
    const { status, stderr } = run('rego', 'check', 'bad.txt.rego')
    expect(status).to.equal(3)
    expect(stderr)
      .to.include('rego_unsafe_var_error')
      .and.include('bad.txt.rego:3')
      .and.include('^')
    const json = run('rego', 'check', 'bad.txt.rego', '--json')
    expect(JSON.parse(json.stderr).diagnostics[0].location.row).to.equal(3)
    fs.rmSync(path.join(dir, 'bad.txt.rego'))
  })

  it('check warns of what strict mode refuses, and says all is well', () => {
    fs.writeFileSync(path.join(dir, 'loose.rego'), 'package loose\n\nimport data.x\n')
    const { status, stderr } = run('rego', 'check', 'loose.rego')
    expect(status).to.equal(0)
    expect(stderr).to.include('warning: rego_compile_error: import data.x unused')
    expect(stderr).to.include('loose.rego:3').and.include('1 modules, no errors, 1 warnings')
    expect(run('rego', 'check', '--strict', 'loose.rego').status).to.equal(3)
    const { warnings } = JSON.parse(run('rego', 'check', 'loose.rego', '--json').stdout)
    expect(warnings).to.have.length(1)
    fs.rmSync(path.join(dir, 'loose.rego'))
  })

  it('eval answers the solutions of a query over modules and input', () => {
    fs.writeFileSync(path.join(dir, 'input.json'), '{"resource":{"id":"i-1"}}')
    const { stdout } = run(
      'rego',
      'eval',
      'data.agent.deny',
      '-d',
      'agent.rego',
      '-i',
      'input.json',
    )
    expect(JSON.parse(stdout)).to.deep.equal([{ result: ['odd ones are not for agents'] }])
    expect(JSON.parse(run('rego', 'eval', '1 + 2').stdout)).to.deep.equal([{ result: 3 }])
  })

  it('parse gives the tree, fmt the one layout', () => {
    expect(JSON.parse(run('rego', 'parse', 'agent.rego').stdout).package.path).to.deep.equal([
      'agent',
    ])
    const file = path.join(dir, 'ugly.rego')
    fs.writeFileSync(file, 'package   x\np   if {\n input.a==1\n}\n')
    expect(run('rego', 'fmt', '--list', 'ugly.rego').status).to.equal(5)
    expect(run('rego', 'fmt', 'ugly.rego').status).to.equal(0)
    expect(run('rego', 'fmt', '--list', 'ugly.rego').status).to.equal(0)
    expect(fs.readFileSync(file, 'utf8')).to.include('input.a == 1')
    fs.rmSync(file)
  })

  it('test counts what holds, and exits 4 when something does not', () => {
    const good = run('test', '.')
    expect([good.status, good.stdout.trim().split('\n').at(-1)]).to.deep.equal([
      0,
      '2 passed, 0 failed, 1 todo',
    ])
    fs.writeFileSync(
      path.join(dir, 'more_test.rego'),
      'package more_test\n\ntest_wrong if 1 == 2\n',
    )
    const bad = run('test', '.', '--format', 'json')
    expect(bad.status).to.equal(4)
    const failed = JSON.parse(bad.stdout).results.filter(
      (one: { outcome: string }) => one.outcome === 'failed',
    )
    expect(failed[0]).to.include({
      name: 'test_wrong',
      file: 'more_test.rego',
      row: 3,
      got: 'undefined',
    })
    expect(run('test', '.', '--run', 'agent_test').status).to.equal(0)
    expect(run('test', '.', '--format', 'junit').stdout).to.include('failures="1"')
    fs.rmSync(path.join(dir, 'more_test.rego'))
  })

  it('test --coverage names what no test reaches, and --fail-under exits 4', () => {
    const { status, stdout } = run('test', '.', '--coverage', '--fail-under', '90')
    expect(status).to.equal(4)
    expect(stdout)
      .to.match(/coverage \d+(\.\d)? %/)
      .and.include('agent.rego: lines 6')
    expect(run('test', '.', '--coverage', '--fail-under', '10').status).to.equal(0)
  })

  it('test shows why one failed: the first expression that did not hold, and those of the policy', () => {
    fs.writeFileSync(
      path.join(dir, 'why_test.rego'),
      `package why_test

import data.agent

test_guest if {
\tinput_ok
\tagent.allow with input as {"subject": {"properties": {"roles": ["guest"]}}}
}

input_ok := 1 < 2
`,
    )
    const { status, stdout } = run('test', '.', '--run', 'why_test')
    expect(status).to.equal(4)
    expect(stdout).to.include('FAIL why_test/test_guest  why_test.rego:5')
    expect(stdout).to.include('want true      got undefined')
    expect(stdout).to.match(/– +7 {2}agent\.allow with input as .* undefined/)
    expect(stdout).to.match(/data\.agent\.allow {2}agent\.rego:3/)
    expect(stdout).to.match(/✗ +3 .*false, input\.subject\.properties\.roles = \["guest"\]/)
    const [result] = JSON.parse(
      run('test', '.', '--run', 'why_test', '--format', 'json').stdout,
    ).results
    expect(result).to.deep.include({ outcome: 'failed', want: 'true', got: 'undefined' })
    expect(result.stopped).to.include({ file: 'why_test.rego', row: 7, outcome: 'undefined' })
    fs.rmSync(path.join(dir, 'why_test.rego'))
  })

  it('test runs the matrices of a policy directory, with its data for Rego', () => {
    const policies = path.join(dir, 'policies')
    fs.cpSync(path.resolve(import.meta.dirname, '../../examples/policy-tests'), policies, {
      recursive: true,
    })
    fs.writeFileSync(
      path.join(policies, 'agent_test.rego'),
      'package agent_test\n\ntest_data if data.frozen.tickets == ["T-9"]\n',
    )
    expect(run('test', 'policies').stdout.trim()).to.equal('17 passed, 0 failed, 0 todo')
    expect(run('test', 'policies', '--run', 'auditor').stdout).to.include('4 passed')
    const file = path.join(policies, 'tests', 'tickets.yaml')
    fs.writeFileSync(
      file,
      fs.readFileSync(file, 'utf8').replace('effect: deny, reason: frozen', 'effect: allow'),
    )
    const { status, stdout } = run('test', 'policies')
    expect(status).to.equal(4)
    expect(stdout).to.include('FAIL support note frozen  policies/tests/tickets.yaml:17')
    expect(stdout).to.include('want allow      got deny')
    expect(stdout).to.include('decided by `rego` (agent.rego:7): frozen: ticket T-9 is frozen')
    expect(stdout).to.match(/✓ +9 {2}input\.resource\.id in data\.frozen\.tickets +.*"T-9"/)
    const { results } = JSON.parse(run('test', 'policies', '--format', 'json').stdout)
    expect(
      results.find(({ outcome }: { outcome: string }) => outcome === 'failed'),
    ).to.deep.include({
      kind: 'matrix',
      subject: 'support',
      action: 'note',
      resource: 'frozen',
      want: 'allow',
      got: 'deny',
    })
    const junit = run('test', 'policies', '--format', 'junit').stdout
    expect(junit).to.match(
      /<failure message="want allow, got deny; `rego` \(agent\.rego:7\): frozen/,
    )
    fs.writeFileSync(file, 'version: 1\nsubjects: {}\n')
    expect(run('test', 'policies').status).to.equal(3)
    expect(run('test', 'policies', '--run', '(').status).to.equal(2)
    fs.rmSync(policies, { recursive: true })
  })

  it('eval --explain says which expressions held, and with which values', () => {
    fs.writeFileSync(path.join(dir, 'input.json'), '{"resource":{"id":"i-1"}}')
    const args = [
      'rego',
      'eval',
      'data.agent.deny',
      '-d',
      'agent.rego',
      '-i',
      'input.json',
      '--explain',
    ]
    const { stdout, stderr } = run(...args)
    expect(JSON.parse(stdout)).to.deep.equal([{ result: ['odd ones are not for agents'] }])
    expect(stderr).to.include('data.agent.deny  agent.rego:5')
    expect(stderr).to.match(
      /✓ +6 {2}endswith\(input\.resource\.id, "1"\) +input\.resource\.id = "i-1"/,
    )
    const { expressions } = JSON.parse(run(...args, '--json').stdout)
    expect(expressions[0]).to.deep.include({
      outcome: 'true',
      values: { 'input.resource.id': 'i-1' },
    })
  })

  it('build writes a bundle that the gate loads beside its guards', async () => {
    const out = path.join(dir, 'bundle.tar.gz')
    const built = run('rego', 'build', 'agent.rego', '-e', 'agent/allow', 'agent/deny', '-o', out)
    expect(built.status, built.stderr).to.equal(0)
    const gate = await TestGate.start()
    try {
      gate.upstream.behave = (_effect, res) => reply(res, 200, {})
      fs.copyFileSync(out, path.join(gate.policyDir, 'bundle.tar.gz'))
      const reloaded = await gate.call('POST', '/policy/reload', { body: {} })
      expect(reloaded.status, reloaded.text).to.equal(200)
      const key = await gate.agent('worker-1')
      const get = (id: string) => gate.act(key, { tool: 'items.get', args: { id } })
      expect((await get('i-2')).status).to.equal(200)
    } finally {
      await gate.stop()
    }
  })

  it('exits 2 for files that are not there', () => {
    expect(run('rego', 'check', 'nowhere').status).to.equal(2)
    expect(run('rego', 'frobnicate').status).to.equal(2)
  })
})
