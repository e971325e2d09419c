import { fork, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import autocannon from 'autocannon'
import { prepareEmbedded, PostgresServer, postgresBin } from '../test/support/database.ts'
import { scratch } from '../test/support/scratch.ts'

const ROOT = path.resolve(import.meta.dirname, '..')

/** Ten guards, none of which refuses what the bench sends. */
const GATE = `
version: 1
environment: bench
permissions:
  - { roles: [worker], tools: ["*"], effect: allow }
  - { roles: [intern], tools: ["items.update"], effect: deny }
  - { roles: [worker], tools: ["items.delete"], effect: require_approval }
rate_limits:
  - { limit: 1000000, per_s: 1 }
guards: []
`

const TOOLS = `
version: 1
upstreams:
  bench: { base_url: "\${TICKETING_API_URL}", connections_max: 64 }
tools:
  items.update:
    { upstream: bench, method: PATCH, path: "/items/{id}", effect: write,
      args: { type: object, required: [id], properties: { id: { type: string }, note: { type: string } } } }
  items.delete:
    { upstream: bench, method: DELETE, path: "/items/{id}", effect: irreversible,
      args: { type: object, required: [id], properties: { id: { type: string } } } }
`

export function writeBenchPolicies(): string {
  const dir = path.join(scratch('bench'), 'policies')
  fs.mkdirSync(dir, { recursive: true })
  fs.writeFileSync(path.join(dir, 'gate.yaml'), GATE)
  fs.writeFileSync(path.join(dir, 'tools.yaml'), TOOLS)
  return dir
}

/** A process that tells its port over IPC: the gate, or the upstream. */
export async function startProcess(
  file: string,
  env: Record<string, string>,
): Promise<{ url: string; child: ChildProcess; info: Record<string, string> }> {
  const child = fork(path.join(ROOT, 'bench', file), [], {
    env: { ...process.env, ...env },
    execArgv: [
      ...(file.endsWith('.ts') ? ['--import', 'tsx'] : []),
      ...(env['PROFILE_DIR'] ? ['--cpu-prof', '--cpu-prof-dir', env['PROFILE_DIR']] : []),
    ],
  })
  const info = await new Promise<Record<string, string>>((resolve, reject) => {
    child.once('message', (message) => resolve(message as Record<string, string>))
    child.once('exit', (code) => reject(new Error(`${file} exited with ${code}`)))
  })
  return { url: info['url'] ?? '', child, info }
}

export interface BenchDatabase {
  readonly name: string
  readonly env: Record<string, string>
  /** Process of a server. */
  readonly pid?: number
  readonly stop: () => void
}

/** The embedded database, and a PostgreSQL server where one is installed. */
export async function databases(isOurs: boolean): Promise<BenchDatabase[]> {
  const dataDir = scratch('bench-data')
  if (isOurs) await prepareEmbedded(dataDir) // another checkout makes one of its own version
  const all: BenchDatabase[] = [{ name: 'embedded', env: { DATA_DIR: dataDir }, stop: () => {} }]
  if (postgresBin()) {
    const server = await PostgresServer.start()
    const env = { DATABASE_URL: await server.createDatabase(), DATA_DIR: scratch('bench-data') }
    all.push({ name: 'postgresql', env, pid: server.pid, stop: () => server.stop() })
  }
  return all
}

export interface Load {
  readonly url: string
  readonly key?: string
  readonly body: unknown
  readonly method?: 'POST' | 'PATCH'
  readonly connections: number
  readonly seconds: number
  /** Requests a second over all connections; unset: as fast as it goes. */
  readonly rate?: number
}

export async function run(load: Load): Promise<autocannon.Result> {
  return autocannon({
    url: load.url,
    method: load.method ?? 'POST',
    connections: load.connections,
    duration: load.seconds,
    ...(load.rate ? { overallRate: load.rate } : {}),
    headers: {
      'content-type': 'application/json',
      ...(load.key ? { 'x-api-key': load.key } : {}),
    },
    body: JSON.stringify(load.body),
  })
}
