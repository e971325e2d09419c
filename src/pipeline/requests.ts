import type { Agent } from '../agents/agent.ts'
import { withReadBody } from '../bundle/body-args.ts'
import { passedHeaders, readHeaders } from '../bundle/headers.ts'
import { matchRoute } from '../bundle/route.ts'
import type { Bundle } from '../bundle/types.ts'
import { GatewayError } from '../errors.ts'
import { microsFromJson } from '../lib/money.ts'
import type { JsonObject } from '../model/json.ts'
import type { ActionRequest, Resource } from '../model/request.ts'
import type { ActionRow } from '../record/actions.ts'
import type { Call, NamedCall, Submission } from './submission.ts'

/** The canonical request of a submission, of which `named` says the tool. */
export function toRequest(
  { resource, context, reason, costMicros }: Submission,
  { tool, args, headers = {} }: NamedCall,
  agent: Agent,
): ActionRequest {
  return {
    ...(Object.keys(headers).length > 0 ? { headers } : {}),
    subject: { type: 'agent', id: agent.id },
    action: { name: tool, properties: args },
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
    headers?: Readonly<Record<string, string>>
  }
  return {
    ...(json.headers ? { headers: json.headers } : {}),
    subject: json.subject,
    action: { name: json.action.name, properties: json.args },
    resource: json.resource,
    context: json.context,
    reason: json.reason,
    costMicros: json.cost === null ? null : (microsFromJson(json.cost) ?? null),
  }
}

const RECORDED_CHARS_MAX = 1_000

/** @throws GatewayError `invalid_request` where the request is not spelt the one way that is allowed */
export function named(call: Call, bundle: Bundle): NamedCall {
  if ('tool' in call) return call
  const { upstream, method, path, query } = call
  const match = matchRoute(bundle.routes, upstream, method, path, query)
  if (match.ok) {
    const { tool } = match
    const known = { ...match.args, ...Object.fromEntries(readHeaders(tool, call.headers)) }
    const on = bundle.upstreams.get(upstream)
    return {
      tool: tool.name,
      args: withReadBody(tool, known, call.body()),
      headers: on ? passedHeaders(tool, on, call.headers) : {},
    }
  }
  if (match.code === 'not_canonical') throw new GatewayError('invalid_request', match.message)
  // A path no tool stands for is an action all the same: it is denied, and the denial is on record.
  return { tool: `proxy/${upstream}`, args: { method, path: path.slice(0, RECORDED_CHARS_MAX) } }
}
