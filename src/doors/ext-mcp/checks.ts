import path from 'node:path'
import { EXPOSED_METHODS, type ExposedMethod } from '../../bundle/exposed.ts'
import { GatewayError } from '../../errors.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import { UNSAID } from '../../model/request.ts'
import { isObject, McpError } from '../../mcp/wire.ts'
import { callerOf } from '../edge/context.ts'
import { errorBody } from '../edge/errors.ts'
import type { HttpParts } from '../edge/parts.ts'
import { keysIn, type Verdict, verdictOf } from '../ext-authz/verdict.ts'
import {
  CODES,
  decidedOf,
  type GrpcAsked,
  type GrpcSaid,
  type GrpcService,
  identify,
  type Keys,
  statusOf,
} from '../grpc/answering.ts'
import { relayBeside } from '../mcp/beside.ts'
import { unknownName } from '../mcp/calls.ts'
import { shownTo } from '../mcp/side.ts'
import { type HeldRequest, type HeldResponse, jsonObject, keyedRequest, vouchedIn } from './held.ts'
import { isListing, isTheirs, servedTool, shownPart } from './lists.ts'

// The external MCP policy of agentgateway (ExtMcp): a gateway of MCP asks about each request before it forwards it, and about each
// list before it shows it. A call is judged as at `/mcp/{server}`, by the pinned schema and the same rules, and carried out by
// whoever asked. A method that is not known here is refused.

type Parts = Pick<HttpParts, 'agents' | 'metrics' | 'peers' | 'pipeline' | 'policies'>

/** What has no effect and tells nothing: lists are looked at when they come back. */
const PASSED: ReadonlySet<string> = new Set([
  ...['initialize', 'ping', 'server/discover', 'logging/setLevel'],
  ...['notifications/initialized', 'notifications/cancelled', 'notifications/progress'],
  'notifications/roots/list_changed',
])

/** Whose requests a gateway asks about, so that what comes back was judged. Of `completion/complete` it shows responses only. */
const ANSWERED: ReadonlySet<string> = new Set([
  ...['tools/call', 'resources/read', 'prompts/get'],
  ...['resources/subscribe', 'resources/unsubscribe'],
])

/** Asked about as another method, which has the same args. */
const AS_OTHER: Readonly<Record<string, ExposedMethod>> = {
  'resources/subscribe': 'resources/read',
  'resources/unsubscribe': 'resources/read',
}

/** Members of params that are judged; beside them stands only what belongs to the protocol. */
const JUDGED: Readonly<Record<string, readonly string[]>> = {
  'tools/call': ['name', 'arguments'],
  'resources/read': ['uri'],
  'prompts/get': ['name', 'arguments'],
  'completion/complete': ['ref', 'argument', 'context'],
}

/** `agentgateway.dev.ext_mcp.ExtMcp`. */
export function extMcpService(parts: Parts, keys: Keys): GrpcService {
  return {
    proto: path.join(import.meta.dirname, 'ext_mcp.proto'),
    name: 'agentgateway.dev.ext_mcp.ExtMcp',
    calls: {
      CheckRequest: (asked) => decided(() => request(asked, parts, keys)),
      CheckResponse: (asked) => decided(() => response(asked, parts, keys)),
    },
    count: (status) => parts.metrics.extMcpChecks.inc({ status: String(status) }),
  }
}

const PASS: GrpcSaid = { message: { pass: {} }, status: CODES.OK }

/** The gate's keys are none of the servers' business. */
const passed = (remove: readonly string[]): GrpcSaid => ({
  message: { pass: {}, header_mutation: { set: [], remove } },
  status: CODES.OK,
})

async function decided(answer: () => Promise<GrpcSaid>): Promise<GrpcSaid> {
  try {
    return await answer()
  } catch (error) {
    return denied(decidedOf(asGateway(error)))
  }
}

const asGateway = (error: unknown): unknown =>
  error instanceof McpError ? new GatewayError('invalid_request', error.message) : error

async function request(asked: GrpcAsked, parts: Parts, keys: Keys): Promise<GrpcSaid> {
  const held = asked.request as HeldRequest
  // What says who asks for a list is read again when it comes back, of the same headers.
  if (isListing(held.method)) return PASS
  if (PASSED.has(held.method)) return passed(keysIn(keyedRequest(held)))
  const method = AS_OTHER[held.method] ?? held.method
  if (!Object.hasOwn(JUDGED, method)) {
    throw new GatewayError('method_not_allowed', `\`${held.method.slice(0, 64)}\` is not judged`)
  }
  const req = keyedRequest(held)
  await identify(req, asked, vouchedIn(held), keys)
  const [server = '', ...others] = held.service_names
  if (!SERVER.test(server) || others.length > 0) {
    throw new GatewayError('invalid_request', 'one server is wanted, by its name')
  }
  const caller = callerOf(req)
  const params = paramsOf(held, method)
  const { tool, args, isShown } = await wanted(server, method, params, { caller, parts })
  const verdict = await parts.pipeline
    .evaluate({
      ...{ caller, requestId: asked.requestId, call: { tool, args }, ...UNSAID },
      context: { mcp: { server } },
      ...{ idempotencyKey: null, waitMs: 0, surface: 'ext_mcp' },
    })
    .then(verdictOf, (error: unknown) => ({ allowed: false, error: decidedOf(error) }) as const)
  if (verdict.allowed) return permitted(verdict, keysIn(req))
  throw isShown ? verdict.error : nothingThere(verdict.error)
}

/** What an agent may not know of is refused like what is not there. */
function nothingThere(error: GatewayError): GatewayError {
  const { status, details } = error
  if (status === 429 || status >= 500) return error
  const { decision_id: decisionId } = details
  return new GatewayError('policy_denied', 'there is no such thing for this agent', {
    details: decisionId === undefined ? {} : { decision_id: decisionId },
  })
}

async function response(asked: GrpcAsked, parts: Parts, keys: Keys): Promise<GrpcSaid> {
  const held = asked.request as HeldResponse
  if (PASSED.has(held.method) || ANSWERED.has(held.method)) return PASS
  if (!isListing(held.method)) {
    const named = held.method.slice(0, 64)
    throw new GatewayError('method_not_allowed', `nobody asked before \`${named}\` was sent`)
  }
  const req = keyedRequest(held)
  await identify(req, asked, vouchedIn(held), keys)
  const shown = await shownTo(parts, { caller: callerOf(req) })
  const left = shownPart(held.method, held.service_names, held.mcp_response, shown)
  if (left === undefined) return PASS
  return { message: { mutated: Buffer.from(left) }, status: CODES.OK }
}

function paramsOf({ mcp_request: bytes }: HeldRequest, method: string): JsonObject {
  const params = jsonObject(bytes ?? Buffer.from('{}'), 'mcp_request')
  const judged = JUDGED[method] ?? []
  const other = Object.keys(params).find((name) => name !== '_meta' && !judged.includes(name))
  assertMeta(params['_meta'])
  if (other === undefined) return params
  throw new GatewayError('invalid_request', `\`${other.slice(0, 64)}\` of the params is not judged`)
}

/** What of `_meta` is the protocol's own; nothing else of it was judged. */
const META = /^(?:progressToken|io\.modelcontextprotocol\/.+|traceparent|tracestate|baggage)$/
const META_CHARS_MAX = 4_096

function assertMeta(meta: Json | undefined): void {
  if (meta === undefined) return
  const isKnown = isObject(meta) && Object.keys(meta).every((name) => META.test(name))
  if (isKnown && JSON.stringify(meta).length <= META_CHARS_MAX) return
  throw new GatewayError('invalid_request', '`_meta` has more than what belongs to the protocol')
}

const SERVER = /^[\w.-]{1,128}$/
const NAME_CHARS_MAX = 128

interface Wanted {
  readonly tool: string
  readonly args: JsonObject
  /** Whether the agent may know of it. */
  readonly isShown: boolean
}

/** The tool of the policy, or a name that nobody can have declared. */
async function wanted(
  server: string,
  method: string,
  params: JsonObject,
  { caller, parts }: { readonly caller: ReturnType<typeof callerOf>; readonly parts: Parts },
): Promise<Wanted> {
  const reading = EXPOSED_METHODS.find((one) => one === method)
  if (reading !== undefined) {
    const message = { id: 0, method, params }
    const { tool, args } = await relayBeside(parts, server).find({ caller, message }, reading)
    return { tool: tool.tool, args, isShown: tool.isShown }
  }
  const { name, arguments: args = {} } = params
  const isName = typeof name === 'string' && name.length <= NAME_CHARS_MAX && !/\p{Cc}/u.test(name)
  if (!isName || !isObject(args)) {
    throw new GatewayError('invalid_request', 'a tool by `name`, and `arguments` as an object')
  }
  const shown = await shownTo(parts, { caller })
  const tool = servedTool(shown.bundle, server, name)
  return { tool: tool?.name ?? unknownName(server, name), args, isShown: isTheirs(shown, tool) }
}

function permitted(
  { decisionId, revision }: Extract<Verdict, { allowed: true }>,
  keys: readonly string[],
): GrpcSaid {
  const set = [{ key: 'portcullis-decision', value: Buffer.from(decisionId) }]
  const fields = { decision_id: { string_value: decisionId }, revision: { string_value: revision } }
  const header_mutation = { set, remove: keys }
  return { message: { pass: {}, header_mutation, metadata: { fields } }, status: CODES.OK }
}

/** Numbers of its `AuthorizationError.Code`. */
const REFUSED = { denied: 1, exhausted: 2, invalid: 3 } as const

function denied(error: GatewayError): GrpcSaid {
  const { status, code, message } = error
  const kind =
    status === 429 ? 'exhausted' : status === 400 || status === 405 ? 'invalid' : 'denied'
  const body = Buffer.from(JSON.stringify(errorBody(error)['error']))
  const refusal = { code: REFUSED[kind], reason: `${code}: ${message}`, mcp_error: body }
  return { message: { error: refusal }, status: statusOf(error) }
}
