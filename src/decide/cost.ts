import type { ActionRequest } from '../model/request.ts'
import type { Tool } from '../model/tool.ts'
import { protocolOf } from '../bundle/protocol.ts'
import type { Bundle } from '../bundle/types.ts'

/** What an action with valid args costs: what its tool does, or what the request declares if more. */
export function costOf(request: ActionRequest, tool: Tool, bundle: Bundle): bigint {
  const fixed = protocolOf(bundle, tool).worstCaseMicros(
    { tool, args: request.action.properties },
    bundle,
  )
  return atLeast(fixed, request)
}

/** A declared cost may raise the known one, never lower it. */
export function atLeast(fixed: bigint, { costMicros }: ActionRequest): bigint {
  return costMicros !== null && costMicros > fixed ? costMicros : fixed
}
