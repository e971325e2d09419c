import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { pinKey, writePins, type Pin } from '../../../src/bundle/pins.ts'
import type { JsonObject } from '../../../src/model/json.ts'
import { CLIENTS, type McpClient } from '../../doors/mcp/clients.ts'
import { isAlive } from '../../doors/mcp/stdio.ts'
import { TestGate, until } from '../../support/gate.ts'
import { GATE, TOOLS } from '../../support/policies.ts'
import { scratch } from '../../support/scratch.ts'

// MCP servers as they are published, run by the gate and called by published clients: what they did is looked up where it
// was done. `npm run campaign:mcp-servers` installs them into this folder.

const SERVERS = path.join(import.meta.dirname, 'node_modules', '@modelcontextprotocol')
const program = (name: string) => path.join(SERVERS, `server-${name}`, 'dist', 'index.js')
const say = (text: string): void => void process.stdout.write(`${text}\n`)

const files = fs.realpathSync(scratch('campaign-files'))
const memory = path.join(files, 'memory.json')
const node = process.execPath

const upstreams = {
  files: { mcp: { command: [node, program('filesystem'), files] }, timeout_ms: 60_000 },
  memory: {
    mcp: { command: [node, program('memory')], env: [`MEMORY_FILE_PATH=${memory}`] },
    timeout_ms: 60_000,
  },
  everything: { mcp: { command: [node, program('everything')] }, timeout_ms: 60_000 },
}
const indented = Object.entries(upstreams).map(([name, one]) => `  ${name}: ${JSON.stringify(one)}`)
const tools = `${TOOLS.replace('tools:\n', `${indented.join('\n')}\ntools:\n`)}
mcp: { tools: { 'files:*': { effect: write }, 'memory:*': { effect: write }, 'everything:*': { effect: read } } }
`

interface ListedServer {
  readonly name: string
  readonly error: string | null
  readonly tools: readonly {
    readonly name: string
    readonly listed: string
    readonly definition: JsonObject
  }[]
}

/** Pins everything, as a person would who has looked at it. */
async function pinAll(gate: TestGate): Promise<void> {
  let servers: readonly ListedServer[] = []
  await until('all are listed', async () => {
    servers = (await gate.call('GET', '/mcp-servers?look=true')).body.servers
    return servers.every(({ tools: listed }) => listed.length > 0)
  })
  const pins = servers.flatMap(({ name, tools: listed }) =>
    listed.map((one): [string, Pin] => [
      pinKey(name, one.name),
      {
        hash: one.listed,
        tool: one.definition,
        first_seen: '2026-11-28T00:00:00Z',
        by: 'campaign',
      },
    ]),
  )
  for (const { name, tools: listed } of servers) say(`${name}: ${listed.length} tools`)
  fs.writeFileSync(path.join(gate.policyDir, 'mcp-pins.json'), writePins(Object.fromEntries(pins)))
  const may = '  - { roles: [worker], tools: ["mcp.*"], effect: allow }\nrate_limits:'
  fs.writeFileSync(path.join(gate.policyDir, 'gate.yaml'), GATE.replace('rate_limits:', may))
  const { status, text } = await gate.call('POST', '/policy/reload', { body: {} })
  assert.equal(status, 200, text)
}

async function calls(client: McpClient, label: string): Promise<void> {
  const mark = label.replaceAll(/\W/g, '-')
  const file = path.join(files, `${mark}.txt`)
  const written = await client.call('files__write_file', { path: file, content: label })
  assert.notEqual(written.isError, true, JSON.stringify(written))
  assert.equal(fs.readFileSync(file, 'utf8'), label)
  const outside = await client.call('files__write_file', { path: '/etc/none', content: 'x' })
  assert.equal(outside.isError, true)
  const entities = [{ name: mark, entityType: 'client', observations: ['was here'] }]
  await client.call('memory__create_entities', { entities })
  assert.ok(fs.readFileSync(memory, 'utf8').includes(mark))
  const echoed = await client.call('everything__echo', { message: mark })
  assert.ok(JSON.stringify(echoed.content).includes(mark))
  const many = Array.from({ length: 20 }, (_, n) =>
    client.call('everything__echo', { message: `${mark} ${n}` }),
  )
  for (const [n, one] of (await Promise.all(many)).entries()) {
    assert.ok(JSON.stringify(one.content).includes(`${mark} ${n}`))
  }
  say(`${label}: called`)
}

/** The processes of these programs. */
const pids = (): readonly number[] =>
  fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(SERVERS)
      } catch {
        return false
      }
    })
    .map(Number)

const gate = await TestGate.start({
  policies: { 'tools.yaml': tools },
  env: {
    MCP_COMMANDS: Object.keys(upstreams)
      .map((name) => `${node} ${programOf(name)}`)
      .join(),
  },
})
await pinAll(gate)
const key = await gate.agent('everybody')
for (const [label, connect] of Object.entries(CLIENTS)) {
  const client = await connect(`${gate.gate.url}/mcp`, key)
  await calls(client, label)
  await client.close()
}
const running = pids()
assert.equal(running.length, 3)
await gate.stop()
assert.ok(!running.some(isAlive), 'they end with the gate')
say('all ended with the gate')

function programOf(name: string): string {
  return program(name === 'files' ? 'filesystem' : name)
}
