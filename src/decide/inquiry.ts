import type { Bundle } from '../bundle/types.ts'
import type { Facts } from '../model/facts.ts'
import type { Inquiry } from '../model/inquiry.ts'
import type { JsonObject } from '../model/json.ts'
import { type Tool, UNDECLARED } from '../model/tool.ts'
import type { Elsewhere } from './decide.ts'

/** What a declared action is to guards and modules; undefined where none of this name may be asked about. */
export function elsewhere(
  inquiry: Inquiry,
  facts: Facts,
  { decisionApi, environment }: Pick<Bundle, 'decisionApi' | 'environment'>,
): Elsewhere | undefined {
  const { action, resource } = inquiry
  const types = decisionApi.actions.get(action.name)
  if (types === undefined || (types !== null && !types.includes(resource.type))) return undefined
  return { tool: actionTool(action.name), input: inquiryInput(inquiry, facts, environment) }
}

function actionTool(name: string): Tool {
  return {
    ...UNDECLARED,
    name,
    description: '',
    upstream: '',
    method: '',
    path: '/',
    effectClass: 'write',
    argsSchema: {},
    location: { file: 'gate.yaml', line: 1, col: 1 },
  }
}

// As it was asked, in AuthZEN's words. What the gate knows stands after what is said and wins; of an agent that
// is what the registry knows, and what was said of it is `claimed`.
function inquiryInput(
  { subject, action, resource, context }: Inquiry,
  facts: Facts,
  environment: string,
): JsonObject {
  const { agent } = facts
  const known =
    subject.type === 'agent'
      ? {
          ...agent.properties,
          name: agent.name,
          owner: agent.owner,
          roles: agent.roles,
          status: agent.status,
          claimed: subject.properties,
        }
      : subject.properties
  const id = subject.type === 'agent' ? agent.id : subject.id
  return {
    subject: { type: subject.type, id, properties: known },
    action: { name: action.name, properties: action.properties },
    resource: { type: resource.type, id: resource.id, properties: resource.properties },
    context: { ...context, environment, now_ms: facts.nowMs, facts: facts.lookups },
  }
}
