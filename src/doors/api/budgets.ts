import { guardBudgets, type GuardBudget } from '../../agents/guard-budgets.ts'
import { agentNames } from '../../agents/known.ts'
import { microsToText } from '../../lib/money.ts'
import type { JsonObject } from '../../model/json.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { READERS } from '../edge/roles.ts'
import { always, INTEGER, list, MAYBE_STRING, STRING } from '../edge/schemas.ts'

const SHOWN_MAX = 500
const ANSWER = always({
  budgets: list(
    always({
      guard: STRING,
      period: { enum: ['day', 'month', 'total'] },
      scope: { enum: ['agent', 'tool', 'role', 'global'] },
      of: { ...STRING, description: 'an agent id, a tool, a role, or `*`' },
      name: { ...MAYBE_STRING, description: 'of an agent' },
      limit: STRING,
      spent: STRING,
      reserved: STRING,
      remaining: STRING,
      percent: INTEGER,
    }),
  ),
})

/** `GET /budgets`: what the budgets of guards stand at. */
export function budgetEndpoints(parts: PartsOf<'db'>): Endpoints {
  const { db } = parts
  return new Endpoints('spend', parts).on(
    'get',
    '/budgets',
    {
      answer: ANSWER,
      summary: 'What the budgets of guards stand at now, those nearest to their limits first',
      description: `At most ${SHOWN_MAX}. A budget that nothing was taken from in its period is not among them.`,
      roles: READERS,
    },
    async () => {
      const rows = await guardBudgets(db, SHOWN_MAX)
      const ids = rows.filter(({ scope }) => scope === 'agent').map(({ of }) => of)
      const names = await agentNames(db, ids)
      return { budgets: rows.map((row) => budgetJson(row, names)) }
    },
  )
}

function budgetJson(row: GuardBudget, names: ReadonlyMap<string, string>): JsonObject {
  const { guard, period, scope, of, limit, settled, reserved } = row
  const used = settled + reserved
  return {
    guard,
    period,
    scope,
    of,
    name: scope === 'agent' ? (names.get(of) ?? null) : null,
    limit: microsToText(limit),
    spent: microsToText(settled),
    reserved: microsToText(reserved),
    remaining: microsToText(limit > used ? limit - used : 0n),
    percent: limit === 0n ? 100 : Number((used * 100n) / limit),
  }
}
