import { ofPhase, type Reservation } from '../model/decision.ts'
import type { Facts } from '../model/facts.ts'
import { isForRoles } from '../bundle/roles.ts'
import type { Bundle } from '../bundle/types.ts'
import { inputOfText } from './text-input.ts'

/**
 * What asking costs, whatever is asked: the counters of the rate limits that are for any tool. For
 * requests that are no actions and leave a trace in the record all the same.
 */
export function askingReservations(facts: Facts, bundle: Bundle): readonly Reservation[] {
  const input = inputOfText({ name: '', properties: {} }, null, facts, bundle)
  return bundle.guardsForAny
    .filter(({ countsRequests, mode }) => countsRequests && mode === 'enforce')
    .filter((guard) => isForRoles(guard, facts.agent.roles))
    .flatMap((guard) => ofPhase(guard.evaluate(input), 'request'))
}
