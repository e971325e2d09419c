import { createPrivateKey } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import type { Pool } from 'pg'
import { readConfig, type Config } from '../config.ts'
import { tryDatabase } from '../maintenance.ts'
import { openLog } from '../lib/log.ts'
import { secretsOf } from '../lib/webhook-secrets.ts'
import { keysOf } from '../oauth/issuer-documents.ts'
import { mayCreate, noCreate } from './database-rights.ts'
import { CliError, EXIT, print } from './exit.ts'
import { loadPolicies } from './load-policies.ts'
import { portCause, portProblem } from './port.ts'
import { causeOf } from './start-causes.ts'

const CLOCK_SKEW_MS_MAX = 2_000
const NODE_MIN = [20, 19] as const

interface Finding {
  readonly name: string
  /** Null when all is well, else what is wrong and how to mend it. */
  readonly problem: string | null
}

/** `portcullis doctor`: checks what a start needs; each problem comes with its fix. Exits 5 on any. */
export async function doctor(): Promise<void> {
  const config = readConfig() // a bad environment is reported by its own error
  const findings: Finding[] = [
    { name: 'node', problem: nodeProblem() },
    { name: 'settings', problem: null },
    { name: 'data directory', problem: writeProblem(config.dataDir) },
    {
      name: 'log file',
      problem: logProblem(config.logFile),
    },
    { name: 'webhook secret', problem: secretProblem(config.webhookSecret) },
    { name: 'signing key', problem: keyProblem(config.dataDir) },
    { name: 'port', problem: await addressProblem(config) },
    { name: 'policies', problem: await policyProblem(config) },
    { name: 'database', problem: await databaseProblem(config) },
    ...(await issuerFindings(config)),
  ]
  for (const { name, problem } of findings) {
    print(problem === null ? `✓ ${name}` : `✗ ${name}: ${problem}`)
  }
  const broken = findings.filter(({ problem }) => problem !== null).length
  if (broken > 0) throw new CliError(EXIT.finding, `${broken} problem(s)`)
}

function nodeProblem(): string | null {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const isNew = major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1])
  return isNew
    ? null
    : `Node ${process.versions.node} is too old; install ${NODE_MIN.join('.')} or newer`
}

function writeProblem(dir: string): string | null {
  const existing = firstExisting(path.resolve(dir))
  try {
    if (!fs.statSync(existing).isDirectory()) return `${existing} is no directory; set DATA_DIR`
    fs.accessSync(existing, fs.constants.W_OK)
    return null
  } catch {
    return `${existing} cannot be written; change its owner or choose another directory`
  }
}

function logProblem(file: string | null): string | null {
  if (file === null) return null
  try {
    openLog(file)
    return null
  } catch (error) {
    return (error as Error).message
  }
}

/** Standard Webhooks asks for 24 to 64 bytes. */
const SECRET_BYTES_MIN = 24

function secretProblem(text: string | null): string | null {
  const short = secretsOf(text ?? '').find((one) => one.length < SECRET_BYTES_MIN)
  if (!short) return null
  return `WEBHOOK_SECRET has one of ${short.length} bytes; make one of ${SECRET_BYTES_MIN} or more: openssl rand -base64 32`
}

function firstExisting(dir: string): string {
  return fs.existsSync(dir) ? dir : firstExisting(path.dirname(dir))
}

function keyProblem(dataDir: string): string | null {
  const file = path.join(dataDir, 'audit-signing-key.pem')
  if (!fs.existsSync(file)) return null // made at the first start
  const isOpen = process.platform !== 'win32' && (fs.statSync(file).mode & 0o077) !== 0
  if (isOpen) return `others can read ${file}; chmod 600 it`
  try {
    return createPrivateKey(fs.readFileSync(file)) && null
  } catch {
    return `${file} is no private key; restore it, or say that it is gone: portcullis audit new-key`
  }
}

async function addressProblem({ host, port }: Config): Promise<string | null> {
  const code = await portProblem(host, port)
  return code && portCause(code, host, port)
}

async function policyProblem(config: Config): Promise<string | null> {
  if (!fs.existsSync(config.policyDir)) {
    return `${config.policyDir} does not exist; run \`portcullis init\` or set POLICY_DIR`
  }
  const result = await loadPolicies(config.policyDir, config)
  return result.ok ? null : `${result.diagnostics.length} problem(s); run \`portcullis check\``
}

/** An issuer whose keys cannot be had keeps no gate from starting, and its clients out. */
function issuerFindings({ oauth }: Config): Promise<Finding[]> {
  const { issuers = [], jwksUrl = null } = oauth ?? {}
  return Promise.all(
    issuers.map(async (issuer) => ({
      name: `tokens of ${issuer}`,
      problem: await keysOf({ issuer, jwksUrl }).then(
        ({ keys }) => (keys.length > 0 ? null : 'it has no keys'),
        (error: unknown) => `its keys cannot be had (${(error as Error).message})`,
      ),
    })),
  )
}

// As a start opens it. That of a first start is made by it.
async function databaseProblem(config: Config): Promise<string | null> {
  const isNew = !config.databaseUrl && !fs.existsSync(path.join(config.dataDir, 'db'))
  if (isNew) return null
  try {
    let problem: string | null = null
    await tryDatabase(config, async (pool) => {
      problem = await serverProblem(pool, config)
    })
    return problem
  } catch (error) {
    return causeOf(error, config) ?? (error as Error).message
  }
}

async function serverProblem(pool: Pool, config: Config): Promise<string | null> {
  const { rows } = await pool.query<{ now: Date }>('select clock_timestamp() as now')
  const skewMs = Math.abs(Date.now() - (rows[0]?.now.getTime() ?? 0))
  if (skewMs > CLOCK_SKEW_MS_MAX) return `its clock differs by ${skewMs} ms; run NTP on both`
  const client = await pool.connect()
  try {
    return (await mayCreate(client)) ? null : noCreate(config)
  } finally {
    client.release()
  }
}
