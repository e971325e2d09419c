import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import type { ClientConfig } from 'pg'
import { databaseCode } from './code.ts'
import { lockDataDir } from './lock.ts'
import { PortStream } from './port-stream.ts'
import { unpackTemplate } from './template.ts'
import { assertWhole, DamagedDirectory, nowWhole } from './wholeness.ts'

const PING_INTERVAL_MS = 2_000
/**
 * A commit with VACUUM behind it may take seconds; a PGlite that hung on a full disk never answers. Counted
 * in pings, not in time: a process that was suspended has not been waiting.
 */
const PINGS_UNANSWERED_MAX = 7
const CLOSE_TIMEOUT_MS = 10_000

/**
 * PostgreSQL in this process: PGlite in a worker thread, one process per data directory.
 * When the worker stops answering it is terminated and opened again; callers see their
 * connections break and fail closed meanwhile.
 */
export class EmbeddedDatabase {
  readonly #dir: string
  readonly #onRestart: (reason: string) => void
  #worker: Worker | undefined
  #unlock: (() => void) | undefined
  #watchdog: NodeJS.Timeout | undefined
  #unanswered = 0
  #stopping = false

  constructor(dir: string, onRestart: (reason: string) => void) {
    this.#dir = dir
    this.#onRestart = onRestart
  }

  async start(): Promise<void> {
    if (this.#dir !== 'memory://') this.#unlock = lockDataDir(this.#dir)
    try {
      await this.#openWhole()
    } catch (error) {
      this.#unlock?.()
      throw error
    }
    this.#watchdog = setInterval(() => this.#watch(), PING_INTERVAL_MS).unref()
  }

  /** For `pg.Pool`, `pg.Client` and pg-boss: an ordinary configuration whose socket is a port. */
  get config(): ClientConfig {
    return {
      user: 'postgres',
      database: 'postgres',
      host: 'embedded',
      ssl: false,
      stream: () => new PortStream(() => this.open()),
    }
  }

  /** The other end of a connection, which may be handed to another thread. */
  open(): MessagePort {
    const { port1, port2 } = new MessageChannel()
    this.#live().postMessage({ port: port2 }, [port2])
    return port1
  }

  async stop(): Promise<void> {
    this.#stopping = true
    clearInterval(this.#watchdog)
    const worker = this.#worker
    if (worker) await closed(worker)
    this.#unlock?.()
  }

  async #openWhole(): Promise<void> {
    if (this.#dir === 'memory://') return this.#open()
    const { isNew } = assertWhole(this.#dir)
    try {
      // What makes a database takes half a gigabyte, and gives it back only when its thread ends.
      if (isNew && !(await unpackTemplate(this.#dir))) await closed(await this.#begun())
      await this.#open()
    } catch (error) {
      throw new DamagedDirectory(this.#dir, `cannot be opened (${firstLine(error)})`)
    }
    nowWhole(this.#dir)
  }

  #live(): Worker {
    if (!this.#worker) throw new Error('the embedded database is restarting')
    return this.#worker
  }

  /** A worker whose database is open. */
  async #begun(): Promise<Worker> {
    const worker = new Worker(new URL('./worker.mjs', import.meta.url), {
      workerData: { dir: this.#dir, code: databaseCode() },
      execArgv: [], // a loader of the process is not for this thread, which reads plain JavaScript
    })
    await new Promise<void>((resolve, reject) => {
      worker.once('message', () => resolve())
      worker.once('error', reject)
      worker.once('exit', (code) => reject(new Error(`embedded database exited with code ${code}`)))
    })
    worker.removeAllListeners('error').removeAllListeners('exit')
    return worker
  }

  async #open(): Promise<void> {
    const worker = await this.#begun()
    worker.on('error', (error) => void this.#reopen(worker, `failed: ${firstLine(error)}`))
    worker.on('exit', (code) => void this.#reopen(worker, `exited with code ${code}`))
    worker.on('message', (message: { pong?: number }) => {
      if (message.pong !== undefined) this.#unanswered = 0
    })
    this.#unanswered = 0
    this.#worker = worker
  }

  #watch(): void {
    const worker = this.#worker
    if (!worker) return
    if (this.#unanswered++ >= PINGS_UNANSWERED_MAX) void this.#reopen(worker, 'hung')
    else worker.postMessage({ ping: 1 })
  }

  async #reopen(worker: Worker, reason: string): Promise<void> {
    if (this.#stopping || this.#worker !== worker) return
    this.#worker = undefined
    this.#onRestart(reason)
    await worker.terminate()
    try {
      await this.#open()
    } catch (error) {
      this.#onRestart(`reopening failed: ${firstLine(error)}`)
      setTimeout(() => void this.#retry(), PING_INTERVAL_MS).unref()
    }
  }

  async #retry(): Promise<void> {
    if (this.#stopping || this.#worker) return
    await this.#open().catch(() => setTimeout(() => void this.#retry(), PING_INTERVAL_MS).unref())
  }
}

// PGlite errors carry a 30 kB minified source line; only the first line is fit for a log.
function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : 'unknown failure'
  // All that WebAssembly says of a PostgreSQL that gave up.
  if (text.startsWith('Aborted(')) return 'PostgreSQL cannot read it'
  return text.split('\n', 1)[0]?.slice(0, 200) ?? ''
}

async function closed(worker: Worker): Promise<void> {
  const exit = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
  worker.postMessage({ close: true })
  const timer = setTimeout(() => void worker.terminate(), CLOSE_TIMEOUT_MS)
  await exit
  clearTimeout(timer)
}
