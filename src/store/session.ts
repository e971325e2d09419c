import pg from 'pg'
import type { Client, ClientConfig } from 'pg'
import { cut, DatabaseLate, deadline } from './deadline.ts'
import type { Db } from './tx.ts'

/**
 * One connection of its own, for what may not stand behind other work: the lease and the kill switch. Each
 * statement has a deadline; one that gets no answer ends the connection, and the next opens another.
 */
export class Session implements Db {
  readonly #config: ClientConfig
  readonly #deadlineMs: number
  #client: Promise<Client> | undefined

  constructor(config: ClientConfig, deadlineMs: number) {
    this.#config = { ...config, connectionTimeoutMillis: deadlineMs }
    this.#deadlineMs = deadlineMs
  }

  /** @throws DatabaseLate, or what the database says */
  async query<Row>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    const opening = (this.#client ??= this.#connect())
    const client = await opening
    let isLate = false
    const answered = deadline(this.#deadlineMs, () => {
      isLate = true
      this.#forget(opening)
      cut(client)
    })
    try {
      const { rows } = await client.query(text, values as unknown[])
      return rows as Row[]
    } catch (error) {
      throw isLate ? new DatabaseLate() : error
    } finally {
      answered()
    }
  }

  async stop(): Promise<void> {
    const client = await this.#client?.catch(() => undefined)
    if (client) cut(client)
  }

  #connect(): Promise<Client> {
    const opening = this.#open(() => this.#forget(opening))
    opening.catch(() => this.#forget(opening))
    return opening
  }

  async #open(onLost: () => void): Promise<Client> {
    const client = new pg.Client(this.#config)
    client.on('error', onLost)
    client.on('end', onLost)
    await client.connect()
    return client
  }

  #forget(opening: Promise<Client>): void {
    if (this.#client === opening) this.#client = undefined
  }
}
