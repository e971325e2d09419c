import { GatewayError } from '../errors.ts'
import { canonicalJson } from '../lib/canonical.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { BodyPart, Target } from '../model/request.ts'
import type { Param, Tool, Upstream } from '../model/tool.ts'
import { asFile } from './files.ts'
import { headersOf } from './headers.ts'
import { EXTRA_QUERY, invalid, pairsOf } from './params.ts'
import { buildPath } from './path.ts'
import { isObject } from './pointer.ts'
import { buildQuery, encodePairs, own } from './query.ts'
import { scalarText } from './scalars.ts'
import { knownTemplate } from './template.ts'

// From a tool and its args to the exact request upstream. It is built from nothing and canonical, because
// its hash is what an approval is for: the same args give the same bytes on any replica. A value that would
// lead to the path of another tool is refused, since that tool has rules of its own.

const BODILESS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE'])

/** Whether a call with this method carries its remaining args as a JSON body, where its tool does not say. */
export const hasBody = (method: string): boolean => !BODILESS.has(method)

/**
 * The upstream call that a tool and its args stand for: the one canonical request, of which the approval's hash, the
 * record and what the upstream gets are made. Each arg travels in exactly one place. `path` does not include the
 * upstream's base path. `passed`: what the client sent along.
 * @throws GatewayError invalid_request
 */
export function buildTarget(
  tool: Tool,
  upstream: Upstream,
  args: JsonObject,
  passed: Readonly<Record<string, string>> = {},
): Target {
  const parsed = knownTemplate(tool.path)
  if (!parsed.ok) throw new Error(`tool ${tool.name} has a template that does not parse`)
  const path = buildPath(tool, parsed.segments, args)
  const query = buildQuery(tool, args)
  refuseCredential(upstream, query)
  const { headers: ofBody, ...body } = buildBody(tool, args)
  const headers = { ...passed, ...headersOf(tool, args), ...ofBody }
  return {
    upstream: upstream.name,
    method: tool.method,
    path,
    query,
    ...body,
    ...(Object.keys(headers).length > 0 ? { headers } : {}),
  }
}

// The gate's own secret goes there, and two of a name are read in different ways.
function refuseCredential({ credential }: Upstream, query: string): void {
  if (!credential || !('query' in credential) || query === '') return
  const name = `${encodeURIComponent(credential.query)}=`
  if (query.split('&').some((pair) => pair.startsWith(name))) {
    throw invalid(`query parameter \`${credential.query}\` is the gate's own`)
  }
}

type Body = Pick<Target, 'body' | 'headers' | 'parts' | 'file'>

/** The names in the body of the args that go there, with how each is written. */
function bodyParams(tool: Tool, args: JsonObject): readonly Param[] {
  const { params, extraQuery } = tool.http
  const known = byArg(params)
  return Object.keys(args).flatMap((arg) => {
    if (extraQuery && arg === EXTRA_QUERY) return []
    const param = known.get(arg)
    if (param) return param.in === 'body' ? [param] : []
    return [{ arg, in: 'body', name: arg, style: 'form', explode: true, slash: false }]
  })
}

const argsKnown = new WeakMap<readonly Param[], ReadonlyMap<string, Param>>()

/** The params of a tool by the arg that each carries: kept, since every call of it asks. */
function byArg(params: readonly Param[]): ReadonlyMap<string, Param> {
  let known = argsKnown.get(params)
  if (!known) {
    known = new Map(params.map((param) => [param.arg, param]))
    argsKnown.set(params, known)
  }
  return known
}

function buildBody(tool: Tool, args: JsonObject): Body {
  const params = bodyParams(tool, args)
  const { body: kind, contentType, bodyArg } = tool.http
  const type = (standard: string) => ({ headers: { 'content-type': contentType ?? standard } })
  switch (kind) {
    case 'plain':
      return hasBody(tool.method)
        ? { body: bodyText(members(params, args)) }
        : nothing(tool, params, args)
    case 'none':
      return nothing(tool, params, args)
    case 'json': {
      const value = bodyArg === null ? members(params, args) : own(args, bodyArg)
      if (value === undefined) return { body: null }
      return { body: bodyText(value), ...type('application/json') }
    }
    case 'form':
      return { body: formText(params, args), ...type('application/x-www-form-urlencoded') }
    case 'multipart':
      return { body: null, parts: multipartOf(tool, params, args) }
    case 'text':
      return textBody(own(args, bodyArg ?? ''), contentType ?? 'text/plain')
    case 'raw':
      return rawBody(tool, own(args, bodyArg ?? ''))
  }
}

function nothing(tool: Tool, params: readonly Param[], args: JsonObject): Body {
  const first = params.find(({ arg }) => own(args, arg) !== null)
  if (!first) return { body: null }
  throw invalid(`arg \`${first.arg.slice(0, 80)}\` has no place in a ${tool.method} call`)
}

const members = (params: readonly Param[], args: JsonObject): JsonObject =>
  Object.fromEntries(params.map(({ arg, name }) => [name, own(args, arg) ?? null]))

function bodyText(body: Json): string {
  try {
    return canonicalJson(body)
  } catch (cause) {
    throw new GatewayError('invalid_request', 'args are not canonical JSON', { cause })
  }
}

function formText(params: readonly Param[], args: JsonObject): string {
  return encodePairs(byName(params).flatMap((param) => pairsOf(param, own(args, param.arg))))
}

// Fields by name, then files: a request that is stored and read again has its args in another order, and some servers
// take no field behind a file.
function multipartOf(tool: Tool, params: readonly Param[], args: JsonObject): readonly BodyPart[] {
  const parts = byName(params).flatMap((param) => partsOf(tool, param, args))
  return [...parts.filter((part) => !('file' in part)), ...parts.filter((part) => 'file' in part)]
}

const byName = (params: readonly Param[]): readonly Param[] =>
  params.toSorted((a, b) => (a.name < b.name ? -1 : 1))

// What is neither plain nor a file travels as JSON, as OpenAPI has it.
function partsOf(tool: Tool, { arg, name }: Param, args: JsonObject): readonly BodyPart[] {
  const isFile = tool.http.files.includes(arg)
  const value = own(args, arg) ?? null
  if (/[\p{Cc}]/u.test(name)) throw invalid('the name of a field holds a control character')
  const items = Array.isArray(value) ? (value as readonly Json[]) : [value]
  return items.flatMap((item): BodyPart[] => {
    if (item === null) return []
    const file = isFile ? asFile(item) : undefined
    if (file) return [{ name, file }]
    if (isFile) throw invalid(`arg \`${arg.slice(0, 80)}\` must be a file`)
    const isPlain = !isObject(item) && !Array.isArray(item)
    const text = isPlain ? scalarText(`\`${arg.slice(0, 80)}\``, item) : bodyText(item)
    return [{ name, text, content_type: isPlain ? null : 'application/json' }]
  })
}

function textBody(text: Json | undefined, contentType: string): Body {
  if (text === undefined || text === null) return { body: null }
  if (typeof text !== 'string' || !text.isWellFormed()) throw invalid('the body must be text')
  return { body: text, headers: { 'content-type': `${contentType}; charset=utf-8` } }
}

function rawBody({ http: { contentType } }: Tool, value: Json | undefined): Body {
  if (value === undefined || value === null) return { body: null }
  const file = asFile(value)
  if (!file) throw invalid('the body must be a file')
  if (contentType !== null && file.content_type !== contentType) {
    throw invalid(`the body must be ${contentType}`)
  }
  return { body: null, file, headers: { 'content-type': file.content_type } }
}
