import type { Reason, WireCode } from '../model/decision.ts'
import type { AgentStatus, Facts } from '../model/facts.ts'
import type { Resource, ActionRequest } from '../model/request.ts'
import type { Tool } from '../model/tool.ts'
import { nearestRoutes } from '../bundle/nearest.ts'
import type { Bundle } from '../bundle/types.ts'

/** The source named by reasons that come from the gate itself and not from a guard. */
export const GATE = 'gate'

const refuse = (code: string, message: string, wire?: WireCode): Reason => ({
  code,
  message,
  effect: 'deny',
  source: GATE,
  ...(wire === undefined ? {} : { wire }),
})

/** Why no guard needs to be asked, or undefined when they must. */
export function precondition(
  request: ActionRequest,
  facts: Facts,
  bundle: Bundle,
  tool: Tool | undefined,
): Reason | undefined {
  return (
    checkStatus(facts.agent.status) ??
    (tool ? undefined : unknownTool(request, bundle)) ??
    checkArgs(request, bundle) ??
    (tool ? checkResource(request, tool) : undefined) ??
    checkFacts(facts, tool)
  )
}

function unknownTool({ action }: ActionRequest, bundle: Bundle): Reason {
  const { method, path } = action.properties
  const isRoute = typeof path === 'string' && typeof method === 'string'
  if (!isRoute || !action.name.startsWith(PROXIED)) {
    return refuse('unknown_tool', `there is no tool \`${action.name.slice(0, 128)}\``)
  }
  const asked = { upstream: action.name.slice(PROXIED.length), method, path }
  const near = nearestRoutes(bundle.routes, asked).map((one) => `\`${one}\``)
  const hint = near.length === 0 ? '' : `; the nearest are ${near.join(', ')}`
  const message = `no tool stands for \`${asked.method.slice(0, 16)} ${path.slice(0, 120)}\`${hint}`
  return refuse('unknown_tool', message, 'no_such_tool')
}

/** What a route that no tool stands for is called on record: this and its upstream. */
const PROXIED = 'proxy/'

function checkStatus(status: AgentStatus): Reason | undefined {
  if (status === 'active') return undefined
  const wire = status === 'paused' ? 'agent_paused' : 'policy_denied'
  return refuse(`agent_${status}`, `the agent is ${status}`, wire)
}

function checkArgs(request: ActionRequest, bundle: Bundle): Reason | undefined {
  const problem = bundle.argsChecks.get(request.action.name)?.(request.action.properties)
  return problem === undefined ? undefined : refuse('invalid_args', problem, 'invalid_request')
}

// The tool's mapping says what is really acted on; a caller who names something else is refused
// rather than judged by the wrong name.
function checkResource(request: ActionRequest, tool: Tool): Reason | undefined {
  const mapped = mappedResource(request, tool)
  const named = request.resource
  if (!mapped || !named || (named.type === mapped.type && named.id === mapped.id)) return undefined
  const message = `the args act on ${mapped.type} \`${mapped.id.slice(0, 80)}\`, not on the named resource`
  return refuse('resource_mismatch', message, 'invalid_request')
}

function checkFacts(facts: Facts, tool: Tool | undefined): Reason | undefined {
  const failed = Object.entries(facts.unavailable)[0]
  if (failed) return refuse('fact_unavailable', `\`${failed[0]}\` is not available: ${failed[1]}`)
  const missing = tool?.facts.find((fact) => !Object.hasOwn(facts.lookups, fact.name))
  if (!missing) return undefined
  return refuse('fact_unavailable', `\`${missing.name}\` was not looked up`)
}

/** What the request acts on, in AuthZEN's words. A tool without a mapping is its own resource. */
export function resourceOf(request: ActionRequest, tool: Tool): Resource {
  return mappedResource(request, tool) ?? request.resource ?? { type: 'tool', id: tool.name }
}

function mappedResource(request: ActionRequest, tool: Tool): Resource | undefined {
  const idArg = tool.resource?.idArg ?? null
  if (tool.resource === null || idArg === null) return undefined
  const id = Object.hasOwn(request.action.properties, idArg)
    ? request.action.properties[idArg]
    : undefined
  if (typeof id !== 'string' && typeof id !== 'number') return undefined
  return { type: tool.resource.type, id: String(id) }
}
