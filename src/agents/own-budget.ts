import { MICROS_MAX, microsToText } from '../lib/money.ts'
import type { Reason, Reservation } from '../model/decision.ts'
import type { AgentState } from './registry.ts'

type Limits = Pick<AgentState, 'id' | 'monthlyBudget' | 'perActionLimit' | 'thresholds'>

/** The counter of what an agent spends in a month, whether or not it has a budget of its own. */
export function ownBudgetKey(agentId: string): string {
  return `own:agent:${agentId}`
}

/** What an action of this cost takes from the agent's own month, which every cost is charged to. */
export function ownReservation(limits: Limits, costMicros: bigint): Reservation {
  const { monthlyBudget } = limits
  const span = monthlyBudget === null ? '' : microsToText(monthlyBudget)
  return {
    kind: 'budget',
    key: ownBudgetKey(limits.id),
    phase: 'effect',
    mode: 'enforce',
    windowMs: 0,
    period: 'month',
    limit: monthlyBudget ?? MICROS_MAX,
    amount: costMicros,
    members: [],
    thresholds: monthlyBudget === null ? [] : limits.thresholds,
    pausesAgent: monthlyBudget !== null,
    exceeded: {
      code: 'budget_exceeded',
      message: `more than the agent's budget of ${span} a month`,
      wire: 'budget_exceeded',
      effect: 'deny',
      source: 'agent.monthly_budget',
    },
  }
}

/** Why an action of this cost is too dear for the agent, or undefined. */
export function overOwnLimit(limits: Limits, costMicros: bigint): Reason | undefined {
  const { perActionLimit } = limits
  if (perActionLimit === null || costMicros <= perActionLimit) return undefined
  return {
    code: 'per_action_limit_exceeded',
    message: `one action of this agent may cost at most ${microsToText(perActionLimit)}`,
    wire: 'per_action_limit_exceeded',
    effect: 'deny',
    source: 'agent.per_action_limit',
  }
}
