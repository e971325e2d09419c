import pg from 'pg'
import type { Client, ClientConfig } from 'pg'
import type { Logger } from '../lib/log.ts'
import { cut, deadline, ended } from '../store/deadline.ts'

// The ledger has a connection of its own, because its bounds are its own: a batch that does not end holds
// the lock that everybody waits for. When something is late the connection is cut rather than waited for,
// and the server ends what was going on in it.

const RECONNECT_DELAY_MS = 100
/**
 * A replica that is frozen inside a batch holds the row lock that all others wait for. The server ends
 * such a session after this long, so the others go on within two seconds and only the frozen batch fails.
 */
const IDLE_IN_TRANSACTION_MS = 1_000
const LOCK_TIMEOUT_MS = 400

/** The one connection that ledger batches run on, opened again after it was given up. */
export class LedgerSession {
  readonly #config: ClientConfig
  readonly #log: Logger
  readonly #connectMs: number
  /** A server's session bounds its own waits; the embedded database knows no such settings. */
  readonly #bounded: boolean
  #client: Client | undefined
  #retryAt = 0

  constructor(options: {
    config: ClientConfig
    log: Logger
    connectMs: number
    bounded: boolean
  }) {
    this.#config = options.config
    this.#log = options.log
    this.#connectMs = options.connectMs
    this.#bounded = options.bounded
  }

  /** @throws when the database cannot be reached in time, at once while it was just tried */
  async client(): Promise<Client> {
    if (this.#client) return this.#client
    if (performance.now() < this.#retryAt)
      throw new Error('the connection of the ledger was just lost')
    this.#retryAt = performance.now() + RECONNECT_DELAY_MS
    this.#client = await this.#connect()
    return this.#client
  }

  /** Cuts the connection: nothing that was sent on it is waited for any more. */
  discard(client: Client): void {
    if (this.#client === client) this.#client = undefined
    cut(client)
  }

  async end(): Promise<void> {
    const client = this.#client
    if (client) await ended(client.end(), () => cut(client))
  }

  async #connect(): Promise<Client> {
    const client = new pg.Client({
      ...this.#config,
      connectionTimeoutMillis: this.#connectMs,
      pipeline: this.#bounded,
    })
    client.on('error', (error) => {
      this.#log.warn({ err: error }, 'ledger connection failed')
      this.discard(client)
    })
    client.on('end', () => this.discard(client))
    await client.connect()
    if (this.#bounded) await this.#bound(client)
    return client
  }

  async #bound(client: Client): Promise<void> {
    const answered = deadline(this.#connectMs, () => cut(client))
    try {
      await client.query(BOUNDS)
    } finally {
      answered()
    }
  }
}

// Every statement of a batch finds its rows by a key. A plan that was kept from when a table was small would
// read all of it, and one that looks dear would be compiled.
const BOUNDS = `set lock_timeout = ${LOCK_TIMEOUT_MS};
set idle_in_transaction_session_timeout = ${IDLE_IN_TRANSACTION_MS};
set plan_cache_mode = force_generic_plan;
set jit = off;
set enable_seqscan = off;
set enable_hashjoin = off;
set enable_mergejoin = off`
