import type { Agent } from '../../agents/agent.ts'
import type { Bundle } from '../../bundle/types.ts'
import type { Asking, McpParts } from './served.ts'

/** By which policy a caller is shown tools and calls them. */
export interface Shown {
  readonly bundle: Bundle
  /** Null: somebody who only looks, and is shown all. */
  readonly agent: Agent | null
}

/** The policy of a caller: the live one, or that of the side of a canary that it is on. */
export async function shownTo(
  { policies, pipeline, agents }: Pick<McpParts, 'policies' | 'pipeline' | 'agents'>,
  { caller }: Pick<Asking, 'caller'>,
): Promise<Shown> {
  if (caller.agentId === null) return { bundle: policies.current, agent: null }
  const agent = await agents.acting(caller)
  return { bundle: pipeline.policies.about(agent, policies.current), agent }
}
