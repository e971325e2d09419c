import { Counters } from './counters.ts'
import { GatewayError } from '../errors.ts'
import type { Reservation } from '../model/decision.ts'
import type { Tx } from '../store/tx.ts'

/**
 * Counts one request of an agent that is no action against its rate limits, in the batch that records it.
 * @throws GatewayError `rate_limited`, and then nothing is recorded: a flood would fill the record
 */
export async function keepPace(tx: Tx, reservations: readonly Reservation[]): Promise<void> {
  if (reservations.length === 0) return
  const counters = await Counters.load(tx, reservations)
  const tooMany = reservations.find((one) => one.mode === 'enforce' && !counters.fits(one))
  if (tooMany) {
    throw new GatewayError('rate_limited', tooMany.exceeded.message, { retryAfterS: 1 })
  }
  counters.takeAll(reservations)
  counters.flush(tx)
}
