import PgBoss from 'pg-boss'
import type { Logger } from '../lib/log.ts'
import type { JsonObject } from '../model/json.ts'
import { ended } from './deadline.ts'
import { plainConfig, type Store } from './store.ts'
import type { Db, Job, Tx } from './tx.ts'

const BOSS_CONNECTIONS_MAX = 3
const POLL_MS = 500
const JOB_EXPIRES_S = 300
const BATCH_SIZE = 20

export interface QueueOptions {
  readonly retryLimit: number
  readonly retryDelayS?: number
}

export type JobState = 'created' | 'retry' | 'active' | 'completed' | 'cancelled' | 'failed'

/** A job as the queue has it. */
export interface KnownJob {
  readonly id: string
  readonly data: JsonObject
  readonly state: JobState
  /** How often it was tried, the one under way included. */
  readonly attempts: number
  readonly createdAt: Date
  /** When it is tried next, while it waits. */
  readonly nextAt: Date
  readonly endedAt: Date | null
  /** What the last attempt failed of; null: none has failed. */
  readonly error: string | null
}

export type JobHandler = (data: JsonObject) => Promise<void>

/**
 * Queued work on pg-boss. It wakes things up and never decides that an effect may happen: every
 * handler starts by asking the ledger, so a job delivered twice does its work once.
 */
export class Jobs {
  readonly #store: Store
  readonly #log: Logger
  readonly #loops = new Map<string, QueueLoop>()
  #boss: PgBoss | undefined

  constructor(store: Store, log: Logger) {
    this.#store = store
    this.#log = log
  }

  /** Makes the queues, by name; from now on they take jobs. Where one cannot be made, nothing stays open. */
  async start(queues: Readonly<Record<string, QueueOptions>>): Promise<void> {
    const boss = new PgBoss({
      ...(plainConfig(this.#store, 'portcullis-jobs') as PgBoss.ConstructorOptions),
      max: BOSS_CONNECTIONS_MAX,
      schema: 'pgboss',
    })
    boss.on('error', (error) => this.#log.warn({ err: error }, 'job queue'))
    try {
      // Replicas that create queues at the same moment deadlock on pg-boss' partitions.
      await this.#store.alone(async () => {
        await boss.start()
        for (const [name, options] of Object.entries(queues)) await open(boss, name, options)
      })
    } catch (error) {
      await boss.stop({ graceful: false, wait: false }).catch(() => {})
      throw error
    }
    this.#boss = boss
  }

  /** Takes jobs from now on. */
  work(handlers: Readonly<Record<string, JobHandler>>): void {
    for (const [name, handler] of Object.entries(handlers)) {
      const loop = new QueueLoop(this.#started, name, handler, this.#log)
      loop.start()
      this.#loops.set(name, loop)
    }
  }

  /** Takes no more jobs, and waits for those under way. */
  async rest(): Promise<void> {
    await Promise.all([...this.#loops.values()].map((loop) => loop.stop()))
  }

  async stop(): Promise<void> {
    await this.rest()
    // Nothing of it is under way by now but what a database that fell silent does not answer.
    if (this.#boss) await ended(this.#boss.stop({ graceful: false }), () => {})
  }

  /** Queues a job in the batch's own transaction: it exists exactly when the batch does. */
  async sendIn(tx: Tx, { queue, data, startAfterMs }: Job): Promise<void> {
    const id = await this.#started.send(queue, data, {
      ...(startAfterMs ? { startAfter: new Date(startAfterMs) } : {}),
      db: {
        executeSql: async (text: string, values: unknown[]) => ({
          rows: await tx.query(text, values),
        }),
      },
    })
    // send() answers null, without an error, for a queue that was never created.
    if (id === null) throw new Error(`job for queue ${queue} was not accepted`)
    if (!startAfterMs) tx.afterCommit(() => this.wake(queue))
  }

  /** Makes the local worker look now instead of at its next poll. */
  wake(queue: string): void {
    this.#loops.get(queue)?.wake()
  }

  get #started(): PgBoss {
    if (!this.#boss) throw new Error('the job queue is not started')
    return this.#boss
  }
}

async function open(boss: PgBoss, name: string, options: QueueOptions): Promise<void> {
  const { retryLimit, retryDelayS = 1 } = options
  await boss.createQueue(name, {
    name,
    retryLimit,
    retryDelay: retryDelayS,
    retryBackoff: true,
    expireInSeconds: JOB_EXPIRES_S,
  })
}

/**
 * Takes jobs of one queue until it is stopped. pg-boss 10 has a worker of its own, but it does not
 * await its `complete` and `fail`: a database that goes away then ends the process.
 */
class QueueLoop {
  readonly #boss: PgBoss
  readonly #queue: string
  readonly #handler: JobHandler
  readonly #log: Logger
  #running: Promise<void> | undefined
  #stopping = false
  #woken = false
  #wakeUp: () => void = () => {}

  constructor(boss: PgBoss, queue: string, handler: JobHandler, log: Logger) {
    this.#boss = boss
    this.#queue = queue
    this.#handler = handler
    this.#log = log
  }

  start(): void {
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#stopping = true
    this.wake()
    await this.#running
  }

  wake(): void {
    this.#woken = true
    this.#wakeUp()
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      this.#woken = false
      const taken = await this.#takeSome()
      if (taken < BATCH_SIZE && !this.#woken) await this.#pause()
    }
  }

  async #takeSome(): Promise<number> {
    try {
      const jobs = await this.#boss.fetch<JsonObject>(this.#queue, { batchSize: BATCH_SIZE })
      // All of them, also when one could not be settled: who stops waits for what is under way.
      const ends = await Promise.allSettled(jobs.map((job) => this.#handle(job)))
      const failed = ends.find(({ status }) => status === 'rejected')
      if (failed?.status === 'rejected') throw failed.reason
      return jobs.length
    } catch (error) {
      this.#log.warn({ err: error, queue: this.#queue }, 'jobs not fetched or not settled')
      return 0
    }
  }

  async #handle({ id, data }: PgBoss.Job<JsonObject>): Promise<void> {
    try {
      await this.#handler(data)
    } catch (error) {
      this.#log.warn({ err: error, queue: this.#queue, job: id }, 'job failed')
      await this.#boss.fail(this.#queue, id, { message: (error as Error).message })
      return
    }
    await this.#boss.complete(this.#queue, id)
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, POLL_MS)
      this.#wakeUp = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

/** The newest jobs of a queue, of some states; those that ended are kept for a while. */
export async function newestJobs(
  db: Db,
  queue: string,
  states: readonly JobState[],
  limit: number,
): Promise<KnownJob[]> {
  return db.query<KnownJob>(NEWEST, [queue, [...states], limit])
}

const NEWEST = `select id::text as id, data, state::text as state, created_on as "createdAt",
    start_after as "nextAt", completed_on as "endedAt", output ->> 'message' as error,
    case when state = 'created' then 0 else retry_count + 1 end as attempts
  from (
    select id, name, data, state, created_on, start_after, completed_on, output, retry_count from pgboss.job
    union all
    select id, name, data, state, created_on, start_after, completed_on, output, retry_count from pgboss.archive
  ) as known
  where name = $1 and state::text = any($2) order by created_on desc, id limit $3`
