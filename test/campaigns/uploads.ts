import { execFile, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import fs from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { promisify } from 'node:util'
import { prepareEmbedded } from '../support/database.ts'
import { scratch } from '../support/scratch.ts'
import { freePort, GateProcess } from '../support/gate-process.ts'
import { MAKER } from '../support/gate.ts'
import { writePolicies } from '../support/policies.ts'

// Uploads of 1 byte to 200 MB by curl, and a download of 1 GB by a slow reader, through a gate in a process of its own:
// what arrives is what was sent, memory stays flat, and a gate that is killed in the middle of an upload leaves nothing
// that its next start does not sweep.

const SIZES = [1, 1_000, 1 << 20, 10 << 20, 100 << 20, 200 << 20]
const DOWNLOAD_BYTES = 2 ** 30
const GROWTH_BYTES_MAX = 64 << 20
const SAMPLE_MS = 50
const TOOLS = `
version: 1
upstreams:
  api: { base_url: '\${TICKETING_API_URL}', timeout_ms: 60000 }
tools:
  upload:
    upstream: api
    method: POST
    path: /upload
    effect: write
    body: multipart
    body_bytes_max: 300000000
    args: { required: [file], properties: { file: { type: string, format: binary } } }
  download: { upstream: api, method: GET, path: /download, effect: read, response: { bytes_max: 2000000000 }, args: {} }
`
const GATE = `
version: 1
environment: test
permissions:
  - { roles: [worker], tools: ["*"], effect: allow }
rate_limits:
  - { limit: 100000, per_s: 1 }
`
const run = promisify(execFile)
let failures = 0

function check(what: string, isRight: boolean, more = ''): void {
  if (!isRight) failures++
  console.log(`${isRight ? 'ok   ' : 'WRONG'} ${what}${more === '' ? '' : `: ${more}`}`)
}

/** Hashes the one file of each multipart body that arrives, and answers what it is asked. */
class Upstream {
  readonly digests: string[] = []
  readonly server = http.createServer((req, res) => void this.#take(req, res))

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  async #take(req: http.IncomingMessage, res: http.ServerResponse): Promise<void> {
    if (req.url === '/download') return download(res)
    const chunks: Buffer[] = []
    for await (const chunk of req as AsyncIterable<Buffer>) chunks.push(chunk)
    const body = Buffer.concat(chunks)
    const end = Buffer.from(
      `\r\n--${/boundary=(.*)$/.exec(req.headers['content-type'] ?? '')?.[1]}--`,
    )
    const file = body.subarray(body.indexOf('\r\n\r\n') + 4, body.lastIndexOf(end))
    this.digests.push(createHash('sha256').update(file).digest('hex'))
    res.end('{}')
  }
}

function download(res: http.ServerResponse): void {
  const chunk = Buffer.alloc(1 << 20, 'x')
  let left = DOWNLOAD_BYTES
  res.writeHead(200, { 'content-length': DOWNLOAD_BYTES })
  const more = (): void => {
    while (left > 0) {
      left -= chunk.length
      if (!res.write(chunk)) return void res.once('drain', more)
    }
    res.end()
  }
  more()
}

const residentBytes = (pid: number): number => {
  const kib = /VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kib) * 1024
}

/** How much more memory a process takes at most while something is done. */
async function growthWhile(pid: number, work: () => Promise<unknown>): Promise<number> {
  const before = residentBytes(pid)
  let most = before
  const timer = setInterval(() => {
    most = Math.max(most, residentBytes(pid))
  }, SAMPLE_MS)
  await work()
  clearInterval(timer)
  return Math.max(most, residentBytes(pid)) - before
}

const mib = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`

const dir = scratch('uploads')
const dataDir = path.join(dir, 'data')
const policyDir = path.join(dir, 'policies')
writePolicies(policyDir, { 'tools.yaml': TOOLS, 'gate.yaml': GATE })
await prepareEmbedded(dataDir)
const upstream = new Upstream()
const gate = new GateProcess(await freePort(), {
  DATA_DIR: dataDir,
  POLICY_DIR: policyDir,
  TICKETING_API_URL: await upstream.start(),
  LOG_FILE: path.join(dir, 'app.log'),
})
await gate.start()
const made = await fetch(`${gate.url}/api/v1/agents`, {
  method: 'POST',
  headers: { 'x-api-key': MAKER, 'content-type': 'application/json' },
  body: JSON.stringify({ name: 'uploader', roles: ['worker'], owner: 'campaign' }),
})
const { api_key: key } = (await made.json()) as { readonly api_key: string }
const curl = (...args: readonly string[]) => ['-sS', '-H', `x-api-key: ${key}`, ...args]
const target = `${gate.url}/proxy/api/upload`
const spooled = (): string[] =>
  fs
    .readdirSync(path.join(dataDir, 'spool'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.includes(path.sep))

const file = path.join(dir, 'file')
const upload = async () => {
  const { stdout } = await run(
    'curl',
    curl('-w', '%{http_code}', '-o', '/dev/null', '-F', `file=@${file}`, target),
  )
  if (stdout !== '200') throw new Error(`the gate answered ${stdout}`)
}
fs.writeFileSync(file, randomBytes(10 << 20))
await upload() // what a process takes for its first is not growth
for (const size of SIZES) {
  const bytes = randomBytes(size)
  fs.writeFileSync(file, bytes)
  upstream.digests.length = 0
  const growth = await growthWhile(gate.pid, upload)
  const isSame = upstream.digests[0] === createHash('sha256').update(bytes).digest('hex')
  check(`${size} bytes arrive as they are`, isSame)
  check(`${size} bytes`, growth <= GROWTH_BYTES_MAX, `${mib(growth)} more memory`)
}
check('the spool is empty', spooled().length === 0)

const slow = () =>
  run('curl', curl('--limit-rate', '120M', '-o', '/dev/null', `${gate.url}/proxy/api/download`))
const growth = await growthWhile(gate.pid, slow)
check(
  `${mib(DOWNLOAD_BYTES)} to a slow reader`,
  growth <= GROWTH_BYTES_MAX,
  `${mib(growth)} more memory`,
)

fs.writeFileSync(file, randomBytes(100 << 20))
const cut = spawn('curl', curl('--limit-rate', '20M', '-F', `file=@${file}`, target), {
  stdio: 'ignore',
})
while (spooled().length === 0) await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS))
await gate.kill()
cut.kill()
check('a gate that is killed leaves its file', spooled().length === 1)
await gate.start()
check('and its next start sweeps it', spooled().length === 0)
await gate.kill('SIGTERM')
upstream.server.closeAllConnections()
upstream.server.close()
console.log(failures === 0 ? 'all as it should be' : `${failures} wrong`)
process.exit(failures === 0 ? 0 : 1)
