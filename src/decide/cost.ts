import { MODEL_TOOL } from '../model/model-call.ts'
import type { ActionRequest } from '../model/request.ts'
import type { Tool } from '../model/tool.ts'
import { worstCaseMicros } from '../policy/model-tool.ts'
import type { Bundle } from '../policy/types.ts'

/** What an action with valid args costs: what its tool does, or what the request declares if more. */
export function costOf(request: ActionRequest, tool: Tool, bundle: Bundle): bigint {
  const fixed = tool.name === MODEL_TOOL ? worstCaseMicros(bundle, request.args) : tool.costMicros
  return atLeast(fixed, request)
}

/** A declared cost may raise the known one, never lower it. */
export function atLeast(fixed: bigint, { costMicros }: ActionRequest): bigint {
  return costMicros !== null && costMicros > fixed ? costMicros : fixed
}
