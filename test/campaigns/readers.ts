// Many readers of the record, some of which never read: the quick ones get every event once and in
// order, and the gate's memory stays flat because what waits for the others is bounded. The gate runs
// in a process of its own; its resident memory is read from /proc, where there is one.
import { expect } from 'chai'
import fs from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import path from 'node:path'
import { WebSocket } from 'ws'
import { prepareEmbedded } from '../support/database.ts'
import { scratch } from '../support/scratch.ts'
import { freePort, GateProcess } from '../support/gate-process.ts'
import { ADMIN, type Answer, heard, until } from '../support/gate.ts'
import { GATE, writePolicies } from '../support/policies.ts'
import { reply, TestUpstream } from '../support/upstream.ts'

const WS_PATH = '/api/v1/agents/activity/stream'
const OPENED_AT_ONCE = 50
/** Each decision carries this much, so that readers who do not read fall behind at once. */
const NOTE = 'x'.repeat(14_000)
const WARM_UP = 20
/** A reader that is further behind than this many events is not a quick one, whatever the machine does meanwhile. */
const BEHIND_MAX = 60

export interface ReadersOptions {
  readonly sse: number
  readonly webSockets: number
  readonly slow: number
  readonly actions: number
  readonly report?: (line: string) => void
}

export interface ReadersReport {
  readonly events: number
  readonly delivered: number
  readonly slowDropped: number
  /** Resident memory of the gate in MB: with all readers, and the most and the last under load. */
  readonly rssMb: { readonly before: number; readonly peak: number; readonly after: number }
}

export async function readersCampaign(options: ReadersOptions): Promise<ReadersReport> {
  const upstream = await TestUpstream.start()
  upstream.behave = (_effect, res) => reply(res, 200, {})
  const policyDir = path.join(scratch('policies'), 'policies')
  writePolicies(policyDir, { 'gate.yaml': GATE })
  const dataDir = scratch('readers')
  await prepareEmbedded(dataDir)
  const gate = new GateProcess(await freePort(), {
    DATA_DIR: dataDir,
    POLICY_DIR: policyDir,
    TICKETING_API_URL: upstream.url,
    LOG_FILE: path.join(dataDir, 'app.log'),
    STREAMS_PER_KEY: String(options.sse + options.webSockets + options.slow),
    STREAMS_MAX: String(options.sse + options.webSockets + options.slow),
  })
  await gate.start()
  try {
    return await run(gate, options)
  } finally {
    await gate.kill('SIGTERM')
    await upstream.stop()
  }
}

async function run(gate: GateProcess, options: ReadersOptions): Promise<ReadersReport> {
  const { sse, webSockets, slow, actions, report = () => {} } = options
  const key = await agentKey(gate.url)
  const quick = [
    ...(await openAll(sse, () => openSse(gate.url))),
    ...(await openAll(webSockets, () => openWebSocket(gate.url))),
  ]
  const deaf = await openAll(slow, (n) => openDeaf(gate.url, n % 2 === 0))
  report(`${quick.length} quick readers, ${deaf.length} that do not read`)
  await load(gate.url, key, WARM_UP)
  const before = rssMb(gate.pid)
  const from = await auditSize(gate.url)
  let peak = before
  for (let done = 0; done < actions; done += 20) {
    await load(gate.url, key, Math.min(20, actions - done))
    peak = Math.max(peak, rssMb(gate.pid))
    await until('the quick ones are behind by a few events', () =>
      quick.every(({ ids }) => ids.length >= WARM_UP + done - BEHIND_MAX),
    )
  }
  const outcomes = await outcomesAfter(gate.url, from)
  await until('all have it', () => quick.every(({ ids }) => ids.at(-1) === outcomes.at(-1)))
  for (const { ids } of quick) expect(ids.filter((id) => id > from)).to.deep.equal(outcomes)
  await until('the others are cut off', async () => (await dropped(gate.url)) >= deaf.length)
  const slowDropped = await dropped(gate.url)
  const after = rssMb(gate.pid)
  for (const socket of deaf) socket.destroy()
  for (const reader of quick) reader.close()
  const delivered = quick.length * outcomes.length
  return { events: outcomes.length, delivered, slowDropped, rssMb: { before, peak, after } }
}

interface Quick {
  readonly ids: number[]
  close(): void
}

async function openAll<T>(count: number, open: (n: number) => Promise<T>): Promise<T[]> {
  const all: T[] = []
  for (let n = 0; n < count; n += OPENED_AT_ONCE) {
    const batch = Array.from({ length: Math.min(OPENED_AT_ONCE, count - n) }, (_, at) => n + at)
    all.push(...(await Promise.all(batch.map(open))))
  }
  return all
}

function openSse(url: string): Promise<Quick> {
  return new Promise((resolve, reject) => {
    const ids: number[] = []
    const headers = { 'x-api-key': ADMIN }
    const req = http.get(`${url}/events?types=outcome`, { headers, agent: false }, (res) => {
      let rest = ''
      res.setEncoding('utf8').on('data', (chunk: string) => {
        rest += chunk
        for (const [, id] of rest.matchAll(/^id: (\d+)$/gm)) ids.push(Number(id))
        rest = rest.slice(rest.lastIndexOf('\n\n') + 2)
        if (chunk.startsWith('retry:')) resolve({ ids, close: () => req.destroy() })
      })
      res.on('error', () => {})
    })
    req.on('error', reject)
  })
}

function openWebSocket(url: string): Promise<Quick> {
  return new Promise((resolve, reject) => {
    const ids: number[] = []
    const socket = new WebSocket(`${url.replace('http', 'ws')}${WS_PATH}?types=outcome`, {
      headers: { 'x-api-key': ADMIN },
    })
    socket.on('message', (data: Buffer) => {
      ids.push(Number((JSON.parse(data.toString('utf8')) as { id: string }).id))
    })
    socket.on('open', () => resolve({ ids, close: () => socket.terminate() }))
    socket.on('error', reject)
  })
}

/** Asks for every event over one of the two streams, and never reads. */
function openDeaf(url: string, overSse: boolean): Promise<net.Socket> {
  const { hostname, port } = new URL(url)
  const upgrade =
    'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n'
  const head = `GET ${overSse ? '/events' : WS_PATH} HTTP/1.1\r\nHost: x\r\nX-API-Key: ${ADMIN}\r\n`
  return new Promise((resolve) => {
    const socket = net.connect(Number(port), hostname, () => {
      socket.pause()
      socket.write(`${head}${overSse ? '' : upgrade}\r\n`, () => resolve(socket))
    })
    socket.on('error', () => {})
  })
}

async function call(url: string, route: string, key: string, body?: unknown): Promise<Response> {
  return fetch(`${url}${route}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { 'x-api-key': key, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
}

async function answered(...asked: Parameters<typeof call>): Promise<Answer> {
  const response = await call(...asked)
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: JSON.parse(text), text }
}

async function agentKey(url: string): Promise<string> {
  const body = { name: 'noisy', roles: ['worker'] }
  const answer = await heard(() => answered(url, '/api/v1/agents', ADMIN, body))
  return answer.body.api_key
}

async function load(url: string, key: string, actions: number): Promise<void> {
  const body = { tool: 'items.update', args: { id: 'i-1', note: NOTE } }
  const act = async () => {
    const answer = await heard(() => answered(url, '/act', key, body))
    expect(answer.status, answer.text).to.equal(200)
  }
  await Promise.all(Array.from({ length: actions }, act))
}

async function auditSize(url: string): Promise<number> {
  const answer = (await (await call(url, '/state', ADMIN)).json()) as { audit: { size: number } }
  return answer.audit.size
}

async function outcomesAfter(url: string, from: number): Promise<number[]> {
  const seqs: number[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const query: string = cursor === '' ? '' : `&cursor=${cursor}`
    const answer = await call(url, `/audit/timeline?kind=outcome&limit=500${query}`, ADMIN)
    const page = (await answer.json()) as { entries: { seq: number }[]; next_cursor: string | null }
    seqs.push(...page.entries.map(({ seq }) => seq))
    cursor = page.next_cursor
  }
  return seqs.filter((seq) => seq > from).sort((a, b) => a - b)
}

async function dropped(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return Number(/^portcullis_sse_dropped_total (\d+)/m.exec(text)?.[1] ?? 0)
}

function rssMb(pid: number): number {
  const file = `/proc/${pid}/status`
  if (!fs.existsSync(file)) return 0
  const kb = /^VmRSS:\s+(\d+) kB/m.exec(fs.readFileSync(file, 'utf8'))?.[1]
  return Math.round(Number(kb ?? 0) / 1024)
}

if (process.argv[1]?.endsWith('readers.ts')) {
  const report = (line: string) => void process.stdout.write(`${line}\n`)
  const options = { sse: 1_000, webSockets: 1_000, slow: 100, actions: 600, report }
  report(JSON.stringify(await readersCampaign(options)))
  process.exit(0)
}
