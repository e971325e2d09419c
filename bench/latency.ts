// How long the things take that people wait for: the kill switch over three replicas, an approval until
// its upstream call, a decision until 1,000 subscribers have it. One PostgreSQL, gates in this
// process, so the figures include everything three gates cost one machine.
import http from 'node:http'
import { PostgresServer } from '../test/support/database.ts'
import { ADMIN, TestGate } from '../test/support/gate.ts'
import { reply, TestUpstream } from '../test/support/upstream.ts'

const ROUNDS = 40
const SUBSCRIBERS = 1_000
const SSE_ROUNDS = 20
const UPDATE = { tool: 'items.update', args: { id: 'i-1', note: 'n' } }

const server = await PostgresServer.start()
const upstream = await TestUpstream.start()
upstream.behave = (_effect, res) => reply(res, 200, {})
const databaseUrl = await server.createDatabase()
const env = { LOG_LEVEL: 'warn', STREAMS_PER_KEY: String(SUBSCRIBERS) }
const gates: TestGate[] = []
for (let n = 0; n < 3; n++) gates.push(await TestGate.start({ databaseUrl, upstream, env }))
const [gate] = gates as [TestGate, TestGate, TestGate]
const key = await gate.agent('bench')

report('kill switch: until the 200, 3 replicas', await killSwitch())
report('approval: until the upstream call', await approvals())
report(`SSE: decision until ${SUBSCRIBERS} subscribers have it`, await subscribers())
console.log(
  `memory: ${Math.round(process.memoryUsage().rss / 2 ** 20)} MB RSS, three gates in one process`,
)

for (const one of gates) await one.stop()
await upstream.stop()
server.stop()
process.exit(0)

async function killSwitch(): Promise<number[]> {
  const times: number[] = []
  for (let n = 0; n < ROUNDS; n++) {
    const startedAt = performance.now()
    const { status } = await kill(true)
    if (status !== 200) throw new Error(`the kill switch answered ${status}`)
    times.push(performance.now() - startedAt)
    await kill(false)
  }
  return times
}

function kill(engaged: boolean) {
  return gate.call('PUT', '/kill-switch', { body: { engaged, reason: 'bench' } })
}

async function approvals(): Promise<number[]> {
  const times: number[] = []
  for (let n = 0; n < ROUNDS; n++) {
    const held = await gate.act(key, { tool: 'items.delete', args: { id: `d-${n}` } })
    const called = new Promise<number>((resolve) => {
      upstream.behave = (_effect, res) => {
        resolve(performance.now())
        reply(res, 200, {})
      }
    })
    const startedAt = performance.now()
    await gate.call('POST', `/approvals/${held.body.approval.id}/approve`, { body: {} })
    times.push((await called) - startedAt)
  }
  return times
}

async function subscribers(): Promise<number[]> {
  let waiting = 0
  let all = () => {}
  const agent = new http.Agent({ maxSockets: SUBSCRIBERS })
  const opened: Promise<void>[] = []
  for (let n = 0; n < SUBSCRIBERS; n++)
    opened.push(subscribe(agent, () => --waiting === 0 && all()))
  await Promise.all(opened)
  const times: number[] = []
  for (let n = 0; n < SSE_ROUNDS; n++) {
    waiting = SUBSCRIBERS
    const received = new Promise<void>((resolve) => {
      all = resolve
    })
    const { body } = await gate.act(key, { ...UPDATE, dry_run: true })
    const decidedAt = performance.now()
    if (!body.decision) throw new Error('no decision')
    await received
    times.push(Math.max(0, performance.now() - decidedAt))
  }
  agent.destroy()
  return times
}

function subscribe(agent: http.Agent, onDecision: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const url = `${gate.gate.url}/events?types=decision`
    http
      .get(url, { agent, headers: { 'x-api-key': ADMIN } }, (res) => {
        res.on('data', (chunk: Buffer) => {
          const text = chunk.toString()
          if (text.startsWith('retry:')) resolve()
          if (text.includes('event: decision')) onDecision()
        })
      })
      .on('error', reject)
  })
}

function report(name: string, times: readonly number[]): void {
  const sorted = [...times].sort((a, b) => a - b)
  const at = (share: number) => (sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(1)
  console.log(`${name.padEnd(48)} p50 ${at(0.5)} ms  p99 ${at(0.99)} ms  (${times.length})`)
}
