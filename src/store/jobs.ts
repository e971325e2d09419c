import PgBoss from 'pg-boss'
import type { Logger } from '../lib/log.ts'
import type { JsonObject } from '../model/json.ts'
import { plainConfig, type Store } from './store.ts'
import type { Tx } from './tx.ts'

const BOSS_CONNECTIONS_MAX = 3
const POLL_S = 0.5
const BATCH_SIZE = 20
const STOP_TIMEOUT_MS = 10_000

export interface JobOptions {
  /** Not before this time (ms since the epoch). */
  readonly startAfterMs?: number
}

export interface QueueOptions {
  readonly retryLimit: number
  readonly retryDelayS?: number
  readonly handler: (data: JsonObject) => Promise<void>
}

/**
 * Queued work on pg-boss. It wakes things up and never decides that an effect may happen: every
 * handler starts by asking the ledger, so a job delivered twice does its work once.
 */
export class Jobs {
  readonly #store: Store
  readonly #log: Logger
  readonly #workers = new Map<string, string>()
  #boss: PgBoss | undefined

  constructor(store: Store, log: Logger) {
    this.#store = store
    this.#log = log
  }

  async start(queues: Readonly<Record<string, QueueOptions>>): Promise<void> {
    const boss = new PgBoss({
      ...(plainConfig(this.#store, 'portcullis-jobs') as PgBoss.ConstructorOptions),
      max: BOSS_CONNECTIONS_MAX,
      schema: 'pgboss',
    })
    boss.on('error', (error) => this.#log.warn({ err: error }, 'job queue'))
    await boss.start()
    this.#boss = boss
    for (const [name, options] of Object.entries(queues)) await this.#open(boss, name, options)
  }

  async stop(): Promise<void> {
    await this.#boss?.stop({ graceful: true, wait: true, timeout: STOP_TIMEOUT_MS })
  }

  /** Queues a job in the batch's own transaction: it exists exactly when the batch does. */
  async sendIn(tx: Tx, queue: string, data: JsonObject, options: JobOptions = {}): Promise<void> {
    await this.#send(queue, data, options, {
      executeSql: async (text: string, values: unknown[]) => ({
        rows: await tx.query(text, values),
      }),
    })
    if (!options.startAfterMs) tx.afterCommit(() => this.wake(queue))
  }

  async send(queue: string, data: JsonObject, options: JobOptions = {}): Promise<void> {
    await this.#send(queue, data, options)
    this.wake(queue)
  }

  /** Makes the local worker look now instead of at its next poll. */
  wake(queue: string): void {
    const id = this.#workers.get(queue)
    if (id) this.#boss?.notifyWorker(id)
  }

  wakeAll(): void {
    for (const queue of this.#workers.keys()) this.wake(queue)
  }

  async #open(boss: PgBoss, name: string, options: QueueOptions): Promise<void> {
    const { retryLimit, retryDelayS = 1 } = options
    await boss.createQueue(name, {
      name,
      retryLimit,
      retryDelay: retryDelayS,
      retryBackoff: true,
      expireInSeconds: 300,
    })
    const worker = await boss.work<JsonObject>(
      name,
      { pollingIntervalSeconds: POLL_S, batchSize: BATCH_SIZE },
      async (jobs) => this.#handle(boss, name, jobs, options.handler),
    )
    this.#workers.set(name, worker)
  }

  // One failing job must not fail its batch, so each is settled by itself.
  async #handle(
    boss: PgBoss,
    queue: string,
    jobs: PgBoss.Job<JsonObject>[],
    handler: (data: JsonObject) => Promise<void>,
  ): Promise<void> {
    await Promise.all(
      jobs.map(async ({ id, data }) => {
        try {
          await handler(data)
        } catch (error) {
          this.#log.warn({ err: error, queue, job: id }, 'job failed')
          await boss.fail(queue, id, { message: String((error as Error).message) })
        }
      }),
    )
    if (jobs.length === BATCH_SIZE) this.wake(queue)
  }

  async #send(queue: string, data: JsonObject, options: JobOptions, db?: PgBoss.Db): Promise<void> {
    if (!this.#boss) throw new Error('the job queue is not started')
    const id = await this.#boss.send(queue, data, {
      ...(options.startAfterMs ? { startAfter: new Date(options.startAfterMs) } : {}),
      ...(db ? { db } : {}),
    })
    // send() answers null, without an error, for a queue that was never created.
    if (id === null) throw new Error(`job for queue ${queue} was not accepted`)
  }
}
