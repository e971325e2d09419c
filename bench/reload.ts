// Compile and swap 50 Rego files of 100 lines each while requests keep coming: how long a reload takes, and a publish of the same through the API, how
// long the slowest request waited, and how many failed; then directories that are large in one way each; and before that the same requests without any reload, which is
// what the waits are to be compared with. The gate runs as users run it, compiled and in a process of its own, on
// PostgreSQL where it is installed; the requests are dry runs at a steady rate, each with its durable audit entry.
import fs from 'node:fs'
import path from 'node:path'
import { Agent, request } from 'undici'
import { postgresBin, PostgresServer, prepareEmbedded } from '../test/support/database.ts'
import { scratch } from '../test/support/scratch.ts'
import { freePort, GateProcess } from '../test/support/gate-process.ts'
import { ADMIN } from '../test/support/gate.ts'
import { compile } from '../src/rego/index.ts'
import { tarGz } from '../test/policy/archive.ts'
import { GATE, TOOLS, writePolicies } from '../test/support/policies.ts'

const FILES = 50
const RULES_PER_FILE = 25
const ROUNDS = 10
const RATE_PER_S = Number(process.argv[2] ?? 100)
const QUIET_MS = 5_000
const BETWEEN_MS = 300
const DRY_RUN = { tool: 'items.list', args: {}, dry_run: true }

const policyDir = path.join(scratch('bench'), 'policies')
writePolicies(policyDir, sources(0))
const dataDir = scratch('bench-data')
const server = postgresBin() ? await PostgresServer.start() : undefined
if (!server) await prepareEmbedded(dataDir)
const gate = new GateProcess(await freePort(), {
  DATA_DIR: dataDir,
  POLICY_DIR: policyDir,
  LOG_FILE: path.join(dataDir, 'app.log'),
  TICKETING_API_URL: 'http://127.0.0.1:9', // dry runs never get there
  ...(server ? { DATABASE_URL: await server.createDatabase() } : {}),
})
await gate.start()
const dispatcher = new Agent({ connections: 16 })
const { api_key: key } = (await call(ADMIN, '/api/v1/agents', {
  name: 'bench',
  roles: ['worker'],
})) as { api_key: string }

const pending = new Set<Promise<void>>()
let waits: number[] = []
const failed: string[] = []
const pace = setInterval(() => {
  const one = ask().finally(() => pending.delete(one))
  pending.add(one)
}, 1_000 / RATE_PER_S)

await pause(2_000) // warm
waits = []
await pause(QUIET_MS)
const quiet = waits
waits = []
const times: number[] = []
for (let round = 1; round <= ROUNDS; round++) {
  writePolicies(policyDir, sources(round))
  const startedAt = performance.now()
  await call(ADMIN, '/policy/reload', {})
  times.push(performance.now() - startedAt)
  await pause(BETWEEN_MS)
}
const small = waits
waits = []
const publishes: number[] = []
for (let round = ROUNDS + 1; round <= 2 * ROUNDS; round++) {
  const { revision } = (await call(ADMIN, '/policy')) as { revision: string }
  const files = { 'tools.yaml': TOOLS, ...sources(round) }
  const startedAt = performance.now()
  await call(ADMIN, '/policy/files', { files, note: `round ${round}` }, { method: 'PUT', revision })
  publishes.push(performance.now() - startedAt)
  await pause(BETWEEN_MS)
}
const published = waits
const large: string[] = []
for (const [name, files] of Object.entries(largeDirectories())) {
  waits = []
  writePolicies(policyDir, files)
  const startedAt = performance.now()
  await call(ADMIN, '/policy/reload', {})
  const ms = performance.now() - startedAt
  await pause(BETWEEN_MS)
  large.push(`${name.padEnd(22)} ${ms.toFixed(0)} ms, requests during ${figures(waits)}`)
  const extra = Object.keys(files).filter((file) => !['gate.yaml', 'tools.yaml'].includes(file))
  for (const file of extra) fs.rmSync(path.join(policyDir, file))
}
clearInterval(pace)
await Promise.all(pending)
const lines = Object.values(sources(1)).join('\n').split('\n').length
console.log(
  `${FILES} files, ${lines} lines, reloaded ${ROUNDS} times at ${RATE_PER_S} requests a second`,
)
console.log(`reload          ${figures(times)}`)
console.log(`requests before ${figures(quiet)}`)
console.log(`requests during ${figures(small)}`)
console.log(`publish         ${figures(publishes)}`)
console.log(`requests during ${figures(published)}`)
console.log(`failed          ${failed.length} ${[...new Set(failed)].slice(0, 3).join('; ')}`)
for (const line of large) console.log(line)
await gate.kill('SIGTERM')
server?.stop()
process.exit(0)

async function ask(): Promise<void> {
  const startedAt = performance.now()
  try {
    await call(key, '/act', DRY_RUN)
  } catch (error) {
    failed.push(String(error).slice(0, 300))
  }
  waits.push(performance.now() - startedAt)
}

async function call(
  as: string,
  route: string,
  body?: unknown,
  put?: { readonly method: 'PUT'; readonly revision: string },
): Promise<unknown> {
  const answer = await request(`${gate.url}${route}`, {
    method: put?.method ?? (body === undefined ? 'GET' : 'POST'),
    dispatcher,
    headers: {
      'x-api-key': as,
      'content-type': 'application/json',
      ...(put ? { 'if-match': `"${put.revision}"` } : {}),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await answer.body.text()
  if (answer.statusCode >= 300) throw new Error(`${route} answered ${answer.statusCode}: ${text}`)
  return JSON.parse(text)
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

function sources(round: number): Record<string, string> {
  const files: Record<string, string> = { 'gate.yaml': GATE }
  for (let file = 0; file < FILES; file++) {
    const rules = Array.from(
      { length: RULES_PER_FILE },
      (_, n) => `deny contains "rule ${file}.${n} of round ${round}" if {
  input.action.name == "never.${file}.${n}"
  count(input.subject.properties.roles) > ${n}
}`,
    )
    files[`part-${file}.rego`] = `package agent\n\n${rules.join('\n')}\n`
  }
  return files
}

/** What makes a load long: many tools, many guards, a long list, much data for Rego, many archives. */
function largeDirectories(): Record<string, Record<string, string | Uint8Array>> {
  const many = <T>(count: number, make: (n: number) => T): T[] =>
    Array.from({ length: count }, (_, n) => make(n))
  const tools = many(
    1_000,
    (n) =>
      `  t.n${n}: { upstream: test, method: POST, path: '/t${n}/{id}', effect: write, args: { type: object, required: [id], properties: { id: { type: string }, note: { type: string, maxLength: 200 }, count: { type: integer } } } }\n`,
  )
  const guards = many(
    900,
    (n) =>
      `  - { id: g${n}, kind: risk_patterns, message: '${'m'.repeat(450)}', patterns: [{ name: p${n}, pattern: 'x${n}${'y'.repeat(400)}' }] }\n`,
  )
  const list = many(600_000, (n) => `person${n}@example${n % 1_000}.com,C-${n}\n`)
  const listed = `${GATE}guards:\n  - { id: dnc, kind: do_not_contact, lists: [blocked], ids: true }\n`
  const rows = many(60_000, (n) => ({ id: `n-${n}`, name: `person ${n}` }))
  const reads = 'package agent\n\ndeny contains "no" if data.rows[0].id == input.resource.id\n'
  const bundle = archive()
  return {
    '1,000 tools': { 'tools.yaml': TOOLS + tools.join('') },
    'gate.yaml of 0.9 MB': { 'gate.yaml': `${GATE}guards:\n${guards.join('')}` },
    'a list of 21 MB': { 'gate.yaml': listed, 'data/blocked.csv': `email,id\n${list.join('')}` },
    '3 MB of data for Rego': { 'agent.rego': reads, 'data/rows.json': JSON.stringify(rows) },
    '40 archives': Object.fromEntries(many(40, (n) => [`b${n}.tar.gz`, bundle])),
  }
}

function archive(): Uint8Array {
  const source = 'package agent\n\ndeny contains "no" if input.resource.id == "x"\n'
  const compiled = compile({ modules: { 'a.rego': source }, entrypoints: ['agent/deny'] })
  if (!compiled.ok) throw new Error('the policy of the bench does not compile')
  return tarGz({ 'policy.wasm': compiled.wasm, 'data.json': '{}' })
}

function figures(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (share: number) => (sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(0)
  return `${values.length}: p50 ${at(0.5)} ms  p99 ${at(0.99)} ms  max ${at(1)} ms`
}
