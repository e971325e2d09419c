import type { Agent } from '../../agents/agent.ts'
import { monthOf } from '../../agents/budget-stands.ts'
import { ownBudgetKey } from '../../agents/own-budget.ts'
import { microsToText } from '../../lib/money.ts'
import type { JsonObject } from '../../model/json.ts'
import { spendByType, type TypeSpend } from '../../record/reports.ts'
import type { Db } from '../../store/tx.ts'

export function monthBounds(month: string): { from: Date; to: Date } {
  const from = new Date(`${month}-01T00:00:00Z`)
  return { from, to: new Date(Date.UTC(from.getUTCFullYear(), from.getUTCMonth() + 1, 1)) }
}

/** What an agent has spent of its own budget in a month. */
export async function agentBudget(
  db: Db,
  agent: Pick<Agent, 'id' | 'monthlyBudget'>,
  month: string,
): Promise<JsonObject> {
  const { reserved, settled } = await monthOf(db, ownBudgetKey(agent.id), `${month}-01`)
  const limit = agent.monthlyBudget
  const used = reserved + settled
  return {
    month,
    spent: microsToText(settled),
    reserved: microsToText(reserved),
    limit: limit === null ? null : microsToText(limit),
    remaining: limit === null ? null : microsToText(limit > used ? limit - used : 0n),
    percent: limit === null || limit === 0n ? null : Number((used * 100n) / limit),
  }
}

/** The same, with what it was spent on. */
export async function agentSpend(
  db: Db,
  agent: Pick<Agent, 'id' | 'name' | 'monthlyBudget'>,
  month: string,
): Promise<JsonObject> {
  const { from, to } = monthBounds(month)
  const byType = await spendByType(db, agent.id, from, to)
  const budget = await agentBudget(db, agent, month)
  return { agent: agent.id, name: agent.name, ...budget, by_type: byType.map(typeJson) }
}

export function typeJson({ type, actions, failures, cost }: TypeSpend): JsonObject {
  return { type, actions: Number(actions), failures: Number(failures), spent: microsToText(cost) }
}
