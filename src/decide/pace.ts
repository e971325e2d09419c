import { ofPhase, type Reservation } from '../model/decision.ts'
import type { Facts } from '../model/facts.ts'
import type { Bundle, GuardInput } from '../bundle/types.ts'
import { UNKNOWN_TOOL } from './unknown-tool.ts'

/**
 * What asking costs, whatever is asked: the counters of the rate limits that are for any tool. For
 * requests that are no actions and leave a trace in the record all the same.
 */
export function askingReservations(facts: Facts, bundle: Bundle): readonly Reservation[] {
  const input: GuardInput = {
    request: {
      subject: { type: 'agent', id: facts.agent.id },
      action: { name: '', properties: {} },
      resource: null,
      context: {},
      reason: null,
      costMicros: null,
    },
    facts,
    tool: UNKNOWN_TOOL,
    resource: { type: 'text', id: '' },
    environment: bundle.environment,
    costMicros: 0n,
  }
  return bundle.guardsForAny
    .filter(({ countsRequests, mode }) => countsRequests && mode === 'enforce')
    .filter(({ roles }) => roles.size === 0 || facts.agent.roles.some((role) => roles.has(role)))
    .flatMap((guard) => ofPhase(guard.evaluate(input), 'request'))
}
