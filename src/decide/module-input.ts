import { microsToText } from '../lib/money.ts'
import type { JsonObject } from '../model/json.ts'
import type { GuardInput } from '../bundle/types.ts'

/**
 * `input` as a module sees it, in AuthZEN's words. What the gate knows stands after what the agent
 * says and wins: an agent cannot name its own environment or time.
 */
export function moduleInput(input: GuardInput): JsonObject {
  const { request, facts, tool, resource, environment } = input
  const { agent } = facts
  return {
    subject: {
      type: request.subject.type,
      id: agent.id,
      properties: {
        ...agent.properties,
        name: agent.name,
        owner: agent.owner,
        roles: agent.roles,
        status: agent.status,
      },
    },
    action: {
      name: tool.name,
      properties: {
        args: request.action.properties,
        effect: tool.effectClass,
        upstream: tool.upstream,
        method: tool.method,
        reason: request.reason,
        cost: microsToText(input.costMicros),
        headers: request.headers ?? {},
      },
    },
    resource: { type: resource.type, id: resource.id, properties: {} },
    context: { ...request.context, environment, now_ms: facts.nowMs, facts: facts.lookups },
  }
}
