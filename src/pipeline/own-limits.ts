import { overOwnLimit, ownReservation } from '../agents/own-budget.ts'
import type { AgentState } from '../agents/registry.ts'
import type { Claim } from './claim.ts'

/**
 * A claim with the bounds the registry sets this agent, read in the ledger and not from a cache: one
 * too dear becomes a denial, any other is charged to the agent's month.
 */
export function withOwnLimits<Costed extends Pick<Claim, 'decision' | 'costMicros'>>(
  claim: Costed,
  state: AgentState | undefined,
): Costed {
  const { decision, costMicros } = claim
  if (!state || decision.effect === 'deny') return claim
  const tooDear = overOwnLimit(state, costMicros)
  if (tooDear) {
    const asking = decision.reservations.filter(({ phase }) => phase === 'request')
    const denied = {
      ...decision,
      effect: 'deny' as const,
      reasons: [tooDear],
      reservations: asking,
    }
    return { ...claim, decision: denied }
  }
  if (costMicros === 0n && state.monthlyBudget === null) return claim
  const reservations = [...decision.reservations, ownReservation(state, costMicros)]
  return { ...claim, decision: { ...decision, reservations } }
}
