// How long it takes to decide recorded actions again, and what the gate's callers notice of it. A gate on PostgreSQL, compiled
// and in a process of its own, takes some thousand actions; they are copied in the database until there are as many as
// asked for (entries before the first, so that the chain goes on as it was). Then, in turn, a stretch of requests at an
// even rate without a replay and one while a replay of them all runs, so that both see the same machine.
//   npm run bench:replay [decisions] [rounds]
import fs from 'node:fs'
import path from 'node:path'
import pg from 'pg'
import { Agent, request } from 'undici'
import { PostgresServer } from '../test/support/database.ts'
import { scratch } from '../test/support/scratch.ts'
import { freePort, GateProcess } from '../test/support/gate-process.ts'
import { ADMIN } from '../test/support/gate.ts'
import { GATE, TOOLS, writePolicies } from '../test/support/policies.ts'
import { cpuUs } from './cpu.ts'

const DECISIONS = Number(process.argv[2] ?? 100_000)
const ROUNDS = Number(process.argv[3] ?? 3)
const REAL = Math.min(2_000, DECISIONS)
const RATE_PER_S = 50
const AT_ONCE = 32
const QUIET_MS = 10_000
const LOOK_MS = 100
const DRY_RUN = { tool: 'items.list', args: {}, dry_run: true }
const RULES = `${GATE}guards:
  - { id: few, kind: bulk_limit, tools: [items.update], windows: [{ count: actions, limit: 1000000, per_s: 3600, scope: agent }] }
  - { id: risky, kind: risk_patterns, patterns: [{ name: drop, pattern: 'drop\\s+table' }] }
budgets:
  - { id: money, limit: '1000000', period: month, scope: agent }
`
const REGO = `package agent

deny contains "not that note" if input.action.properties.args.note == "bad"
`
const FILES = { 'gate.yaml': RULES, 'tools.yaml': TOOLS, 'agent.rego': REGO }

const policyDir = path.join(scratch('bench'), 'policies')
writePolicies(policyDir, FILES)
const dataDir = scratch('bench-data')
const server = await PostgresServer.start()
const databaseUrl = await server.createDatabase()
const gate = new GateProcess(await freePort(), {
  DATA_DIR: dataDir,
  POLICY_DIR: policyDir,
  LOG_FILE: path.join(dataDir, 'app.log'),
  TICKETING_API_URL: 'http://127.0.0.1:9', // nothing is sent: what is decided is what is measured
  DATABASE_URL: databaseUrl,
})
await gate.start()
const dispatcher = new Agent({ connections: AT_ONCE })
const { api_key: key } = (await call('POST', '/api/v1/agents', {
  name: 'bench',
  roles: ['worker'],
})) as {
  api_key: string
}
await fill()

const quiet: number[] = []
const busy: number[] = []
let [quietCpu, busyCpu, quietMs, busyMs] = [0, 0, 0, 0]
const takes: number[] = []
const peaks: number[] = []
const idleMb = rssMb()
let report: Record<string, number> = {}
for (let round = 0; round < ROUNDS; round++) {
  const before = await stretch(() => pause(QUIET_MS))
  quiet.push(...before.waits)
  quietCpu += before.cpu
  quietMs += before.ms
  const during = await stretch(replayAll)
  busy.push(...during.waits)
  busyCpu += during.cpu
  busyMs += during.ms
}
console.log(`${DECISIONS} decisions, ${ROUNDS} rounds; ${JSON.stringify(report)}`)
console.log(`replay            ${takes.map((ms) => (ms / 1000).toFixed(1)).join(', ')} s`)
console.log(`memory            ${idleMb} MB before, at most ${peaks.join(', ')} MB during`)
console.log(`requests without  ${figures(quiet)}, gate CPU ${share(quietCpu, quietMs)}`)
console.log(
  `requests during   ${figures(busy)}, gate CPU ${share(busyCpu, busyMs)} with the replay's thread`,
)
await gate.kill('SIGTERM')
server.stop()
process.exit(0)

async function fill(): Promise<void> {
  let next = 0
  const worker = async () => {
    for (let n = next++; n < REAL; n = next++) {
      const args = { id: `i-${n}`, note: n % 10 === 0 ? 'bad' : `note ${n}` }
      await send('POST', '/act', { tool: 'items.update', args, cost: '0.01' }, key)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  const copies = Math.ceil(DECISIONS / REAL) - 1
  const { rows } = await client.query<{ list: string }>(
    `select string_agg(column_name, ', ') as list from information_schema.columns
     where table_name = 'actions' and column_name not in ('id', 'idempotency_key')`,
  )
  for (let copy = 1; copy <= copies; copy++) {
    await client.query(
      `insert into actions (id, ${rows[0]?.list}) select id || '-' || $1, ${rows[0]?.list}
       from actions where id not like '%-%'`,
      [copy],
    )
    await client.query(
      `insert into audit_entries (seq, at, kind, agent_id, tool, effect, action_id, body, prev_hash, hash)
       select -seq - $1::bigint * 1000000, at, kind, agent_id, tool, effect, action_id || '-' || $1, body, prev_hash, hash
       from audit_entries where kind = 'decision' and seq > 0 and action_id <> ''`,
      [copy],
    )
  }
  await client.query('vacuum analyze')
  await client.end()
}

async function replayAll(): Promise<void> {
  const files = { ...FILES, 'agent.rego': REGO.replace('"bad"', '"worse"') }
  const { id } = (await call('POST', '/policy/replays', { files })) as { id: string }
  let peak = 0
  for (;;) {
    peak = Math.max(peak, rssMb())
    const one = (await call('GET', `/policy/replays/${id}`)) as Record<string, string | null>
    if (one['finished_at']) {
      if (one['error']) throw new Error(one['error'])
      takes.push(Date.parse(one['finished_at']) - Date.parse(one['started_at'] ?? ''))
      const { decisions, same, new_allow } = one['report'] as unknown as Record<string, number>
      report = { decisions: decisions ?? 0, same: same ?? 0, new_allow: new_allow ?? 0 }
      break
    }
    await pause(LOOK_MS)
  }
  peaks.push(peak)
}

/** Requests at an even rate while `work` lasts. */
async function stretch(work: () => Promise<void>) {
  const waits: number[] = []
  const pending = new Set<Promise<void>>()
  const pace = setInterval(() => {
    const startedAt = performance.now()
    const one = send('POST', '/act', DRY_RUN, key)
      .then(() => void waits.push(performance.now() - startedAt))
      .finally(() => pending.delete(one))
    pending.add(one)
  }, 1_000 / RATE_PER_S)
  const [startedAt, cpuAt] = [performance.now(), cpuUs(gate.pid)]
  await work()
  const [ms, cpu] = [performance.now() - startedAt, cpuUs(gate.pid) - cpuAt]
  clearInterval(pace)
  await Promise.all(pending)
  return { waits, ms, cpu }
}

async function send(method: 'GET' | 'POST', route: string, body: unknown, as: string) {
  const answer = await request(`${gate.url}${route}`, {
    method,
    dispatcher,
    headers: { 'x-api-key': as, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return { status: answer.statusCode, text: await answer.body.text() }
}

async function call(method: 'GET' | 'POST', route: string, body?: unknown): Promise<unknown> {
  const { status, text } = await send(method, route, body, ADMIN)
  if (status >= 300) throw new Error(`${route} answered ${status}: ${text}`)
  return JSON.parse(text)
}

function rssMb(): number {
  const [, kb = '0'] =
    /VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${gate.pid}/status`, 'utf8')) ?? []
  return Math.round(Number(kb) / 1024)
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

function share(cpu: number, ms: number): string {
  return `${Math.round(cpu / ms / 10)} % of one core`
}

function figures(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (part: number) => (sorted[Math.floor((sorted.length - 1) * part)] ?? 0).toFixed(1)
  return `${values.length}: p50 ${at(0.5)} ms  p99 ${at(0.99)} ms  max ${at(1)} ms`
}
