import { BARE_PROFILE, type Agent } from '../agents/agent.ts'
import type { Inquiry } from '../model/inquiry.ts'
import type { ActionRequest } from '../model/request.ts'

/** What is judged of a question, and is on record of it. */
export function requestOf(
  { subject, action, resource, context }: Inquiry,
  agent: Pick<Agent, 'id'>,
): ActionRequest {
  return {
    subject: { type: subject.type, id: agent.id === '' ? subject.id : agent.id },
    action: { name: action.name, properties: action.properties },
    resource: { type: resource.type, id: resource.id },
    context,
    reason: null,
    costMicros: null,
  }
}

/** Somebody the registry does not know, as what is judged wants to have it. */
export function stranger({ subject }: Inquiry): Agent {
  const never = new Date(0)
  return {
    ...BARE_PROFILE,
    id: '',
    name: `${subject.type}:${subject.id}`,
    status: 'active',
    properties: subject.properties,
    template: '',
    manifestHash: '',
    statusReason: '',
    startedAt: null,
    createdAt: never,
    updatedAt: never,
  }
}
