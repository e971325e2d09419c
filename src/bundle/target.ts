import { GatewayError } from '../errors.ts'
import { canonicalJson } from '../lib/canonical.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { Target } from '../model/request.ts'
import type { Tool, Upstream } from '../model/tool.ts'
import { encodeSegment } from './segment.ts'
import { isParam, parseTemplate } from './template.ts'
import type { RouteSegment } from './types.ts'

// From a tool and its args to the exact request upstream. It is built from nothing and canonical, because
// its hash is what an approval is for: the same args give the same bytes on any replica. A value that would
// lead to the path of another tool is refused, since that tool has rules of its own.

const BODILESS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE'])

/** Whether a call with this method carries its remaining args as a JSON body. */
export const hasBody = (method: string): boolean => !BODILESS.has(method)

/**
 * The upstream call that a tool and its args stand for. Each arg travels in exactly one place: the
 * path, the query as declared, or the canonical JSON body. `path` does not include the upstream's
 * base path.
 * @throws GatewayError invalid_request
 */
export function buildTarget(tool: Tool, upstream: Upstream, args: JsonObject): Target {
  const parsed = parseTemplate(tool.path)
  if (!parsed.ok) throw new Error(`tool ${tool.name} has a template that does not parse`)
  const path = buildPath(tool, parsed.segments, args)
  const inPath = parsed.segments.filter(isParam).map((segment) => segment.param)
  const placed = new Set([...inPath, ...tool.query])
  const rest = Object.entries(args).filter(([name]) => !placed.has(name))
  const body = buildBody(tool, rest)
  return { upstream: upstream.name, method: tool.method, path, query: buildQuery(tool, args), body }
}

/** The path of a tool's call. @throws GatewayError invalid_request */
export function buildPath(tool: Tool, segments: readonly RouteSegment[], args: JsonObject): string {
  const parts = segments.map((segment) =>
    isParam(segment) ? encodeSegment(segment.param, asText(segment.param, args)) : segment.literal,
  )
  const reserved = tool.reservedPaths.find((template) => lands(parts, template))
  if (reserved === undefined) return `/${parts.join('/')}`
  throw invalid(`path parameters of \`${tool.name}\` name the path of another tool`)
}

// The path would be one that a more specific tool stands for, with its own rules.
function lands(parts: readonly string[], template: string): boolean {
  const parsed = parseTemplate(template)
  if (!parsed.ok || parsed.segments.length !== parts.length) return false
  return parsed.segments.every(
    (segment, at) =>
      isParam(segment) || plain(segment.literal) === plain(decodeURIComponent(parts[at] ?? '')),
  )
}

const plain = (text: string): string => text.normalize('NFKC').toLowerCase()

function asText(name: string, args: JsonObject): string {
  const value = own(args, name)
  if (typeof value === 'string') return value
  if (typeof value === 'number' && Number.isSafeInteger(value)) return wholeNumber(value)
  throw invalid(`path parameter \`${name}\` must be text or a whole number`)
}

const wholeNumber = (value: number): string => (Object.is(value, -0) ? '0' : String(value))

/** The query of a tool's call, its args in the order the tool declares. */
export function buildQuery(tool: Tool, args: JsonObject): string {
  const parts = tool.query.flatMap((name) => {
    const value = own(args, name)
    return value === undefined || value === null
      ? []
      : [`${encodeURIComponent(name)}=${queryText(name, value)}`]
  })
  return parts.join('&')
}

function queryText(name: string, value: Json): string {
  if (typeof value === 'boolean') return String(value)
  if (typeof value === 'number' && Number.isSafeInteger(value)) return wholeNumber(value)
  if (typeof value === 'string' && !/\p{Cs}/u.test(value)) return encodeURIComponent(value)
  throw invalid(`query arg \`${name}\` must be text, a whole number or a boolean`)
}

function buildBody(tool: Tool, rest: readonly (readonly [string, Json])[]): string | null {
  if (hasBody(tool.method)) return bodyText(Object.fromEntries(rest))
  const first = rest.find(([, value]) => value !== null)
  if (!first) return null
  throw invalid(`arg \`${first[0].slice(0, 80)}\` has no place in a ${tool.method} call`)
}

function bodyText(body: JsonObject): string {
  try {
    return canonicalJson(body)
  } catch (cause) {
    throw new GatewayError('invalid_request', 'args are not canonical JSON', { cause })
  }
}

const own = (args: JsonObject, name: string): Json | undefined =>
  Object.hasOwn(args, name) ? args[name] : undefined

const invalid = (message: string): GatewayError => new GatewayError('invalid_request', message)
