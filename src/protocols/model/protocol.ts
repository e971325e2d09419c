import type { JsonObject } from '../../model/json.ts'
import type { Protocol } from '../../bundle/types.ts'
import { MODEL_TOOL, MODEL_UPSTREAM } from './call.ts'
import { buildModelTarget, MODEL_TOOL_DECLARATION, modelUpstream, worstCaseMicros } from './tool.ts'

/** Language models that speak OpenAI's API: one built-in tool, on an upstream whose address the environment gives. */
export const MODEL: Protocol = {
  name: 'model',
  own: {
    tools: [MODEL_TOOL_DECLARATION],
    upstreamName: MODEL_UPSTREAM,
    upstream: ({ llm }) => modelUpstream(llm),
  },
  target: ({ args }, rules) => buildModelTarget(rules, args),
  worstCaseMicros: ({ args }, rules) => worstCaseMicros(rules, args),
  conversation: ({ messages }) =>
    Array.isArray(messages) ? (messages as readonly JsonObject[]) : [],
}

/** A question to the model, as a call of its tool. */
export const chatCall = (args: JsonObject) => ({ tool: MODEL_TOOL, args })

/** Whether it is the model's own tool: through a call that it proposes it would call itself. */
export const isModelTool = (name: string): boolean => name === MODEL_TOOL
