import { spawn } from 'node:child_process'
import fs from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { TestGate, until } from '../../support/gate.ts'
import { GATE, TOOLS } from '../../support/policies.ts'
import { scratch } from '../../support/scratch.ts'
import { pinKey, writePins, type Pin } from '../../../src/bundle/pins.ts'
import type { JsonObject } from '../../../src/model/json.ts'
import { ConformanceFixture } from './fixture.ts'

// The protocol's own conformance suite, against a server of ours and against the gate in front of it: nothing that passes
// directly may fail through the gate. `npm run campaign:mcp` installs the suite, and the Node that it needs, into this folder;
// with `--write` the table of docs/mcp-conformance.md is written anew.

const HERE = import.meta.dirname
const BIN = path.join(HERE, 'node_modules', 'node', 'bin')
const SUITE = path.join(HERE, 'node_modules', '@modelcontextprotocol', 'conformance')
const PAGE = path.join(HERE, '..', '..', '..', 'docs', 'mcp-conformance.md')
const SCENARIO_MS = 600_000

type Status = 'passed' | 'failed' | 'skipped'
type Results = ReadonlyMap<string, { readonly status: Status; readonly why: string }>

interface Run {
  readonly revision: string
  /** How the suite is told which scenarios. */
  readonly args: readonly string[]
  readonly era: 'legacy' | 'modern'
}

const RUNS: readonly Run[] = [
  { revision: '2025-06-18', args: ['--spec-version', '2025-06-18'], era: 'legacy' },
  { revision: '2025-11-25', args: ['--requirements', '2025-11-25'], era: 'legacy' },
  { revision: '2026-07-28', args: ['--requirements', '2026-07-28'], era: 'modern' },
]

const say = (line: string): void => void process.stdout.write(`${line}\n`)

/** The suite has no header for a key: this adds it, and changes nothing else. */
async function withKey(target: string, key: string): Promise<{ url: string; stop: () => void }> {
  const { port, hostname } = new URL(target)
  const server = http.createServer((req, res) => {
    const headers = { ...req.headers, 'x-api-key': key }
    const { method, url: asked } = req
    const passed = http.request({ hostname, port, method, path: asked, headers }, (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(res)
      answer.on('error', () => res.destroy())
    })
    passed.on('error', () => res.destroy())
    res.on('close', () => passed.destroy())
    req.pipe(passed)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url, stop: () => server.closeAllConnections() }
}

async function suite(url: string, { args }: Run): Promise<Results> {
  const out = scratch('conformance')
  const { bin } = JSON.parse(fs.readFileSync(path.join(SUITE, 'package.json'), 'utf8')) as {
    bin: Record<string, string>
  }
  const program = path.join(SUITE, Object.values(bin)[0] ?? '')
  const child = spawn(
    path.join(BIN, 'node'),
    [program, 'server', '--url', url, ...args, '-o', out],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
      timeout: SCENARIO_MS,
    },
  )
  await new Promise((resolve) => child.once('close', resolve))
  return resultsIn(out)
}

interface Check {
  readonly id: string
  readonly status: 'SUCCESS' | 'FAILURE' | 'WARNING' | 'SKIPPED' | 'INFO'
  readonly errorMessage?: string
}

/** A folder a scenario: `server-<scenario>-<time>/checks.json`. */
function resultsIn(out: string): Results {
  const results = new Map<string, { status: Status; why: string }>()
  for (const file of fs.readdirSync(out, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('checks.json')) continue
    const checks = JSON.parse(fs.readFileSync(path.join(out, file), 'utf8')) as readonly Check[]
    const name = path
      .basename(path.dirname(file))
      .replace(/^server-/, '')
      .replace(/-\d{4}-\d\d-\d\dT.*$/, '')
    const failed = checks.filter(({ status }) => status === 'FAILURE')
    const isSkipped = checks.every(({ status }) => status === 'SKIPPED')
    const why = failed.map(({ id, errorMessage = '' }) => `${id}: ${errorMessage}`).join('; ')
    results.set(name, {
      status: failed.length > 0 ? 'failed' : isSkipped ? 'skipped' : 'passed',
      why,
    })
  }
  return results
}

async function startGate(fixture: string): Promise<{ gate: TestGate; key: string }> {
  const upstreams = ['legacy', 'modern'].map(
    (era) => `  ${era}: { mcp: { url: "${fixture}/${era}" }, timeout_ms: 30000 }\n`,
  )
  const exposed = (globs: readonly string[]) => JSON.stringify(globs)
  const tools = `${TOOLS.replace('tools:\n', `${upstreams.join('')}tools:\n`)}
mcp:
  resources: ${exposed(['legacy:test://**', 'modern:test://**'])}
  prompts: ${exposed(['legacy:test_*', 'modern:test_*'])}
  tools: { 'legacy:*': { effect: read }, 'modern:*': { effect: read } }
`
  const may = '  - { roles: [worker], tools: ["mcp.*"], effect: allow }\nrate_limits:'
  const policies = { 'tools.yaml': tools, 'gate.yaml': GATE.replace('rate_limits:', may) }
  const gate = await TestGate.start({ policies })
  const pins = await pinsOf(gate)
  fs.writeFileSync(path.join(gate.policyDir, 'mcp-pins.json'), pins)
  const { status, text } = await gate.call('POST', '/policy/reload', { body: {} })
  if (status !== 200) throw new Error(text)
  return { gate, key: await gate.agent('conformance') }
}

async function pinsOf(gate: TestGate): Promise<string> {
  let servers: readonly {
    name: string
    tools: readonly { name: string; listed: string; definition: JsonObject }[]
  }[] = []
  await until('both are listed', async () => {
    servers = (await gate.call('GET', '/mcp-servers?look=true')).body.servers
    return servers.every(({ tools }) => tools.length > 0)
  })
  const pins = servers.flatMap(({ name, tools }) =>
    tools.map(({ name: tool, listed, definition }): [string, Pin] => {
      const pin = {
        hash: listed,
        tool: definition,
        first_seen: '2026-11-28T00:00:00Z',
        by: 'campaign',
      }
      return [pinKey(name, tool), pin]
    }),
  )
  return writePins(Object.fromEntries(pins))
}

const rows: string[] = []
const lost: string[] = []
const fixture = new ConformanceFixture()
const direct = await fixture.start()
const { gate, key } = await startGate(direct)
const front = await withKey(gate.gate.url, key)
for (const run of RUNS) {
  const before = await suite(`${direct}/${run.era}`, run)
  const behind = await suite(`${front.url}/mcp/${run.era}`, run)
  const count = (results: Results) =>
    [...results.values()].filter(({ status }) => status === 'passed').length
  say(
    `${run.revision}: ${count(before)} of ${before.size} directly, ${count(behind)} of ${behind.size} through the gate`,
  )
  for (const name of [...new Set([...before.keys(), ...behind.keys()])].sort()) {
    const [first, second] = [before.get(name), behind.get(name)]
    rows.push(`| ${run.revision} | ${name} | ${first?.status ?? '-'} | ${second?.status ?? '-'} |`)
    // `WHY=<scenario>` says what the suite said of one behind the gate.
    if (process.env['WHY'] === name) say(`${run.revision} ${name}: ${second?.why}`)
    if (first?.status === 'passed' && second?.status !== 'passed') {
      lost.push(`${run.revision} ${name}: ${second?.why ?? 'not run'}`)
    }
  }
}
front.stop()
await gate.stop()
await fixture.stop()
if (process.argv.includes('--write')) writePage()
for (const one of lost) say(`lost: ${one}`)
say(
  lost.length === 0
    ? 'campaign:mcp holds'
    : `campaign:mcp: ${lost.length} pass directly and not through the gate`,
)
process.exit(lost.length === 0 ? 0 : 1)

function writePage(): void {
  const text = fs.readFileSync(PAGE, 'utf8')
  const mark = '<!-- scenarios -->'
  const [head = ''] = text.split(mark)
  const table = [
    '| revision | scenario | directly | through the gate |',
    '|---|---|---|---|',
    ...rows,
  ]
  fs.writeFileSync(PAGE, `${head}${mark}\n${table.join('\n')}\n`)
}
