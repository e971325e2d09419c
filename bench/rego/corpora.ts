// What compiling whole collections of policies with their tests costs, as `portcullis test` compiles them: CPU time of all
// threads, each row in a process of its own because a command compiles once and ends. The rows of made-up rules show how
// it grows; folders are added as arguments, several of one set joined by commas. The last column divides by the CPU time
// that a fixed loop took right after in the same process, for a machine that others use too.
// usage: npm run bench:corpora -- [DIR[,LIBRARY] ...]
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { testRules } from '../../src/rego/testing/rules.ts'
import { shortRun } from '../../src/cli/short-run.ts'
import { compile, ParseCache } from '../../src/rego/index.ts'
import { FOREIGN } from '../../test/campaigns/corpora.ts'

// Functions that the collections' own programs bring; compiling asks for their types only.
const DECLARED = Object.fromEntries(
  Object.entries(FOREIGN).map(([name, { signature }]) => [name, signature]),
)
const SIZES = ['250', '500', '1000', '2000', '4000']
const ROUNDS = 3

type Modules = Readonly<Record<string, string>>

/** Rules as teams write them: half of a set, half of one value, and a test for every ten. */
function made(count: number): Modules {
  const rules = Array.from({ length: count / 2 }, (_, i) =>
    [
      'deny contains msg if {',
      '\tsome item in input.items',
      `\titem.kind == "kind ${i}"`,
      `\tnot item.labels["owner ${i}"]`,
      `\tcount(item.parts) > ${i}`,
      `\tmsg := sprintf("%s lacks an owner (%d)", [item.name, ${i}])`,
      '}',
      '',
      `limit_${i} := x if x := data.limits.l${i} + ${i}`,
      '',
    ].join('\n'),
  )
  const tests = Array.from(
    { length: count / 10 },
    (_, i) => `test_${i} if count(policy.deny) == 0 with input as {"items": [{"kind": "k${i}"}]}`,
  )
  return {
    'policy.rego': `package policy\n\n${rules.join('\n')}`,
    'policy_test.rego': `package policy_test\n\nimport data.policy\n\n${tests.join('\n\n')}\n`,
  }
}

function read(folders: string): Modules {
  const files = folders.split(',').flatMap((folder) =>
    fs
      .readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.rego'))
      .map((name) => path.join(folder, name)),
  )
  return Object.fromEntries(files.map((file) => [file, fs.readFileSync(file, 'utf8')]))
}

function seconds({ user, system }: NodeJS.CpuUsage): number {
  return (user + system) / 1e6
}

function yardstick(): number {
  const startedAt = process.cpuUsage()
  let sum = 0
  for (let i = 0; i < 3e8; i++) sum = (sum + i * 7) | 0
  return sum === 0 ? 0 : seconds(process.cpuUsage(startedAt))
}

function one(what: string): void {
  const modules = SIZES.includes(what) ? made(Number(what)) : read(what)
  shortRun()
  const startedAt = process.cpuUsage()
  const parsed = new ParseCache()
  const entrypoints = testRules(modules, false, parsed).map(({ entrypoint }) => entrypoint)
  const compiled = compile({
    modules,
    entrypoints,
    tests: true,
    parsed,
    capabilities: { functions: DECLARED },
  })
  const cpu = seconds(process.cpuUsage(startedAt))
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.diagnostics[0]))
  const bytes = Object.values(modules).reduce((sum, source) => sum + source.length, 0)
  console.log(
    JSON.stringify({ cpu, relative: cpu / yardstick(), bytes, tests: entrypoints.length }),
  )
}

interface Row {
  readonly cpu: number
  readonly relative: number
  readonly bytes: number
  readonly tests: number
}

function row(what: string): void {
  const least: Row[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const args = [...process.execArgv, import.meta.filename, '--one', what]
    const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    if (stdout === '') throw new Error(stderr)
    least.push(JSON.parse(stdout) as Row)
  }
  least.sort((a, b) => a.cpu - b.cpu)
  const [best] = least
  if (!best) return
  const name = SIZES.includes(what)
    ? `${what} rules`
    : what
        .split(',')
        .map((p) => path.basename(p))
        .join(' + ')
  const relative = Math.min(...least.map((one) => one.relative))
  console.log(
    `${name.padEnd(28)} ${(best.bytes / 1000).toFixed(0).padStart(6)} kB ${String(best.tests).padStart(5)} tests ${best.cpu.toFixed(2).padStart(7)} s ${relative.toFixed(1).padStart(6)} yardsticks`,
  )
}

const [first, second] = process.argv.slice(2)
if (first === '--one') one(second ?? '')
else for (const what of [...SIZES, ...process.argv.slice(2)]) row(what)
