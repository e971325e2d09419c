import fs from 'node:fs'
import path from 'node:path'
import pc from 'picocolors'
import { ensureDirectory } from '../lib/directories.ts'
import { readConfig, type Config } from '../config.ts'
import { Gate } from '../main.ts'
import { DemoService } from './demo-service.ts'
import { CliError, EXIT, print, say } from './exit.ts'
import { ADMIN_KEY_FILE } from './gate-client.ts'
import { collectGarbage } from '../lib/collect.ts'
import { portCause, portProblem } from './port.ts'
import { explain } from './start-causes.ts'
import { goOnUnread } from './unread.ts'

export const DEMO_AGENT = 'agent-support-001'
const AGENT_KEY_FILE = `${DEMO_AGENT}.key`

/** `portcullis start`: runs until it is told to stop. */
export async function start(): Promise<void> {
  const startedAt = performance.now()
  const config = readConfig()
  assertPolicies(config)
  await assertPortFree(config) // before anything is made that would have to be undone
  const gate = newGate(config)
  const demo = await startDemo(config)
  stopOnSignals(gate, demo)
  goOnUnread()
  sayIfLong(config)
  let newAdmin: string | null = null
  try {
    await gate.start(async () => {
      if (!gate.sealed) {
        newAdmin = await ensureAdmin(gate)
        if (demo) await ensureDemoAgent(gate)
      }
      collectGarbage()
    })
  } catch (error) {
    await demo?.stop()
    throw explain(error, config)
  }
  banner(gate, demo, newAdmin, performance.now() - startedAt)
}

// Before anything is started that would have to be stopped when this fails.
function newGate(config: Config): Gate {
  try {
    ensureDirectory(config.dataDir, 0o700)
    return new Gate(config)
  } catch (error) {
    throw explain(error, config)
  }
}

// The only start that takes long, on a busy machine, without a word of its own.
function sayIfLong({ databaseUrl, dataDir }: Config): void {
  const isThere = (name: string) => fs.existsSync(path.join(dataDir, name))
  if (databaseUrl !== null || isThere('db') || isThere('checkpoints.jsonl')) return
  say('making the database; this happens once and takes some seconds …')
}

// An empty folder is how most people meet the gate.
function assertPolicies({ policyDir }: Config): void {
  if (fs.existsSync(policyDir)) return
  const name = path.relative(process.cwd(), policyDir) || policyDir
  const way = '`portcullis init` makes a folder that works, POLICY_DIR names one elsewhere'
  throw new CliError(EXIT.policy, `there are no policies in ${name}; ${way}`)
}

async function assertPortFree({ host, port }: Config): Promise<void> {
  const code = await portProblem(host, port)
  if (code !== null) throw new CliError(EXIT.internal, portCause(code, host, port))
}

// A TICKETING_API_URL of one's own means that the system behind it is already there.
async function startDemo(config: Config): Promise<DemoService | undefined> {
  if (!config.demo || config.env['TICKETING_API_URL']) return undefined
  return DemoService.start({
    port: Number(new URL(config.ticketingApiUrl).port),
    ledgerFile: path.join(config.dataDir, 'demo-ledger.jsonl'),
  })
}

function stopOnSignals(gate: Gate, demo: DemoService | undefined): void {
  let stopping = false
  const stop = (signal: string) => {
    if (stopping) process.exit(EXIT.internal)
    stopping = true
    say(`\n${signal}: finishing what is under way (again to stop at once)`)
    gate
      .stop()
      .then(() => demo?.stop())
      .then(
        () => process.exit(EXIT.ok),
        () => process.exit(EXIT.internal),
      )
  }
  process.on('SIGINT', () => stop('SIGINT'))
  process.on('SIGTERM', () => stop('SIGTERM'))
  process.on('uncaughtException', (error) => {
    gate.log.fatal({ err: error }, 'uncaught exception')
    say(`internal error: ${error.message}; see the log`)
    process.exit(EXIT.internal)
  })
}

/** The first admin key, shown once and kept for this machine's owner. */
async function ensureAdmin(gate: Gate): Promise<string | null> {
  if (await gate.bootstrap.hasAdmin()) return null
  const key = await gate.bootstrap.issueKey('admin', 'admin', null)
  writeKey(gate.config, ADMIN_KEY_FILE, key)
  return key
}

async function ensureDemoAgent(gate: Gate): Promise<void> {
  const key = await gate.bootstrap.ensureAgent(DEMO_AGENT, ['support'], 'support-team')
  if (key) writeKey(gate.config, AGENT_KEY_FILE, key)
  else if (!fs.existsSync(path.join(gate.config.dataDir, AGENT_KEY_FILE))) {
    const again = await gate.bootstrap.issueKey('agent', DEMO_AGENT, DEMO_AGENT)
    writeKey(gate.config, AGENT_KEY_FILE, again)
  }
}

function writeKey(config: Config, name: string, key: string): void {
  fs.writeFileSync(path.join(config.dataDir, name), `${key}\n`, { mode: 0o600 })
}

function banner(
  gate: Gate,
  demo: DemoService | undefined,
  newAdmin: string | null,
  ms: number,
): void {
  const { config, url, policies } = gate
  const { counts, revision } = policies.current
  const row = (name: string, text: string) =>
    print(`  ${pc.green('➜')}  ${name.padEnd(10)} ${text}`)
  const file = (name: string) => path.relative(process.cwd(), path.join(config.dataDir, name))
  print(`\n  ${pc.bold('portcullis')}  ready in ${Math.round(ms)} ms\n`)
  row('Gate', url)
  if (config.dashboard) row('Dashboard', `${url}/ui/`)
  if (demo) row('Upstream', `${demo.url}  (demo ticketing; DEMO=off to leave it out)`)
  row('Database', config.databaseUrl ? 'PostgreSQL' : `embedded, in ${file('db')}`)
  row(
    'Policies',
    `${path.relative(process.cwd(), config.policyDir)}  ${counts.files} files, ${counts.guards} guards, ${counts.tools} tools, revision ${revision.slice(0, 12)}, watching`,
  )
  row('Metrics', `${url}/metrics    events ${url}/events`)
  row('API docs', `${url}/docs`)
  row('Log', config.logFile ?? 'standard output')
  if (gate.sealed) row('Refusing', `every effect: ${gate.sealed}`)
  if (newAdmin) {
    row('Admin key', `${newAdmin}  (shown once, kept in ${file(ADMIN_KEY_FILE)})`)
  }
  if (!demo) return
  print(`
  Try, in another shell:

  export AGENT_KEY=$(cat ${file(AGENT_KEY_FILE)})
  curl -s ${url}/act -H "X-API-Key: $AGENT_KEY" -H 'Content-Type: application/json' \\
    -d '{"tool":"tickets.update","args":{"id":"t-1","status":"resolved"},"reason":"answered"}'
  npx portcullis actions list
  npx portcullis logs tail
`)
}
