// What an action costs, beside what a bare proxy costs: an Express server that parses JSON and forwards it
// with undici, and records nothing. All variants run in one process each, for a few seconds in turn, round
// after round, so that what else the machine does meets all of them. Ratios are of one round; CPU is per
// request and process, from /proc. Paced load is even: one request every 1/rate seconds.
//
//   npm run bench [-- --rounds 5 --seconds 4 --only NAME --unpaced --against DIR]
//   DIR: another checkout, built, as further variants
import path from 'node:path'
import { parseArgs } from 'node:util'
import { fork, type ChildProcess } from 'node:child_process'
import { cpuUs, treeCpuUs } from './cpu.ts'
import { databases, startProcess, writeBenchPolicies, type BenchDatabase } from './support.ts'

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    against: { type: 'string' },
    only: { type: 'string' },
    unpaced: { type: 'boolean', default: false },
  },
})
const ROUNDS = Number(options.rounds)
const SECONDS = Number(options.seconds)
const CONNECTIONS = 64
/** `PROFILE_DIR=DIR`: each gate leaves a CPU profile there. */
const PROFILED = process.env['PROFILE_DIR'] ? { PROFILE_DIR: process.env['PROFILE_DIR'] } : {}
/** How many agents act in turn in one of the variants. */
const AGENTS = '4000'
const ARGS = { id: 'i-1', note: 'x'.repeat(200) }
const ACT = { tool: 'items.update', args: ARGS, reason: 'bench' }

interface Variant {
  readonly name: string
  readonly url: string
  readonly request: Pick<Job, 'method' | 'path' | 'body' | 'headers'>
  readonly pid: number
  /** Whose requests they are in turn, where not all are of one agent. */
  readonly keys?: readonly string[]
  /** CPU of its database so far, in microseconds. */
  readonly databaseUs: () => number
}

interface Job {
  readonly url: string
  readonly method: string
  readonly path: string
  readonly headers: Record<string, string>
  readonly body: string
  readonly keys?: readonly string[]
  readonly connections: number
  readonly seconds: number
  readonly rate?: number
}

interface Answered {
  readonly requests: number
  readonly ms: number
  readonly cpuUs: number
  readonly p50: number
  readonly p99: number
  readonly bad: number
  readonly errors: number
}

type Round = Record<'rate' | 'gate' | 'database' | 'upstream' | 'client', number> & {
  readonly failed: number
}

const client = fork(path.join(import.meta.dirname, 'load-process.mjs'))
const upstream = await startProcess('upstream-process.mjs', {})
const bare = await startProcess('bare-proxy-process.mjs', { UPSTREAM: upstream.url })
const stops: (() => void)[] = [() => client.disconnect()]
const json = { 'content-type': 'application/json' }

const direct = {
  url: upstream.url,
  request: {
    method: 'PATCH',
    path: '/items/i-1',
    headers: json,
    body: JSON.stringify({ note: ARGS.note }),
  },
}
const variants: Variant[] = [
  {
    name: 'bare Express proxy',
    url: bare.url,
    request: { method: 'POST', path: '/', headers: json, body: JSON.stringify(ACT) },
    pid: pidOf(bare.child),
    databaseUs: () => 0,
  },
  ...(await gateVariants('', {})),
  ...(options.against ? await gateVariants('against: ', { GATE_ROOT: options.against }) : []),
].filter(({ name }) => !options.only || name.startsWith('bare') || name.includes(options.only))

for (const variant of variants) await ask(variant, { seconds: SECONDS }) // warm
const rounds = new Map<string, Round[]>(variants.map(({ name }) => [name, []]))
for (let round = 0; round < ROUNDS; round++) {
  for (const variant of variants) rounds.get(variant.name)?.push(await measured(variant))
}
table()
for (const rate of options.unpaced ? [] : [500, 50]) await paced(rate)
for (const stop of stops) stop()
upstream.child.disconnect()
bare.child.disconnect()

async function gateVariants(prefix: string, env: Record<string, string>): Promise<Variant[]> {
  const all: Variant[] = []
  for (const database of await databases(env['GATE_ROOT'] === undefined)) {
    const isServer = database.pid !== undefined
    const gate = await startProcess('gate-process.mjs', {
      ...(isServer ? { AGENTS } : {}),
      ...{ ...env, ...database.env, ...PROFILED },
      POLICY_DIR: writeBenchPolicies(),
      TICKETING_API_URL: upstream.url,
    })
    stops.push(() => gate.child.disconnect(), database.stop)
    all.push(...variantsOf(`${prefix}${database.name}: `, gate, database))
  }
  return all
}

function variantsOf(
  prefix: string,
  gate: Awaited<ReturnType<typeof startProcess>>,
  { pid }: BenchDatabase,
): Variant[] {
  const headers = { ...json, 'x-api-key': gate.info['key'] ?? '' }
  const databaseUs = () => (pid === undefined ? 0 : treeCpuUs(pid))
  const of = (name: string, request: Pick<Job, 'method' | 'path' | 'body'>): Variant => ({
    ...{ name: `${prefix}${name}`, url: gate.url, pid: pidOf(gate.child), databaseUs },
    request: { ...request, headers },
  })
  const act = (body: object) => ({ method: 'POST', path: '/act', body: JSON.stringify(body) })
  const keys = gate.info['keys'] as unknown as readonly string[]
  const proxied = JSON.stringify({ note: ARGS.note })
  return [
    of('/act', act(ACT)),
    ...(keys.length > 0 ? [{ ...of(`/act, ${AGENTS} agents`, act(ACT)), keys }] : []),
    of('/act, dry run', act({ ...ACT, dry_run: true })),
    of('/proxy', { method: 'PATCH', path: '/proxy/bench/items/i-1', body: proxied }),
  ]
}

function pidOf({ pid }: ChildProcess): number {
  if (pid === undefined) throw new Error('the process did not start')
  return pid
}

async function ask(
  { url, request, keys }: Pick<Variant, 'url' | 'request' | 'keys'>,
  load: { readonly seconds: number; readonly rate?: number; readonly connections?: number },
): Promise<Answered> {
  const job: Job = { connections: CONNECTIONS, url, ...request, ...(keys ? { keys } : {}), ...load }
  client.send(job)
  return new Promise((resolve) => {
    client.once('message', (message) => resolve(message as Answered))
  })
}

async function measured(variant: Variant): Promise<Round> {
  const usedUs = () => ({
    gate: cpuUs(variant.pid),
    database: variant.databaseUs(),
    upstream: cpuUs(pidOf(upstream.child)),
  })
  const before = usedUs()
  const answered = await ask(variant, { seconds: SECONDS })
  const after = usedUs()
  const per = (part: keyof typeof before) => (after[part] - before[part]) / answered.requests
  return {
    rate: answered.requests / (answered.ms / 1000),
    ...{ gate: per('gate'), database: per('database'), upstream: per('upstream') },
    client: answered.cpuUs / answered.requests,
    failed: answered.bad + answered.errors,
  }
}

function table(): void {
  const bareRounds = rounds.get('bare Express proxy') ?? []
  console.log(`64 connections, medians of ${ROUNDS} rounds of ${SECONDS} s; CPU in us a request`)
  console.log(
    row('', ['a second', 'gate', 'database', 'upstream', 'client', 'all', 'to the bare proxy']),
  )
  for (const [name, mine] of rounds) {
    const column = (of: (round: Round) => number) => String(Math.round(median(mine.map(of))))
    const ratios = mine.map(({ rate }, index) => rate / (bareRounds[index]?.rate ?? Number.NaN))
    const failed = mine.reduce((sum, one) => sum + one.failed, 0)
    const spread = `${median(ratios).toFixed(2)} [${Math.min(...ratios).toFixed(2)}-${Math.max(...ratios).toFixed(2)}]`
    console.log(
      row(name, [
        column(({ rate }) => rate),
        column(({ gate }) => gate),
        column(({ database }) => database),
        column(({ upstream: up }) => up),
        column(({ client: own }) => own),
        column((one) => one.gate + one.database + one.upstream + one.client),
        spread,
        ...(failed > 0 ? [`${failed} failed`] : []),
      ]),
    )
  }
}

async function paced(rate: number): Promise<void> {
  const load = { seconds: SECONDS * 2, rate, connections: 16 }
  const plain = await ask(direct, load)
  console.log(
    `\nevenly ${rate} a second: direct p50 ${plain.p50.toFixed(2)} ms, p99 ${plain.p99.toFixed(2)} ms; added:`,
  )
  for (const variant of variants.filter(({ name }) => name.endsWith('/act'))) {
    const { p50, p99, bad, errors } = await ask(variant, load)
    const added = [p50 - plain.p50, p99 - plain.p99].map((ms) => ms.toFixed(2))
    console.log(
      row(variant.name, [
        `p50 ${added[0]}`,
        `p99 ${added[1]}`,
        ...(bad + errors ? [`${bad + errors} failed`] : []),
      ]),
    )
  }
}

function row(name: string, cells: readonly string[]): string {
  return name.padEnd(38) + cells.map((cell) => cell.padStart(12)).join('')
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
