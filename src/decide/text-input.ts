import type { Bundle, GuardInput } from '../bundle/types.ts'
import type { Facts } from '../model/facts.ts'
import { type ActionCall, UNSAID } from '../model/request.ts'
import { UNKNOWN_TOOL } from './unknown-tool.ts'

/** What guards are asked about a text, or about mere asking, which are no actions and cost nothing. */
export const inputOfText = (
  action: ActionCall,
  reason: string | null,
  facts: Facts,
  bundle: Bundle,
): GuardInput => ({
  request: { ...UNSAID, subject: { type: 'agent', id: facts.agent.id }, action, reason },
  facts,
  tool: bundle.tools.get(action.name) ?? UNKNOWN_TOOL,
  resource: { type: 'text', id: '' },
  environment: bundle.environment,
  costMicros: 0n,
})
