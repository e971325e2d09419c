import pg from 'pg'
import type { ClientConfig, Pool, PoolClient } from 'pg'
import type { Logger } from '../lib/log.ts'
import { cut, DatabaseLate, deadline, ended } from './deadline.ts'
import type { Db } from './tx.ts'

const POOL_MAX = 10

/**
 * Connections for statements outside the ledger. One that gets no answer in time is cut, and so are all
 * that lie idle: behind a broken network every one of them is half-open, and each would cost a caller
 * another deadline after the database is well again.
 */
export class DeadlinePool {
  readonly #pool: Pool
  readonly #open = new Set<PoolClient>()
  readonly #idle = new Set<PoolClient>()

  constructor(config: ClientConfig, log: Logger) {
    this.#pool = new pg.Pool({ ...config, max: POOL_MAX })
    this.#pool.on('error', (error) => log.warn({ err: error }, 'idle database connection failed'))
    // One that breaks between two statements says so by an event, which nobody else would hear.
    this.#pool.on('connect', (client) => {
      client.on('error', () => {})
      this.#open.add(client)
    })
    this.#pool.on('acquire', (client) => this.#idle.delete(client))
    this.#pool.on('release', (error, client) => {
      if (!error) this.#idle.add(client)
    })
    this.#pool.on('remove', (client) => {
      this.#idle.delete(client)
      this.#open.delete(client)
    })
  }

  /** The driver's own pool, for set-up and for whoever needs several statements on one connection. */
  get raw(): Pool {
    return this.#pool
  }

  /** Single statements, each with this deadline. */
  db(deadlineMs: number): Db {
    return {
      query: <Row>(text: string, values: readonly unknown[] = []) =>
        this.#query<Row>(text, values, deadlineMs),
    }
  }

  end(): Promise<void> {
    return ended(this.#pool.end(), () => this.#open.forEach((client) => cut(client)))
  }

  async #query<Row>(text: string, values: readonly unknown[], deadlineMs: number): Promise<Row[]> {
    const client = await this.#pool.connect()
    let isLate = false
    let isWell = false
    const answered = deadline(deadlineMs, () => {
      isLate = true
      cut(client)
      for (const one of this.#idle) cut(one)
    })
    try {
      const { rows } = await client.query(text, values as unknown[])
      isWell = true
      return rows as Row[]
    } catch (error) {
      throw isLate ? new DatabaseLate() : error
    } finally {
      answered()
      client.release(!isWell)
    }
  }
}
