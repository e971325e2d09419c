import fs from 'node:fs'
import path from 'node:path'
import type { JsonObject } from '../../../src/model/json.ts'
import { scratch } from '../../support/scratch.ts'
import { GATE, TOOLS } from '../../support/policies.ts'
import { pinsOf } from './pinned.ts'
import type { ServedTool } from './servers.ts'

// A server that the gate runs, and what it says it had done with it.

const SERVER = path.join(import.meta.dirname, 'stdio-server.mjs')
const ARGS = {
  type: 'object',
  properties: { id: { type: 'string' }, behave: { type: 'string' } },
} as const
export const STDIO_TOOLS: readonly ServedTool[] = [
  { name: 'find', inputSchema: ARGS },
  { name: 'store', inputSchema: ARGS },
  { name: 'erase', inputSchema: ARGS },
]

export class StdioFixture {
  readonly #dir = scratch('stdio')
  readonly #ledger = path.join(this.#dir, 'ledger.jsonl')
  readonly #tools = path.join(this.#dir, 'tools.json')

  constructor() {
    this.lists(STDIO_TOOLS)
    fs.writeFileSync(this.#ledger, '')
  }

  /** What it is to list from now on. */
  lists(tools: readonly ServedTool[]): void {
    fs.writeFileSync(this.#tools, JSON.stringify(tools))
  }

  command(...flags: readonly string[]): readonly string[] {
    return [process.execPath, SERVER, this.#ledger, this.#tools, ...flags]
  }

  /** What whoever runs the gate allows. */
  get allowed(): string {
    return `${process.execPath} ${SERVER}`
  }

  /** Everything it noted. */
  get noted(): readonly JsonObject[] {
    const lines = fs.readFileSync(this.#ledger, 'utf8').split('\n')
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as JsonObject)
  }

  get pids(): readonly number[] {
    return this.noted.flatMap(({ started }) => (typeof started === 'number' ? [started] : []))
  }

  calls(id: string): readonly JsonObject[] {
    return this.noted.filter(({ args }) => (args as JsonObject | undefined)?.['id'] === id)
  }
}

export const stdioTools = (upstream: JsonObject) =>
  `${TOOLS.replace('tools:\n', `  files: ${JSON.stringify(upstream)}\ntools:\n`)}
mcp:
  tools:
    'files:find': { effect: read }
    'files:store': { effect: write }
`

export const STDIO_GATE = GATE.replace(
  'rate_limits:',
  `  - { roles: [worker], tools: ["mcp.files.find", "mcp.files.store"], effect: allow }
  - { roles: [worker], tools: ["mcp.files.erase"], effect: require_approval }
rate_limits:`,
)

export const stdioPolicies = (upstream: JsonObject) => ({
  'tools.yaml': stdioTools(upstream),
  'gate.yaml': STDIO_GATE,
  'mcp-pins.json': pinsOf('files', STDIO_TOOLS),
})

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !isZombie(pid)
  } catch {
    return false
  }
}

// Where nobody collects orphans, one that has ended still has a number.
const isZombie = (pid: number): boolean =>
  fs.existsSync(`/proc/${pid}/stat`) &&
  fs.readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')
