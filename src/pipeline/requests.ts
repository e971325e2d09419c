import type { Agent } from '../agents/agent.ts'
import { microsFromJson } from '../lib/money.ts'
import type { JsonObject } from '../model/json.ts'
import type { ActionRequest, Resource } from '../model/request.ts'
import type { ActionRow } from '../record/actions.ts'
import type { NamedCall } from './routing.ts'
import type { Submission } from './submission.ts'

/** The canonical request of a submission, of which `named` says the tool. */
export function toRequest(
  { resource, context, reason, costMicros }: Submission,
  { tool, args }: NamedCall,
  agent: Agent,
): ActionRequest {
  return {
    subject: { type: 'agent', id: agent.id },
    tool,
    args,
    resource,
    context,
    reason,
    costMicros,
  }
}

/** The request as it was stored, which is what the approval was given for. */
export function fromStored(row: Pick<ActionRow, 'request'>): ActionRequest {
  const json = JSON.parse(row.request) as {
    subject: ActionRequest['subject']
    action: { name: string }
    resource: Resource | null
    args: JsonObject
    context: JsonObject
    reason: string | null
    cost: string | null
  }
  return {
    subject: json.subject,
    tool: json.action.name,
    args: json.args,
    resource: json.resource,
    context: json.context,
    reason: json.reason,
    costMicros: json.cost === null ? null : (microsFromJson(json.cost) ?? null),
  }
}
