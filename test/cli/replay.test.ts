import { expect } from 'chai'
import { spawn } from 'node:child_process'
import path from 'node:path'
import { scratch } from '../support/scratch.ts'
import { ADMIN, TestGate } from '../support/gate.ts'
import { GATE, writePolicies } from '../support/policies.ts'
import { reply } from '../support/upstream.ts'

const ROOT = path.resolve(import.meta.dirname, '..', '..')
const BIN = path.join(ROOT, 'bin', 'portcullis.js')
const STRICT = GATE.replace('"items.update", ', '')

describe('portcullis replay', function () {
  this.timeout(300_000)
  let gate: TestGate
  let cwd: string
  before(async () => {
    gate = await TestGate.start()
    gate.upstream.behave = (_effect, res) => reply(res, 200, {})
    cwd = scratch('cwd')
    writePolicies(path.join(cwd, 'strict'), { 'gate.yaml': STRICT })
    writePolicies(path.join(cwd, 'broken'), { 'gate.yaml': `${GATE}nothing: of this\n` })
    const key = await gate.agent('worker-1')
    for (const id of ['i-1', 'i-2']) {
      await gate.act(key, { tool: 'items.update', args: { id } })
      await gate.act(key, { tool: 'items.get', args: { id } })
    }
  })
  after(() => gate.stop())

  function run(...args: readonly string[]) {
    const child = spawn(process.execPath, [BIN, 'replay', ...args], {
      cwd,
      env: {
        PATH: process.env['PATH'],
        NO_COLOR: '1',
        PORTCULLIS_URL: gate.gate.url,
        PORTCULLIS_KEY: ADMIN,
      },
    })
    let [out, err] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
    return new Promise<{ code: number | null; out: string; err: string }>((resolve) =>
      child.once('close', (code) => resolve({ code, out, err })),
    )
  }

  it('says for a person what a directory would have decided otherwise, and by which rule', async () => {
    const { code, out, err } = await run('--policy', 'strict', '--since', '1h')
    expect([code, err]).to.deep.equal([0, ''])
    expect(out)
      .to.match(/^same +2$/m)
      .and.to.match(/^new +0 allow, 2 deny, 0 hold$/m)
    expect(out).to.match(/^2 +allow -> deny +policy +gate +no rule permits this$/m)
    expect(out)
      .to.match(/^worker-1 +2$/m)
      .and.to.match(/^items\.update +2$/m)
  })

  it('exits 5 where there is what it was told to fail on, and 0 where there is not', async () => {
    const hit = await run('--policy', 'strict', '--fail-on', 'new-allow,new-deny')
    expect([hit.code, hit.err]).to.deep.equal([5, 'decided otherwise: 2 new-deny\n'])
    expect((await run('--policy', 'strict', '--fail-on', 'new-allow,error')).code).to.equal(0)
    expect((await run('--fail-on', 'new-allow,new-deny,new-hold,error,unplayable')).code).to.equal(
      0,
    )
  })

  it('reports for programs: JSON, JUnit, annotations of a workflow', async () => {
    const json = JSON.parse((await run('--policy', 'strict', '--json')).out)
    expect(json.report).to.include({ decisions: 4, same: 2, new_deny: 2 })
    const junit = await run('--policy', 'strict', '--format', 'junit', '--fail-on', 'new-deny')
    expect(junit.out).to.include('tests="5" failures="1"').and.to.include('no rule permits this')
    const github = await run('--policy', 'strict', '--format', 'github', '--fail-on', 'new-deny')
    expect(github.out).to.match(
      /^::error::2 allow -> deny \(policy\): gate: no rule permits this$/m,
    )
  })

  it('exits 3 for what does not load and 2 for what cannot be meant', async () => {
    const broken = await run('--policy', 'broken')
    expect([broken.code, broken.out]).to.deep.equal([3, ''])
    expect(broken.err).to.include('gate.yaml')
    for (const wrong of [
      ['--since', 'long'],
      ['--fail-on', 'everything'],
      ['--sample', 'some'],
      ['--policy', 'strict', '--revision', '00000000'],
    ]) {
      expect((await run(...wrong)).code, wrong.join(' ')).to.equal(2)
    }
  })
})
