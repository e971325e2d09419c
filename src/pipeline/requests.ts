import type { Agent } from '../agents/agent.ts'
import { type ReadBody, withReadBody } from '../bundle/body-args.ts'
import { passedHeaders, readHeaders } from '../bundle/headers.ts'
import { isObject } from '../bundle/pointer.ts'
import { matchRoute, type RouteMatch } from '../bundle/route.ts'
import type { Bundle } from '../bundle/types.ts'
import { GatewayError } from '../errors.ts'
import { microsFromJson } from '../lib/money.ts'
import { canonicalJson } from '../lib/canonical.ts'
import { heldBytes, SentFiles } from '../lib/spool.ts'
import { bytesOfBase64 } from '../lib/base64.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { ActionRequest, Resource } from '../model/request.ts'
import type { Tool } from '../model/tool.ts'
import type { Action } from '../record/actions.ts'
import type { Call, HttpCall, NamedCall, Submission } from './submission.ts'

/** The canonical request of a submission, of which `named` says the tool. */
export function toRequest(
  { resource, context, reason, costMicros, files }: Submission,
  { tool, args, headers = {} }: NamedCall,
  agent: Agent,
): ActionRequest {
  return {
    ...(Object.keys(headers).length > 0 ? { headers } : {}),
    ...(files && files.all.length > 0 ? { fileTexts: fileTexts(files) } : {}),
    subject: { type: 'agent', id: agent.id },
    action: { name: tool, properties: args },
    resource,
    context,
    reason,
    costMicros,
  }
}

/** The request as it was stored, which is what the approval was given for. */
export function fromStored(row: Pick<Action, 'request'>): ActionRequest {
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

/** What a submission asks for, and the bundle that says so, which is the one that judges it. */
export interface Found {
  readonly bundle: Bundle
  readonly call: NamedCall
}

/**
 * Finds the tool of a call and reads its args. A body may take long to come in, and it is today's policy that judges.
 * @throws GatewayError `invalid_request` where the request can be read in more than one way
 */
export async function named(submission: Submission, current: () => Bundle): Promise<Found> {
  const { call, files = new SentFiles() } = submission
  const bundle = current()
  if ('tool' in call) return { bundle, call: withUploads(call, bundle, files) }
  const match = routed(call, bundle)
  if (!match.ok) return { bundle, call: unrouted(call) }
  const body = await call.body(match.tool)
  // Without one nothing was waited for.
  const today = body.kind === 'empty' ? bundle : current()
  if (today === bundle) return { bundle, call: ofHttp(call, bundle, match, body) }
  const again = routed(call, today)
  if (!again.ok) return { bundle: today, call: unrouted(call) }
  if (!isReadAlike(match.tool, again.tool)) {
    const message = 'the policy changed while the body came in; send the request again'
    throw new GatewayError('conflict', message, { retryable: true })
  }
  return { bundle: today, call: ofHttp(call, today, again, body) }
}

/** Whether two policies take what was sent for the same call: what one of them read of it is what the other would have. */
export function isNamedAlike(call: Call, one: Bundle, other: Bundle): boolean {
  try {
    const [a, b] = [readingOf(call, one), readingOf(call, other)]
    return a.text === b.text && (a.tool && b.tool ? isReadAlike(a.tool, b.tool) : a.tool === b.tool)
  } catch {
    return false // the other one cannot read it, which is nothing to the one that decides
  }
}

interface Reading {
  /** Of a request, the tool that stands for it. */
  readonly tool?: Tool
  /** All that is read of a call before its body is. */
  readonly text: string
}

function readingOf(call: Call, bundle: Bundle): Reading {
  if ('tool' in call) return { text: (bundle.tools.get(call.tool)?.http.files ?? []).join(' ') }
  const match = routed(call, bundle)
  if (!match.ok) return { text: '' }
  const { tool, args, headers = {} } = ofHttp(call, bundle, match, { kind: 'empty' })
  const { bodyArg } = match.tool.http
  return { tool: match.tool, text: canonicalJson({ tool, args, headers, bodyArg }) }
}

type Matched = Extract<RouteMatch, { readonly ok: true }>

function routed(call: HttpCall, { routes }: Bundle): RouteMatch {
  const match = matchRoute(routes, call.upstream, call.method, call.path, call.query)
  if (match.ok || match.code === 'no_route') return match
  throw new GatewayError('invalid_request', match.message)
}

function ofHttp(
  { upstream, headers }: HttpCall,
  bundle: Bundle,
  { tool, args }: Matched,
  body: ReadBody,
): NamedCall {
  const known = { ...args, ...Object.fromEntries(readHeaders(tool, headers)) }
  const on = bundle.upstreams.get(upstream)
  return {
    tool: tool.name,
    args: withReadBody(tool, known, body),
    headers: on ? passedHeaders(tool, on, headers) : {},
  }
}

// A path no tool stands for is an action all the same: it is denied, and the denial is on record.
const unrouted = ({ upstream, method, path }: HttpCall): NamedCall => ({
  tool: `proxy/${upstream}`,
  args: { method, path: path.slice(0, RECORDED_CHARS_MAX) },
})

/** Whether a body that was read for one tool is what would have been read for the other. */
function isReadAlike({ http: a }: Tool, { http: b }: Tool): boolean {
  return a.body === b.body && a.contentType === b.contentType && a.bodyBytesMax === b.bodyBytesMax
}

// Files that come within JSON: `{base64, filename?, content_type?}` becomes what policies see of a file.
function withUploads(call: NamedCall, { tools }: Bundle, files: SentFiles): NamedCall {
  const names = tools.get(call.tool)?.http.files ?? []
  const given = names.filter((name) => Object.hasOwn(call.args, name))
  if (given.length === 0) return call
  const uploaded = given.map((name) => {
    const value = call.args[name] ?? null
    const list = Array.isArray(value) ? (value as readonly Json[]) : undefined
    return [name, list ? list.map((one) => upload(name, one, files)) : upload(name, value, files)]
  })
  return { ...call, args: { ...call.args, ...(Object.fromEntries(uploaded) as JsonObject) } }
}

const UPLOAD_KEYS: ReadonlySet<string> = new Set(['base64', 'filename', 'content_type'])

function upload(name: string, value: Json, files: SentFiles): Json {
  if (!isObject(value) || typeof value['base64'] !== 'string') return value
  const { base64, filename = null, content_type: type = OCTETS } = value
  const bytes = bytesOfBase64(base64)
  const unknown = Object.keys(value).find((key) => !UPLOAD_KEYS.has(key))
  if (!bytes || unknown !== undefined) {
    const message = `file \`${name.slice(0, 80)}\` must be {base64, filename, content_type}`
    throw new GatewayError('invalid_request', message)
  }
  const held = heldBytes(bytes)
  files.add(held)
  return { filename, content_type: type, bytes: held.bytes, sha256: held.sha256 }
}

const OCTETS = 'application/octet-stream'

/** What guards that read text see of the files of a call: those that are text. */
export function fileTexts(files: SentFiles | undefined): ReadonlyMap<string, string> {
  const texts = new Map<string, string>()
  for (const { sha256, held } of files?.all ?? []) {
    const text = held && textOf(held)
    if (typeof text === 'string') texts.set(sha256, text)
  }
  return texts
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

function textOf(bytes: Buffer): string | null {
  try {
    return utf8.decode(bytes)
  } catch {
    return null // what is no UTF-8 is no text that could be read
  }
}
