// POST /act over HTTP, durable audit included: throughput at 64 connections, what the gate adds to a
// direct call at 500 requests a second, and the same as a dry run. Gate, upstream and load
// generator are three processes on one machine, so the numbers are for sharing its cores.
import { databases, run, startProcess, writeBenchPolicies, type BenchDatabase } from './support.ts'

const SECONDS = Number(process.argv[2] ?? 10)
const ACT = { tool: 'items.update', args: { id: 'i-1', note: 'x'.repeat(200) }, reason: 'bench' }

const upstream = await startProcess('upstream-process.mjs', {})
const bare = await startProcess('bare-proxy-process.mjs', { UPSTREAM: upstream.url })
row(
  'Express + undici, no gate, 64 connections',
  await run({ url: bare.url, body: ACT, connections: 64, seconds: SECONDS }),
)
bare.child.disconnect()
const direct = await run({
  url: `${upstream.url}/items/i-1`,
  method: 'PATCH',
  body: { note: ACT.args.note },
  connections: 16,
  seconds: SECONDS,
  rate: 500,
})
row('direct call, 500/s', direct)
for (const database of await databases(true)) await measure(database)
upstream.child.disconnect()

async function measure(database: BenchDatabase): Promise<void> {
  const gate = await startProcess('gate-process.mjs', {
    ...database.env,
    POLICY_DIR: writeBenchPolicies(),
    TICKETING_API_URL: upstream.url,
  })
  const key = gate.info['key'] ?? ''
  const act = { url: `${gate.url}/act`, key, body: ACT }
  await run({ ...act, connections: 64, seconds: 3 }) // warm
  row(
    `${database.name}: act, 64 connections`,
    await run({ ...act, connections: 64, seconds: SECONDS }),
  )
  row(
    `${database.name}: dry run, 64 connections`,
    await run({ ...act, body: { ...ACT, dry_run: true }, connections: 64, seconds: SECONDS }),
  )
  const paced = await run({ ...act, connections: 16, seconds: SECONDS, rate: 500 })
  row(`${database.name}: act, 500/s`, paced)
  const added = (p: 'p50' | 'p99') => (paced.latency[p] - direct.latency[p]).toFixed(1)
  console.log(
    `${database.name}: added to a direct call: p50 ${added('p50')} ms, p99 ${added('p99')} ms`,
  )
  gate.child.disconnect()
  await new Promise((resolve) => gate.child.once('exit', resolve))
  database.stop()
}

function row(name: string, result: Awaited<ReturnType<typeof run>>): void {
  const { latency, requests, non2xx, errors } = result
  const cells = [
    `${Math.round(requests.average)}/s`,
    `p50 ${latency.p50} ms`,
    `p99 ${latency.p99} ms`,
    `not 2xx ${non2xx}`,
    `errors ${errors}`,
  ]
  console.log(`${name.padEnd(42)} ${cells.join('  ')}`)
}
