import { LRUCache } from 'lru-cache'
import { GatewayError } from '../../errors.ts'
import { clientNetwork } from '../../lib/addresses.ts'
import type { Client } from './client.ts'

/** Wrong keys that one client may present in a minute before it is told to wait. */
const FAILURES_MAX = 20
const WINDOW_MS = 60_000
const CLIENTS_MAX = 20_000

/**
 * Counts the wrong keys that came from each client in the minute after the first. A key that is right is
 * let in all the same, for many agents may share an address with one that is set up wrongly.
 */
export class FailedLogins {
  readonly #failures = new LRUCache<string, number>({
    max: CLIENTS_MAX,
    ttl: WINDOW_MS,
    noUpdateTTL: true, // the minute begins with the first
  })

  /** Counts a wrong key. @throws GatewayError `rate_limited` when there were too many */
  failed({ address }: Client): void {
    const client = clientNetwork(address)
    const failures = (this.#failures.get(client) ?? 0) + 1
    this.#failures.set(client, failures)
    if (failures <= FAILURES_MAX) return
    const retryAfterS = Math.ceil(Math.max(1, this.#failures.getRemainingTTL(client) / 1000))
    const message = `more than ${FAILURES_MAX} wrong keys came from this address within a minute`
    throw new GatewayError('rate_limited', message, { retryAfterS })
  }
}
