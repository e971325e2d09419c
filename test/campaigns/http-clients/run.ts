import { execFile } from 'node:child_process'
import fs from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { isDeepStrictEqual, promisify } from 'node:util'
import { TestGate } from '../../support/gate.ts'

// Clients of HTTP APIs, unchanged: each makes its calls straight to a server that records what arrives, and then the same
// through the gate. What has a meaning must be the same: method, path, query, types and content of bodies, and the headers
// that a policy passes. `npm run campaign:http-clients` installs them into a folder of their own.

const HERE = import.meta.dirname
const KEY = 'sk_test_of_the_api_itself'
const COMPARED = [
  'accept',
  'accept-language',
  'authorization',
  'stripe-version',
  'x-github-api-version',
]
/** Anything at all, and what the gate says in place of that: anything, and JSON rather than something else. */
const ANY: ReadonlySet<string> = new Set(['*/*', '*', 'application/json, */*;q=0.5'])
const GATE = `
version: 1
environment: test
permissions:
  - { roles: [worker], tools: ["*"], effect: allow }
rate_limits:
  - { limit: 100000, per_s: 1 }
`

type Client = (to: { readonly at: string; readonly key: string }) => Promise<void>

/** A server that takes everything, and remembers what it means. */
class Recorder {
  readonly seen: unknown[] = []
  readonly server = http.createServer((req, res) => void this.#take(req, res))

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  async #take(req: http.IncomingMessage, res: http.ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of req as AsyncIterable<Buffer>) chunks.push(chunk)
    const body = Buffer.concat(chunks)
    this.seen.push(await meaning(req, body))
    if (body.includes('"stream":true')) return sendStream(res)
    res.setHeader('content-type', 'application/json')
    res.end('{"ok":true,"id":"x","object":"list","data":[],"channels":[]}')
  }
}

function sendStream(res: http.ServerResponse): void {
  res.setHeader('content-type', 'text/event-stream')
  for (const content of ['hel', 'lo']) {
    res.write(`data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`)
  }
  res.end('data: [DONE]\n\n')
}

async function meaning(req: http.IncomingMessage, body: Buffer): Promise<unknown> {
  const url = new URL(req.url ?? '', 'http://x')
  const headers = COMPARED.flatMap((name) => {
    const value = req.headers[name]
    if (value === undefined || ANY.has(String(value))) return []
    // The credential is the gate's, in the scheme of the policy.
    const said = String(value)
    return [[name, name === 'authorization' ? said.replace(/^\S+ /, '') : said]]
  })
  return {
    method: req.method,
    path: decodeURIComponent(url.pathname),
    query: [...url.searchParams].map(String).sort(),
    headers: Object.fromEntries(headers) as unknown,
    body: await contentOf(req.headers['content-type'] ?? '', body),
  }
}

async function contentOf(type: string, body: Buffer): Promise<unknown> {
  if (body.length === 0) return null
  if (type.startsWith('application/json')) return JSON.parse(String(body)) as unknown
  if (type.startsWith('application/x-www-form-urlencoded')) {
    // A list that counts its items says the same as one that does not.
    const pairs = [...new URLSearchParams(String(body))]
    return pairs.map(([name, text]) => `${name.replace(/\[\d*\]$/, '[]')}=${text}`).sort()
  }
  if (!type.startsWith('multipart/form-data')) return String(body)
  const form = await new Response(new Uint8Array(body), {
    headers: { 'content-type': type },
  }).formData()
  const parts = await Promise.all(
    [...form].map(async ([name, part]) =>
      typeof part === 'string' ? [name, part] : [name, part.name, part.type, await part.text()],
    ),
  )
  return parts.map(String).sort()
}

async function record(recorder: Recorder, client: Client, to: { at: string; key: string }) {
  recorder.seen.length = 0
  await client(to)
  return [...recorder.seen]
}

const python: Client = async ({ at, key }) => {
  await promisify(execFile)('python3', [path.join(HERE, 'python.py'), at, key])
}

const MODULE = './clients.mjs'
const { CLIENTS } = (await import(MODULE)) as {
  readonly CLIENTS: Readonly<Record<string, Client>>
}
const recorder = new Recorder()
const straight = await recorder.start()
const gate = await TestGate.start({
  policies: {
    'tools.yaml': fs.readFileSync(path.join(HERE, 'tools.yaml'), 'utf8'),
    'gate.yaml': GATE,
  },
  env: { TICKETING_API_URL: straight, API_KEY_OF_THE_API: KEY },
})
const agent = await gate.agent('campaign')
let different = 0
for (const [name, client] of Object.entries({ ...CLIENTS, 'python urllib': python })) {
  try {
    const direct = await record(recorder, client, { at: straight, key: KEY })
    const through = await record(recorder, client, { at: `${gate.gate.url}/proxy/api`, key: agent })
    const isSame = direct.length > 0 && isDeepStrictEqual(direct, through)
    if (!isSame) different++
    console.log(`${isSame ? 'same     ' : 'DIFFERENT'} ${name}: ${direct.length} calls`)
    if (!isSame) console.log(JSON.stringify({ direct, through }, null, 1))
  } catch (error) {
    different++
    console.log(`FAILED    ${name}: ${(error as Error).message}`)
  }
}
await gate.stop()
recorder.server.close()
console.log(
  different === 0 ? 'every client means the same through the gate' : `${different} clients differ`,
)
process.exit(different === 0 ? 0 : 1)
