import { overOwnLimit, ownReservation } from './own-budget.ts'
import type { AgentState } from './registry.ts'
import { type Decision, ofPhase } from '../model/decision.ts'

/**
 * A decision within the bounds the registry sets this agent, read in the ledger and not from a cache: one
 * too dear becomes a denial, any other is charged to the agent's month.
 */
export function withOwnLimits<D extends Pick<Decision, 'effect' | 'reasons' | 'reservations'>>(
  decision: D,
  costMicros: bigint,
  state: AgentState | undefined,
): D {
  if (!state || decision.effect === 'deny') return decision
  const tooDear = overOwnLimit(state, costMicros)
  if (tooDear) {
    const reservations = ofPhase(decision, 'request')
    return { ...decision, effect: 'deny', reasons: [tooDear], reservations }
  }
  if (costMicros === 0n && state.monthlyBudget === null) return decision
  const reservations = [...decision.reservations, ownReservation(state, costMicros)]
  return { ...decision, reservations }
}
