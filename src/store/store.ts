import path from 'node:path'
import type { ClientConfig, Pool } from 'pg'
import type { Logger } from '../lib/log.ts'
import { EmbeddedDatabase } from './embedded/database.ts'
import { assertKnown, migrate } from './migrate.ts'
import { patiently } from './patience.ts'
import { DeadlinePool } from './pool.ts'
import { type Reach, types } from './reach.ts'
import { Session } from './session.ts'
import type { Db } from './tx.ts'

const CONNECT_TIMEOUT_MS = 2_000
const STATEMENT_TIMEOUT_MS = 10_000
/** What an action, a log-in or a lease waits for at most. The embedded database also vacuums. */
const QUERY_MS = { server: 2_000, embedded: 8_000 }
/** Lists, exports and statistics may take longer: nothing waits behind them. */
const READ_MS = 10_000
/** A commit that takes longer closes the gate for effects. */
const COMMIT_MS = { server: 500, embedded: 3_000 }
/** A lease that is not renewed in time is tried again; the lease itself lasts longer. */
const CONTROL_MS = { server: 500, embedded: 3_000 }
const SETUP_LOCK_KEY = 7_164_211
const SERVER_VERSION_MIN = 140_000

/**
 * The database: a PostgreSQL server when a URL is given, else the embedded one under `dataDir`.
 * Both speak through `pg`, so everything above is the same code.
 */
export class Store {
  readonly isEmbedded: boolean
  readonly #config: ClientConfig
  readonly #embedded: EmbeddedDatabase | undefined
  readonly #log: Logger
  #pool: DeadlinePool | undefined

  constructor(options: { databaseUrl: string | null; dataDir: string; log: Logger }) {
    this.#log = options.log
    this.isEmbedded = options.databaseUrl === null
    this.#embedded = this.isEmbedded
      ? new EmbeddedDatabase(path.join(options.dataDir, 'db'), (reason) =>
          options.log.error({ reason }, 'embedded database restarting'),
        )
      : undefined
    this.#config = options.databaseUrl ? { connectionString: options.databaseUrl } : {}
  }

  /** Opens it and brings its schema up to date; one that may not be used is closed again. */
  async start(): Promise<void> {
    await this.#embedded?.start()
    try {
      this.#pool = new DeadlinePool(this.clientConfig(), this.#log)
      await patiently(async () => {
        if (!this.isEmbedded) await assertDurable(this.pool)
        await migrate(this.pool)
      })
    } catch (error) {
      await this.stop().catch(() => {})
      throw error
    }
  }

  /**
   * Opens it as a start does and closes it again, changing nothing. `look` gets the connection of a server.
   * @throws what a start would
   */
  async tryOut(look: (pool: Pool) => Promise<void>): Promise<void> {
    await this.#embedded?.start()
    this.#pool = new DeadlinePool(this.clientConfig(), this.#log)
    try {
      if (!this.isEmbedded) await assertDurable(this.pool)
      await assertKnown(this.pool)
      if (!this.isEmbedded) await look(this.pool)
    } finally {
      await this.stop().catch(() => {})
    }
  }

  async stop(): Promise<void> {
    await this.#pool?.end()
    await this.#embedded?.stop()
  }

  get pool(): Pool {
    return this.#started().raw
  }

  /** Statements that somebody waits for. */
  get db(): Db {
    return this.#started().db(this.queryMs)
  }

  /** Statements that may take their time: lists, exports, statistics. */
  get reads(): Db {
    return this.#started().db(READ_MS)
  }

  get commitMs(): number {
    return this.isEmbedded ? COMMIT_MS.embedded : COMMIT_MS.server
  }

  /** A connection of its own, for what may not stand behind other work. */
  session(name: string): Session {
    const deadlineMs = this.isEmbedded ? CONTROL_MS.embedded : CONTROL_MS.server
    return new Session(this.clientConfig(name), deadlineMs)
  }

  get queryMs(): number {
    return this.isEmbedded ? QUERY_MS.embedded : QUERY_MS.server
  }

  #started(): DeadlinePool {
    if (!this.#pool) throw new Error('the store is not started')
    return this.#pool
  }

  /** Runs `work` while no other replica runs its own: for set-up that does not bear company. */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    if (this.isEmbedded) return work() // one process, one session: a lock would only block itself
    const client = await this.pool.connect()
    try {
      await client.query('begin')
      await client.query(`select pg_advisory_xact_lock(${SETUP_LOCK_KEY})`)
      return await work()
    } finally {
      await client.query('rollback').catch(() => {})
      client.release()
    }
  }

  /** What another thread needs to open a connection of its own, once; a port goes there by transfer. */
  reach(): Reach {
    if (this.#embedded) return { port: this.#embedded.open() }
    const { connectionString = '' } = this.#config
    return { connectionString }
  }

  /** Settings for a connection of its own (ledger, listener). 64-bit integers arrive as bigint. */
  clientConfig(name = 'portcullis'): ClientConfig {
    const base = this.#embedded ? this.#embedded.config : this.#config
    return {
      ...base,
      application_name: name,
      types,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      statement_timeout: this.isEmbedded ? undefined : STATEMENT_TIMEOUT_MS,
      keepAlive: true,
    }
  }
}

/** Settings for a foreign library: same database, the driver's default types. */
export function plainConfig(store: Store, name: string): ClientConfig {
  const { types: _, ...config } = store.clientConfig(name)
  return { ...config, query_timeout: READ_MS }
}

// Acknowledged must mean on disk: a server told otherwise would break every promise of the record.
async function assertDurable(pool: Pool): Promise<void> {
  const { rows } = await pool.query<{ name: string; setting: string }>(
    `select name, setting from pg_settings
     where name in ('fsync', 'synchronous_commit', 'full_page_writes', 'server_version_num')`,
  )
  const settings = new Map(rows.map((row) => [row.name, row.setting]))
  const weak = ['fsync', 'synchronous_commit', 'full_page_writes'].filter(
    (name) => settings.get(name) === 'off',
  )
  if (weak.length > 0) {
    throw unfit(`the PostgreSQL server runs with ${weak.join(', ')} off: commits can be lost`)
  }
  if (Number(settings.get('server_version_num')) < SERVER_VERSION_MIN) {
    throw unfit('PostgreSQL 14 or newer is needed')
  }
}

/** `code` of the error of a start on a server that cannot keep the promises of the record. */
export const DATABASE_UNFIT = 'DATABASE_UNFIT'

const unfit = (message: string): Error =>
  Object.assign(new Error(message), { code: DATABASE_UNFIT })
