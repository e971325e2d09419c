// Speed of compiling, loading and deciding. The policy and documents are those of the shared data (REGO_DATA) when they
// are there, else a small policy of our own. Medians of many rounds; numbers are milliseconds unless they say otherwise.
// usage: node --import tsx bench/rego/bench.ts
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { compile, load } from '../../src/rego/index.ts'

const places = [process.env['REGO_DATA'], path.resolve(import.meta.dirname, '../../../shared/rego')]
const folder = places.find(
  (place) => place !== undefined && existsSync(path.join(place, 'bench/policy.rego')),
)

const OWN = `package rbac

default allow := false

allow if {
	some role in data.users[input.user].roles
	some permission in data.roles[role].permissions
	permission.action == input.action
	startswith(input.path, permission.path)
}

decision := {"allow": allow}
`
const ownData = {
  users: { ann: { roles: ['viewer', 'editor'] } },
  roles: {
    viewer: { permissions: [{ action: 'read', path: '/docs/' }] },
    editor: { permissions: [{ action: 'write', path: '/docs/' }] },
  },
}

function read(name: string): string {
  return readFileSync(path.join(folder ?? '', 'bench', name), 'utf8')
}
const policy = folder ? read('policy.rego') : OWN
const input: unknown = folder
  ? JSON.parse(read('input.json'))
  : { user: 'ann', action: 'write', path: '/docs/1' }
const documents: Record<string, unknown> = folder
  ? { '5 KB': JSON.parse(read('data-small.json')), '50 KB': JSON.parse(read('data.json')) }
  : { small: ownData }

interface Times {
  readonly median: number
  readonly least: number
}
function measure(rounds: number, run: () => void): Times {
  for (let i = 0; i < rounds; i++) run() // until the machine code is as good as it gets
  const times: number[] = []
  for (let i = 0; i < rounds; i++) {
    const begin = performance.now()
    run()
    times.push(performance.now() - begin)
  }
  times.sort((a, b) => a - b)
  return { median: times[Math.floor(times.length / 2)] ?? 0, least: times[0] ?? 0 }
}
function report(what: string, value: number | Times, unit: string): void {
  const { median, least } = typeof value === 'number' ? { median: value, least: value } : value
  console.log(
    `${what.padEnd(52)} ${median.toFixed(2).padStart(9)} ${unit}  (least ${least.toFixed(2)})`,
  )
}

const build = () => compile({ modules: { 'policy.rego': policy }, entrypoints: ['rbac/decision'] })
const compiled = build()
if (!compiled.ok) throw new Error(JSON.stringify(compiled.diagnostics))
report('compile, warm', measure(300, build), 'ms')
report('module', compiled.wasm.length / 1000, 'kB')

const lines = policy.replace(/^package .*$/m, '')
const perModule = Math.ceil(100 / lines.split('\n').length)
const modules = Object.fromEntries(
  Array.from({ length: 50 }, (_, i) => [
    `m${i}.rego`,
    `package m${i}\n${Array.from({ length: perModule }, (_, k) =>
      lines
        .replaceAll(/\b(allow|roles|granted|resource_match|deny|decision)\b(?!\[)/g, `$1_${k}`)
        .replaceAll(/data\.roles_\d+/g, 'data.roles')
        .replaceAll(/\.roles_\d+/g, '.roles')
        .replace('import rego.v1', ''),
    ).join('\n')}`,
  ]),
)
const total = Object.values(modules).join('\n').split('\n').length
const entrypoints = Array.from({ length: 50 }, (_, i) => `m${i}/decision_0`)
const many = () => compile({ modules, entrypoints })
const large = many()
if (large.ok) report(`compile ${total} lines in 50 modules`, measure(7, many), 'ms')
else console.log(large.diagnostics[0])

const cold = measure(5, () => {
  const script = `import { compile } from ${JSON.stringify(new URL('../../dist/rego/index.js', import.meta.url).href)}\ncompile({ modules: { 'p.rego': ${JSON.stringify(policy)} }, entrypoints: ['rbac/decision'] })`
  spawnSync(process.execPath, ['--input-type=module', '-e', script], { stdio: 'ignore' })
})
if (existsSync(new URL('../../dist/rego/index.js', import.meta.url)))
  report('compile in a fresh process (from dist)', cold, 'ms')

const require = createRequire(import.meta.url)
const sdk = require('@open-policy-agent/opa-wasm') as {
  loadPolicy(
    wasm: Uint8Array,
    memory: { initial: number },
  ): Promise<{ setData(data: unknown): void; evaluate(input: unknown): unknown }>
}
for (const [name, data] of Object.entries(documents)) {
  report(
    `load and set ${name} of data`,
    measure(50, () => load(compiled, { data }).close()),
    'ms',
  )
  const theirs = await sdk.loadPolicy(compiled.wasm, { initial: 20 })
  theirs.setData(data)
  const ours = load(compiled, { data })
  const repeat = 1000
  const us = (run: () => void) =>
    measure(60, () => {
      for (let i = 0; i < repeat; i++) run()
    })
  report(
    `decide through the npm SDK, ${name} of data`,
    us(() => theirs.evaluate(input)),
    'us',
  )
  report(
    `decide through our host, ${name} of data`,
    us(() => ours.evaluate('rbac/decision', input)),
    'us',
  )
}
