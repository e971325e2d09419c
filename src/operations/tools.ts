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

/** Whether rules deny a tool to this agent whatever the args are; not that it is paused, which passes. */
export const isHiddenFrom = (agent: AgentFacts, tool: Tool, bundle: Bundle): boolean =>
  outlookOf(tool, { ...agent, status: 'active' }, bundle, Date.now()) === 'deny'
