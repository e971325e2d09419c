import { expect } from 'chai'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { installOffline, type Installed } from '../support/packed.ts'

const ROOT = path.resolve(import.meta.dirname, '..', '..')
const KIB = 1024

/** Relative imports of a file that runs or declares, static and lazy. */
const IMPORTED = /(?:\bfrom |\bimport ?\(?)['"](\.[^'"]+)['"]/g

function dangling(folder: string): string[] {
  return fs
    .readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(js|mjs|d\.ts)$/.test(name) && !name.includes('swagger'))
    .flatMap((name) => {
      const file = path.join(folder, name)
      return [...fs.readFileSync(file, 'utf8').matchAll(IMPORTED)].flatMap(([, to = '']) => {
        const target = path.resolve(path.dirname(file), to)
        const typed = target.replace(/\.js$/, '.d.ts')
        return fs.existsSync(name.endsWith('.d.ts') ? typed : target) ? [] : [`${name}: ${to}`]
      })
    })
}

function run(at: Installed, bin: string, args: readonly string[], cwd = at.folder) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [path.join(at.package, bin), ...args],
    { cwd, encoding: 'utf8', env: { PATH: process.env['PATH'], NO_COLOR: '1' } },
  )
  return { status, stdout, stderr }
}

/** What a program of somebody else is told by its compiler, with every type of the package looked at. */
function compiled(at: Installed, source: string, resolution: 'bundler' | 'nodenext'): string {
  const module = resolution === 'bundler' ? 'esnext' : 'nodenext'
  const options = { module, moduleResolution: resolution, target: 'es2022', strict: true }
  fs.writeFileSync(path.join(at.folder, 'use.mts'), source)
  fs.writeFileSync(
    path.join(at.folder, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: { ...options, noEmit: true, skipLibCheck: false, types: ['node'] },
      files: ['use.mts'],
    }),
  )
  const tsc = path.join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
  return spawnSync(process.execPath, [tsc, '-p', at.folder], { encoding: 'utf8' }).stdout
}

describe('the package', function () {
  this.timeout(300_000)
  let at: Installed
  before(() => {
    at = installOffline('portcullis')
  })

  it('holds what runs, and neither sources, tests nor files of the tour', () => {
    expect(at.files).to.include.members([
      ...['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md', 'bin/portcullis.js'],
      ...[
        'dist/cli/index.js',
        'dist/index.js',
        'dist/index.d.ts',
        'dist/rego/index.d.ts',
        'dist/client/index.d.ts',
      ],
      ...[
        'dist/rego/machine/machine.wasm',
        'dist/docs/index.html',
        'dist/ui/index.html',
        'dist/store/embedded/template.gz',
        'ops/demo/server.mjs',
      ],
      ...['ops/init/env', 'policies/gate.yaml', 'schemas/gate.schema.json', 'docs/errors.md'],
    ])
    const strange = at.files.filter((name) =>
      /^(?:src|test|bench|examples|plans|\.ci)\/|\.map$|(?<!\.d)\.ts$|valid\.yaml$|\.env$/.test(
        name,
      ),
    )
    expect(strange).to.deep.equal([])
    expect(at.files.length).to.be.below(1_000)
    expect(at.packedBytes).to.be.below(6144 * KIB) // of which 4.4 MiB are the empty database
  })

  it('has every file that one of its files imports, types included', () => {
    expect(dangling(at.package)).to.deep.equal([])
  })

  it('exports nothing that is not in it', () => {
    const { exports, bin } = JSON.parse(
      fs.readFileSync(path.join(at.package, 'package.json'), 'utf8'),
    )
    const targets = Object.values<string | Record<string, string>>(exports).flatMap((one) =>
      typeof one === 'string' ? [one] : Object.values(one),
    )
    for (const target of [...targets, ...Object.values<string>(bin)]) {
      if (!target.includes('*')) expect(at.files).to.include(target.replace('./', ''))
    }
  })

  for (const resolution of ['bundler', 'nodenext'] as const) {
    it(`is imported with types under moduleResolution ${resolution}`, () => {
      const source = `
import { GatewayError, parseConfig, startGate, type RunningGate } from 'portcullis'
import { compile, load } from 'portcullis/rego'
import { GateError, Portcullis } from 'portcullis/client'

const gate: RunningGate = await startGate(parseConfig({ PORT: '0' }))
const url: string = gate.url
const compiled = compile({ modules: {}, entrypoints: [] })
if (compiled.ok) load(compiled).evaluate('a/b', {})
else compiled.diagnostics.map(({ code, location }) => \`\${url} \${code} \${location.file}\`)
// @ts-expect-error: a port is text, as the environment has it
parseConfig({ PORT: 0 })
const client = new Portcullis({ url, key: 'x' })
const answered: string = (await client.call('GET /actions/{id}', { path: { id: 'x' } })).request.action.name
const held = await client.act('a', {})
if (held.decision === 'require_approval') held.approval.expires_at.slice(1)
// @ts-expect-error: there is no such call
await client.call('GET /nothing')
// @ts-expect-error: the path has a variable
await client.call('GET /actions/{id}')
// @ts-expect-error: no such status
if ((await client.wait('x')).status === 'done') throw new GateError('conflict', answered)
throw new GatewayError('conflict', 'x')
export {}
`
      expect(compiled(at, source, resolution)).to.equal('')
    })
  }

  it('says its version, and makes a folder whose policies hold', () => {
    const { version } = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8'))
    expect(run(at, 'bin/portcullis.js', ['--version']).stdout).to.equal(`${version}\n`)
    const made = run(at, 'bin/portcullis.js', ['init', 'mine'])
    expect(made.status, made.stderr).to.equal(0)
    const cwd = path.join(at.folder, 'mine')
    expect(run(at, 'bin/portcullis.js', ['check', '--strict'], cwd).stderr).to.equal('')
    const tested = run(at, 'bin/portcullis.js', ['test', '--require'], cwd)
    expect([tested.status, tested.stdout.trim()]).to.satisfy(
      ([status, text]: [number, string]) => status === 0 && text.endsWith(' 0 failed, 0 todo'),
    )
  })
})

describe('the package of the Rego compiler', function () {
  this.timeout(300_000)
  let at: Installed
  before(() => {
    at = installOffline('portcullis-rego')
  })

  it('holds the compiler and its command, with at most a dozen dependencies', () => {
    const { dependencies } = JSON.parse(
      fs.readFileSync(path.join(at.package, 'package.json'), 'utf8'),
    )
    expect(Object.keys(dependencies).length).to.be.within(1, 12)
    const rooms = new Set(at.files.map((name) => name.split('/').slice(0, 2).join('/')))
    expect([...rooms].sort()).to.deep.equal([
      ...['LICENSE', 'README.md', 'bin/portcullis-rego.js', 'dist/bundle', 'dist/cli'],
      ...['dist/lib', 'dist/rego', 'package.json'],
    ])
    expect(at.packedBytes).to.be.below(512 * KIB)
  })

  it('has every file that one of its files imports, types included', () => {
    expect(dangling(at.package)).to.deep.equal([])
  })

  it('checks, evaluates, tests, formats and builds folders', () => {
    const cwd = fs.mkdtempSync(path.join(at.folder, 'policies-'))
    const source = 'package app\n\nallow if input.user in data.teams.blue\n'
    fs.writeFileSync(path.join(cwd, 'app.rego'), source)
    fs.mkdirSync(path.join(cwd, 'teams'))
    fs.writeFileSync(path.join(cwd, 'teams', 'data.yaml'), 'blue: [ann]\n')
    // To the gate this is a policy directory; to the compiler it is YAML as any other.
    fs.writeFileSync(path.join(cwd, 'gate.yaml'), 'version: 1\n')
    fs.writeFileSync(
      path.join(cwd, 'app_test.rego'),
      'package app_test\n\ntest_ann if data.app.allow with input as {"user": "ann"}\n',
    )
    fs.writeFileSync(path.join(cwd, 'input.json'), '{"user": "ann"}')
    const bin = (...args: string[]) => run(at, 'bin/portcullis-rego.js', args, cwd)
    expect(bin('check', '.').stderr).to.equal('2 modules, no errors\n')
    const said = bin('eval', 'x := [data.app.allow, data.version]', '-d', '.', '-i', 'input.json')
    expect(said.stdout, said.stderr).to.match(/"x": \[\s*true,\s*1\s*\]/)
    expect(bin('test', '.').stdout).to.equal('1 passed, 0 failed, 0 todo\n')
    expect(bin('fmt', '.', '--list').status).to.equal(0)
    expect(bin('build', '.', '-e', 'app/allow').stderr).to.match(/^wrote bundle.tar.gz/)
    expect(bin('chek').stderr).to.match(/Did you mean check\?/)
    expect(bin('--version').status).to.equal(0)
  })

  it('is imported with types under moduleResolution bundler and nodenext', () => {
    const source = `
import { compile, load } from 'portcullis-rego'
const compiled = compile({ modules: { 'a.rego': 'package a\\nb := 1' }, entrypoints: ['a/b'] })
if (!compiled.ok) throw new Error(compiled.diagnostics.map(({ message }) => message).join())
const value: unknown = load(compiled, { data: {} }).evaluate('a/b', {})
// @ts-expect-error: entrypoints are a list
compile({ modules: {}, entrypoints: 'a/b' })
export { value }
`
    for (const resolution of ['bundler', 'nodenext'] as const) {
      expect(compiled(at, source, resolution)).to.equal('')
    }
  })
})
