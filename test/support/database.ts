import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import pg from 'pg'
import { scratch } from './scratch.ts'
import { createLogger } from '../../src/lib/log.ts'
import { Jobs } from '../../src/store/jobs.ts'
import { Store } from '../../src/store/store.ts'
import { QUEUE_OPTIONS } from '../../src/worker/queues.ts'

const START_ATTEMPTS = 20
const ROOT = path.resolve(import.meta.dirname, '..', '..')

/**
 * An initialised embedded database to copy: creating one takes seconds, copying it a tenth of one.
 * Named after everything it is made from, so that a change makes a new one. On the disk, for the next run, too.
 */
export async function embeddedTemplate(): Promise<string> {
  const dir = path.join(os.tmpdir(), `portcullis-template-${fingerprint()}`)
  if (fs.existsSync(dir)) return dir
  const making = fs.mkdtempSync(path.join(os.tmpdir(), 'portcullis-making-'))
  const log = createLogger('silent', null)
  const store = new Store({ databaseUrl: null, dataDir: making, log })
  await store.start()
  const jobs = new Jobs(store, log)
  await jobs.start(QUEUE_OPTIONS) // making a queue costs more than all else of a start
  await jobs.stop()
  await store.stop()
  try {
    fs.renameSync(path.join(making, 'db'), dir)
  } catch {
    // Another run made it first.
  }
  fs.rmSync(making, { recursive: true, force: true })
  return dir
}

function fingerprint(): string {
  const hash = createHash('sha256')
  const migrations = path.join(ROOT, 'src', 'store', 'migrations')
  for (const name of fs.readdirSync(migrations).sort()) {
    hash.update(name).update(fs.readFileSync(path.join(migrations, name)))
  }
  hash.update(fs.readFileSync(path.join(ROOT, 'package.json')))
  hash.update(JSON.stringify(QUEUE_OPTIONS))
  return `${hash.digest('hex').slice(0, 12)}-${os.userInfo().uid}`
}

/** Copies the template below `dataDir`, where the gate looks for its database. */
export async function prepareEmbedded(dataDir: string): Promise<void> {
  fs.cpSync(await embeddedTemplate(), path.join(dataDir, 'db'), { recursive: true })
}

/** Folder with initdb, postgres and pg_ctl, or null where PostgreSQL is not installed. */
export function postgresBin(): string | null {
  const base = '/usr/lib/postgresql'
  const versions = fs.existsSync(base) ? fs.readdirSync(base).sort().reverse() : []
  const dirs = versions.map((version) => path.join(base, version, 'bin'))
  for (const dir of [...dirs, ...(process.env['PATH'] ?? '').split(':')]) {
    if (['initdb', 'pg_ctl', 'postgres'].every((name) => isExecutable(path.join(dir, name))))
      return dir
  }
  return null
}

function isExecutable(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.X_OK)
    return fs.statSync(file).isFile()
  } catch {
    return false
  }
}

/** A real PostgreSQL server of its own, in a scratch folder, on a free port. */
export class PostgresServer {
  readonly #bin: string
  readonly #dir: string
  readonly #port: number
  readonly #user: string | null

  private constructor(bin: string, dir: string, port: number, user: string | null) {
    this.#bin = bin
    this.#dir = dir
    this.#port = port
    this.#user = user
  }

  /** PostgreSQL refuses to run as root, so there it runs as `postgres`. */
  static async start(): Promise<PostgresServer> {
    const bin = postgresBin()
    if (!bin) throw new Error('PostgreSQL is not installed')
    const dir = scratch('postgres')
    const user = process.getuid?.() === 0 ? 'postgres' : null
    if (user) {
      fs.chmodSync(dir, 0o755)
      const uid = Number(execFileSync('id', ['-u', user], { encoding: 'utf8' }))
      fs.chownSync(dir, uid, Number(execFileSync('id', ['-g', user], { encoding: 'utf8' })))
    }
    const port = 20_000 + (randomBytes(2).readUInt16BE() % 20_000)
    const server = new PostgresServer(bin, dir, port, user)
    server.#run('initdb', ['-D', server.#data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8'])
    server.up()
    return server
  }

  get #data(): string {
    return path.join(this.#dir, 'data')
  }

  /** Of the server's first process, which all others are children of. */
  get pid(): number {
    return Number(fs.readFileSync(path.join(this.#data, 'postmaster.pid'), 'utf8').split('\n')[0])
  }

  /** Starts the server process; after `kill` it recovers like after a crash. */
  up(): void {
    for (let attempt = 1; ; attempt++) {
      try {
        return this.#start()
      } catch (error) {
        // Killed children may hold the shared memory for a moment.
        if (attempt === START_ATTEMPTS) throw error
        execFileSync('sleep', ['0.3'])
      }
    }
  }

  #start(): void {
    const options = `-p ${this.#port} -k ${this.#dir} -c listen_addresses=127.0.0.1 -c max_connections=200`
    this.#run('pg_ctl', [
      '-D',
      this.#data,
      '-w',
      '-l',
      path.join(this.#dir, 'log'),
      '-o',
      options,
      'start',
    ])
  }

  /** SIGKILL to the postmaster and, because they hold its memory, all its children. */
  kill(): void {
    const [pid = ''] = fs
      .readFileSync(path.join(this.#data, 'postmaster.pid'), 'utf8')
      .split('\n', 1)
    process.kill(Number(pid), 'SIGSTOP') // so that it does not replace the children that go first
    execFileSync('pkill', ['-KILL', '-P', pid], { stdio: 'ignore' })
    process.kill(Number(pid), 'SIGKILL')
  }

  /** Stops all its processes where they are: connections stay open and nothing is answered. */
  freeze(): void {
    this.#signal('STOP')
  }

  thaw(): void {
    this.#signal('CONT')
  }

  #signal(name: 'STOP' | 'CONT'): void {
    const [pid = ''] = fs
      .readFileSync(path.join(this.#data, 'postmaster.pid'), 'utf8')
      .split('\n', 1)
    process.kill(Number(pid), `SIG${name}`)
    execFileSync('pkill', [`-${name}`, '-P', pid], { stdio: 'ignore' })
  }

  stop(): void {
    try {
      this.#run('pg_ctl', ['-D', this.#data, '-m', 'immediate', 'stop'])
    } catch {
      // It was killed, and is not running.
    }
    fs.rmSync(this.#dir, { recursive: true, force: true })
  }

  url(database = 'postgres'): string {
    return `postgres://postgres@127.0.0.1:${this.#port}/${database}`
  }

  /** Creates an empty database and answers its URL. */
  async createDatabase(): Promise<string> {
    const name = `t_${randomBytes(6).toString('hex')}`
    const client = new pg.Client({ connectionString: this.url() })
    await client.connect()
    await client.query(`create database ${name}`)
    await client.end()
    return this.url(name)
  }

  #run(command: string, args: readonly string[]): void {
    const file = path.join(this.#bin, command)
    const [program, all] = this.#user
      ? [
          'setpriv',
          [`--reuid=${this.#user}`, `--regid=${this.#user}`, '--clear-groups', file, ...args],
        ]
      : [file, [...args]]
    execFileSync(program, all, { stdio: 'ignore', cwd: this.#dir })
  }
}
