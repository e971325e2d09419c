import { expect } from 'chai'
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { parse } from 'yaml'
import { scratch } from '../support/scratch.ts'
import { ADMIN, MAKER, TestGate } from '../support/gate.ts'
import { GATE, TOOLS, writePolicies } from '../support/policies.ts'

const ROOT = path.resolve(import.meta.dirname, '..', '..')
const BIN = path.join(ROOT, 'bin', 'portcullis.js')
const STRICT = GATE.replace('"items.update", ', '')
const BROKEN = GATE.replace('effect: allow', 'effect: alow')

describe('portcullis policy', function () {
  this.timeout(300_000)
  let gate: TestGate
  let cwd: string
  before(async () => {
    gate = await TestGate.start({ env: { POLICY_SOURCE: 'database' } })
    cwd = scratch('cwd')
  })
  after(() => gate.stop())

  function run(args: readonly string[], key = ADMIN) {
    const child = spawn(process.execPath, [BIN, 'policy', ...args], {
      cwd,
      env: {
        PATH: process.env['PATH'],
        NO_COLOR: '1',
        PORTCULLIS_URL: gate.gate.url,
        PORTCULLIS_KEY: key,
      },
    })
    let [out, err] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
    return new Promise<{ code: number | null; out: string; err: string }>((resolve) =>
      child.once('close', (code) => resolve({ code, out, err })),
    )
  }
  const file = (name: string) => path.join(cwd, 'mine', name)
  const live = async (): Promise<string> => (await gate.call('GET', '/policy')).body.revision

  it('pulls what is live, pushes what was changed, and shows what differs', async () => {
    const first = await live()
    const pulled = await run(['pull', 'mine'])
    expect([pulled.code, pulled.err]).to.deep.equal([0, ''])
    expect(pulled.out).to.equal(`mine: revision ${first.slice(0, 12)}, 2 files\n`)
    expect(fs.readFileSync(file('gate.yaml'), 'utf8')).to.equal(GATE)
    fs.writeFileSync(file('gate.yaml'), STRICT)
    const tried = await run(['push', 'mine', '--dry-run'])
    expect([tried.code, tried.out]).to.match(/would be live; nothing changed/)
    expect(await live()).to.equal(first)
    const pushed = await run(['push', 'mine', '--note', 'no more updates'])
    const second = await live()
    expect([pulled.code, pushed.out]).to.deep.equal([0, `${second.slice(0, 12)} is live\n`])
    const again = await run(['push', 'mine'])
    expect(again.out).to.equal(`${second.slice(0, 12)} was live already\n`)
    const log = await run(['log'])
    expect(log.out).to.match(
      new RegExp(`^${second.slice(0, 12)} .* api +tester +no more updates`, 'm'),
    )
    const shown = await run(['show', first.slice(0, 10)])
    expect(shown.out)
      .to.include(first)
      .and.to.match(/^live +no$/m)
    expect((await run(['show', first.slice(0, 10), '--file', 'gate.yaml'])).out).to.equal(GATE)
    const diff = await run(['diff', first])
    expect(diff.err).to.include('removed permission').and.to.include('added permission')
    expect(diff.out).to.include('--- a/gate.yaml')
  })

  it('pushes onto what was pulled, or not at all; and pulls over no work', async () => {
    const other = path.join(cwd, 'other')
    expect((await run(['pull', 'other'])).code).to.equal(0)
    fs.appendFileSync(path.join(other, 'gate.yaml'), '# by somebody else\n')
    expect((await run(['push', 'other'])).code).to.equal(0)
    fs.appendFileSync(file('gate.yaml'), '# mine\n')
    const late = await run(['push', 'mine'])
    expect(late.code).to.equal(1)
    expect(late.err).to.match(/^stale_revision: /)
    const over = await run(['pull', 'mine'])
    expect([over.code, over.err]).to.deep.equal([
      2,
      'gate.yaml would be lost; push first, or pull with --force\n',
    ])
    expect((await run(['pull', 'mine', '--force'])).code).to.equal(0)
    expect(fs.readFileSync(file('gate.yaml'), 'utf8')).to.include('# by somebody else')
  })

  it('exits 3 with each mistake and its line, and goes back', async () => {
    const before = await live()
    const saved = fs.readFileSync(file('gate.yaml'), 'utf8')
    fs.writeFileSync(file('gate.yaml'), BROKEN)
    const refused = await run(['push', 'mine'])
    expect(refused.code).to.equal(3)
    expect(refused.err).to.match(/gate\.yaml:5:\d+/)
    fs.writeFileSync(file('gate.yaml'), saved)
    const { publications } = (await gate.call('GET', '/policy/revisions')).body
    const first = publications.at(-1).revision as string
    const would = await run(['rollback', first.slice(0, 12), '--reason', 'drill', '--dry-run'])
    expect(would.out).to.match(/could be live again; nothing changed/)
    expect(await live()).to.equal(before)
    const back = await run(['rollback', first.slice(0, 12), '--reason', 'drill'])
    expect([back.code, back.out]).to.deep.equal([0, `${first.slice(0, 12)} is live again\n`])
    expect(await live()).to.equal(first)
    expect((await run(['rollback', '00000000', '--reason', 'drill'])).err).to.match(/^not_found: /)
  })

  it('tries a policy beside the live one, says what came of it, and ends or promotes it', async () => {
    expect((await run(['canary', 'status'])).out).to.equal('nothing was ever on trial\n')
    const tried = path.join(cwd, 'tried')
    expect((await run(['pull', 'tried'])).code).to.equal(0)
    const text = fs.readFileSync(path.join(tried, 'gate.yaml'), 'utf8')
    fs.writeFileSync(path.join(tried, 'gate.yaml'), BROKEN)
    const broken = await run(['canary', 'start', 'tried'])
    expect(broken.code, broken.err).to.equal(3)
    expect(broken.err).to.match(/gate\.yaml:5:\d+/)
    fs.writeFileSync(path.join(tried, 'gate.yaml'), `${text}# on trial\n`)
    expect((await run(['canary', 'start', 'tried', '--for', 'ever'])).code).to.equal(2)
    const begun = await run(['canary', 'start', 'tried', '--mode', 'enforce', '--percent', '10'])
    const [, id = ''] = /^(cnr_\w+): [0-9a-f]{12} is on trial until /.exec(begun.out) ?? []
    expect(id, begun.err).not.to.equal('')
    const seen = await run(['canary', 'status'])
    expect(seen.out)
      .to.match(/^status +running$/m)
      .and.to.match(/^mode +enforce, 10 %$/m)
    const over = await run(['canary', 'abort', '--reason', 'drill'])
    expect(over.out).to.equal(`${id} is over; ${(await live()).slice(0, 12)} decides for all\n`)
    expect((await run(['canary', 'abort', '--reason', 'drill'])).err).to.match(/^conflict: no /)
    expect((await run(['canary', 'start', 'tried', '--note', 'again'])).code).to.equal(0)
    const promoted = await run(['canary', 'promote'])
    expect(promoted.out).to.equal(`${(await live()).slice(0, 12)} is live\n`)
    expect((await run(['canary', 'status'])).out).to.match(/^status +promoted: it is the policy$/m)
  })

  it('holds a push until others agree, where the policy says so', async () => {
    expect((await run(['pull', 'mine', '--force'])).code).to.equal(0)
    fs.appendFileSync(file('gate.yaml'), 'publish: { approvals: { quorum: 1 } }\n')
    expect((await run(['push', 'mine'])).code).to.equal(0)
    fs.appendFileSync(file('gate.yaml'), '# more\n')
    const held = await run(['push', 'mine'])
    const [, id = ''] = /^held as (pub_\w+): 1 other people have to agree$/m.exec(held.out) ?? []
    expect((await run(['publishes'])).out).to.match(new RegExp(`^${id} +pending +tester`, 'm'))
    expect((await run(['approve', id])).err).to.match(/^forbidden: whoever publishes/)
    const agreed = await run(['approve', id, '--reason', 'fine'], MAKER)
    expect(agreed.out).to.match(/^published: [0-9a-f]{12}$/m)
    expect((await run(['deny', id], MAKER)).err).to.match(/^conflict: it is published already/)
  })
})

describe('findings for other programs', function () {
  this.timeout(300_000)
  const cli = (args: readonly string[], cwd: string) =>
    spawnSync(process.execPath, [BIN, ...args], {
      cwd,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], NO_COLOR: '1', TICKETING_API_URL: 'http://127.0.0.1:1' },
    })
  const folder = (files: Record<string, string>) => {
    const cwd = scratch('cwd')
    writePolicies(path.join(cwd, 'policies'), files)
    return cwd
  }

  it('check --format github annotates the line, with nothing that would end the command', () => {
    const broken = folder({ 'gate.yaml': BROKEN })
    const { status, stdout } = cli(['check', '--format', 'github'], broken)
    expect(status).to.equal(3)
    expect(stdout).to.match(
      /^::error file=policies\/gate\.yaml,line=5,col=\d+,endLine=5,endColumn=\d+,title=unknown_value::.*alow/m,
    )
    const odd = folder({ 'gate.yaml': `${GATE}"50%,\\n:x": 1\n` })
    const [line = '', ...rest] = cli(['check', '--format', 'github'], odd).stdout.trim().split('\n')
    expect([rest.length, line]).to.satisfy(
      ([n, text]: [number, string]) => n === 0 && text.includes('%25'),
    )
    expect(cli(['check', '--format', 'github'], folder({})).stdout.trim()).to.equal('')
  })

  it('check --format sarif is a run with rules, places and levels', () => {
    const { status, stdout } = cli(['check', '--format', 'sarif'], folder({ 'gate.yaml': BROKEN }))
    expect(status).to.equal(3)
    const { version, runs } = JSON.parse(stdout)
    expect(version).to.equal('2.1.0')
    const [{ tool, results }] = runs
    expect(tool.driver.name).to.equal('portcullis')
    for (const one of results) {
      expect(tool.driver.rules[one.ruleIndex].id).to.equal(one.ruleId)
      expect(one.level).to.be.oneOf(['error', 'warning'])
      const { artifactLocation, region } = one.locations[0].physicalLocation
      expect(artifactLocation.uri).to.equal('policies/gate.yaml')
      expect(region.startLine).to.be.greaterThan(0)
    }
    const good = JSON.parse(cli(['check', '--format', 'sarif'], folder({})).stdout)
    expect(good.runs[0].results).to.deep.equal([])
  })

  const TESTS = `version: 1
subjects: { worker: { roles: [worker] } }
actions: { update: { tool: items.update, args: { id: i-1 } } }
matrix: [{ effect: allow }]
`

  describe('action.yml', () => {
    const action = parse(fs.readFileSync(path.join(ROOT, 'action.yml'), 'utf8')) as {
      inputs: Record<string, { default?: string }>
      runs: { using: string; steps: { name: string; run?: string; env?: Record<string, string> }[] }
    }

    /** Runs its steps as a workflow does, with these inputs; the tool is installed already. */
    function steps(cwd: string, inputs: Record<string, string> = {}) {
      const given = { ...defaults(), ...inputs }
      const output = path.join(cwd, 'summary')
      let said = ''
      for (const { run, env = {} } of action.runs.steps) {
        if (run === undefined) continue
        const filled = Object.entries(env).map(([name, text]) => [
          name,
          text.replaceAll(
            /\$\{\{ inputs\.([\w-]+) \}\}/g,
            (_, input: string) => given[input] ?? '',
          ),
        ])
        const { status, stdout, stderr } = spawnSync('bash', ['-e', '-o', 'pipefail', '-c', run], {
          cwd,
          encoding: 'utf8',
          env: {
            PATH: process.env['PATH'],
            TICKETING_API_URL: 'http://127.0.0.1:1',
            GITHUB_ACTION_PATH: ROOT,
            GITHUB_STEP_SUMMARY: output,
            ...Object.fromEntries(filled),
          },
        })
        said += stdout + stderr
        if (status !== 0) return { status, said }
      }
      return { status: 0, said }
    }
    const defaults = () =>
      Object.fromEntries(
        Object.entries(action.inputs).map(([name, one]) => [name, one.default ?? '']),
      )

    it('passes a policy that loads and whose tests hold, and leaves a report', () => {
      const cwd = folder({ 'tests/a.yaml': TESTS })
      const { status, said } = steps(cwd, { junit: 'report.xml', sarif: 'report.sarif' })
      expect(status, said).to.equal(0)
      expect(fs.readFileSync(path.join(cwd, 'report.xml'), 'utf8')).to.include('failures="0"')
      expect(JSON.parse(fs.readFileSync(path.join(cwd, 'report.sarif'), 'utf8')).version).to.equal(
        '2.1.0',
      )
    })

    it('fails with annotations for one that does not load, or whose tests fail', () => {
      const broken = steps(folder({ 'gate.yaml': BROKEN }))
      expect(broken.status).to.equal(3)
      expect(broken.said).to.include('::error file=policies/gate.yaml,line=5')
      const failing = steps(folder({ 'tests/a.yaml': TESTS.replace('allow', 'deny') }))
      expect(failing.status).to.equal(3)
      expect(failing.said).to.include('title=policy_test_failed')
    })
  })

  it('.pre-commit-hooks.yaml names commands that work on a folder as it is', () => {
    const hooks = parse(fs.readFileSync(path.join(ROOT, '.pre-commit-hooks.yaml'), 'utf8')) as {
      id: string
      entry: string
      args?: string[]
      language: string
      files: string
      pass_filenames?: boolean
    }[]
    expect(hooks.map(({ id }) => id)).to.deep.equal([
      'portcullis-check',
      'portcullis-test',
      'portcullis-rego-fmt',
    ])
    const good = folder({ 'tests/a.yaml': TESTS, 'a.rego': 'package agent\n\nallow if false\n' })
    const bad = folder({ 'gate.yaml': BROKEN, 'a.rego': 'package agent\nallow   if false\n' })
    fs.mkdirSync(path.join(bad, 'policies', 'tests'))
    fs.writeFileSync(path.join(bad, 'policies', 'tests', 'a.yaml'), TESTS)
    for (const { id, entry, args = [], language, files, pass_filenames: passes } of hooks) {
      expect(language).to.equal('node')
      expect(new RegExp(files).test('policies/a.rego'), id).to.equal(true)
      const [program, ...words] = entry.split(' ')
      expect(program).to.equal('portcullis')
      const all = [...words, ...args, ...(passes === false ? [] : ['policies/a.rego'])]
      expect(cli(all, good).status, id).to.equal(0)
      expect(cli(all, bad).status, id).to.be.greaterThan(0)
    }
    expect(TOOLS).to.include('items.update')
  })
})
