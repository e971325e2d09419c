import type { AgentFacts } from '../model/facts.ts'
import { UNSAID } from '../model/request.ts'
import type { Tool } from '../model/tool.ts'
import type { Bundle, Guard } from '../bundle/types.ts'
import { isForRoles } from '../bundle/roles.ts'
import { inputFor } from './decide.ts'

/** What is known of a tool before anybody says with which args it is called. */
export type Outlook = 'allow' | 'require_approval' | 'deny' | 'depends'

/**
 * What rules say of an agent that would use a tool. `depends`: on the args, on what was done before, or on a module.
 * Bounds that every call is held against (schemas, rates, budgets, texts) are not part of it: `allow` is no promise.
 */
export function outlookOf(tool: Tool, agent: AgentFacts, bundle: Bundle, nowMs: number): Outlook {
  const guards = (bundle.guardsByTool.get(tool.name) ?? []).filter(
    (guard) => guard.mode === 'enforce' && isForRoles(guard, agent.roles),
  )
  const rows = guards.filter(({ grants }) => grants)
  const said = rows.map((row) => unconditionally(row, tool, agent, bundle, nowMs))
  if (agent.status !== 'active' || said.includes('deny')) return 'deny'
  if (bundle.modules.length > 0) return 'depends'
  if (rows.length === 0) return 'deny'
  const mayBeHeld = guards.some(({ grants, mayHold }) => mayHold && !grants)
  if (mayBeHeld || said.includes('none')) return 'depends'
  return said.includes('require_approval') ? 'require_approval' : 'allow'
}

/** What a row says whatever the args are; `none` where it asks about them. */
function unconditionally(
  row: Guard,
  tool: Tool,
  agent: AgentFacts,
  bundle: Bundle,
  nowMs: number,
): string {
  const action = { name: tool.name, properties: {} }
  const request = { ...UNSAID, subject: { type: 'agent', id: agent.id }, action }
  const facts = { nowMs, agent, lookups: {}, unavailable: {} }
  return row.evaluate(inputFor(request, facts, bundle, tool, 0n)).outcome
}
