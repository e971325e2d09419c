import type { Bundle } from '../bundle/types.ts'
import { type Outlook, outlookOf } from '../decide/index.ts'
import type { AgentFacts } from '../model/facts.ts'
import type { Tool } from '../model/tool.ts'

/** Every tool there is, with what rules say of this agent. */
export const toolsFor = (
  agent: AgentFacts,
  bundle: Bundle,
): readonly { readonly tool: Tool; readonly may: Outlook }[] =>
  [...bundle.tools.values()].map((tool) => ({
    tool,
    may: outlookOf(tool, agent, bundle, Date.now()),
  }))
