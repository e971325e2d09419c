import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { ClientConfig } from 'pg'
import { cut } from './deadline.ts'

const RETRY_MS = 500

/**
 * Hears what other replicas announce. A hint for speed only: leases and polls are what is relied on,
 * so a lost connection costs latency and is simply opened again.
 */
export class Listener {
  readonly #config: ClientConfig
  readonly #channel: string
  readonly #onMessage: (payload: string) => void
  #client: pg.Client | undefined
  #running: Promise<void> | undefined
  #stopped = false

  constructor(config: ClientConfig, channel: string, onMessage: (payload: string) => void) {
    this.#config = config
    this.#channel = channel
    this.#onMessage = onMessage
  }

  start(): void {
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#client) cut(this.#client)
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      await this.#listenUntilLost().catch(() => {})
      if (!this.#stopped) await delay(RETRY_MS)
    }
  }

  async #listenUntilLost(): Promise<void> {
    const client = new pg.Client(this.#config)
    const lost = new Promise<void>((resolve) => client.once('end', resolve))
    client.on('error', () => {}) // followed by `end`
    client.on('notification', ({ payload = '' }) => this.#onMessage(payload))
    this.#client = client // from here on it can be cut, also while it connects
    // The driver never settles a connect that is ended under way, but says that it ended.
    await Promise.race([client.connect(), lost])
    if (this.#stopped) return
    await client.query(`listen ${this.#channel}`)
    await lost
  }
}
