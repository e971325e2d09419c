// The registry at 10,000 agents: one import of them all, then lists with each kind of filter. One gate in
// this process, spoken to over HTTP, on the embedded database and on PostgreSQL where it is installed.
import { databases } from './support.ts'
import { TestGate } from '../test/support/gate.ts'

const AGENTS = 10_000
const ROUNDS = 60
const FILTERS = [
  'limit=50',
  'role=role-7&limit=50',
  'category=cat-3&status=active',
  'tag=tag-11&owner=team-4',
  'specialist=true&role=role-2',
  'q=agent-99',
  'q=nothing-like-it',
  'role=none',
]

const rows = Array.from({ length: AGENTS }, (_, n) => ({
  name: `agent-${n}`,
  roles: [`role-${n % 20}`, `team-role-${n % 13}`],
  category: `cat-${n % 10}`,
  owner: `team-${n % 25}`,
  specialist: n % 3 === 0,
  tags: [`tag-${n % 50}`, `group-${n % 7}`],
  monthly_budget: '100.00',
  description: `agent number ${n} of the bench`,
  properties: { n },
}))
const json = JSON.stringify(rows)
const csv = [
  'name,roles,category,owner,tags,monthly_budget',
  ...rows.map(
    (row, n) =>
      `csv-${n},${row.roles.join(';')},${row.category},${row.owner},${row.tags.join(';')},100`,
  ),
].join('\n')

for (const { name, env, stop } of await databases(true)) {
  const gate = await TestGate.start({
    ...(env['DATABASE_URL'] ? { databaseUrl: env['DATABASE_URL'] } : {}),
    env: { LOG_LEVEL: 'warn' },
  })
  console.log(name)
  await timeImport(gate, 'application/json', json)
  for (const filter of FILTERS) await timeList(gate, filter)
  await timeImport(gate, 'text/csv', csv)
  await gate.stop()
  stop()
}
process.exit(0)

async function timeImport(gate: TestGate, type: string, raw: string): Promise<void> {
  const startedAt = performance.now()
  const headers = { 'content-type': type }
  const answer = await gate.call('POST', '/api/v1/agents/import?keys=true', { raw, headers })
  if (answer.status !== 201) throw new Error(`import answered ${answer.status}: ${answer.text}`)
  const ms = Math.round(performance.now() - startedAt)
  console.log(`  import of ${AGENTS} with keys, ${type}, ${raw.length} bytes: ${ms} ms`)
}

async function timeList(gate: TestGate, filter: string): Promise<void> {
  const times: number[] = []
  for (let n = 0; n < ROUNDS; n++) {
    const startedAt = performance.now()
    const answer = await gate.call('GET', `/api/v1/agents?${filter}`)
    if (answer.status !== 200) throw new Error(`${filter} answered ${answer.status}`)
    times.push(performance.now() - startedAt)
  }
  times.sort((a, b) => a - b)
  const at = (share: number) => (times[Math.floor((times.length - 1) * share)] ?? 0).toFixed(1)
  console.log(`  list ${filter.padEnd(32)} p50 ${at(0.5)} ms  p99 ${at(0.99)} ms`)
}
