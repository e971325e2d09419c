import { GatewayError } from '../errors.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { Tool } from '../model/tool.ts'
import { schemaAt, typeBesideNull } from './pointer.ts'
import { buildPath, buildQuery } from './target.ts'
import { isParam } from './template.ts'
import type { Route, RouteTable } from './types.ts'

// From a raw request target to a tool and its args. A path is matched segment by segment in its encoded
// form, decoded once, encoded again, and has to come out as it was sent; so there is one spelling of each
// call, and no upstream can decode another path out of it than the one that was judged. Everything else is
// refused with the reason.

/** What a proxied request stands for, or why it is refused. */
export type RouteMatch =
  | { readonly ok: true; readonly tool: Tool; readonly args: JsonObject }
  | {
      readonly ok: false
      /** no_route: no tool stands for it. not_canonical: it is not spelt the one allowed way. */
      readonly code: 'no_route' | 'not_canonical'
      readonly message: string
    }

const PATH_LENGTH_MAX = 4096
const QUERY_LENGTH_MAX = 8192

/**
 * Finds the tool a raw request-target stands for. `rawPath` is what follows the proxy prefix, as
 * sent; nothing has been decoded or normalised. Whatever is not already spelt canonically is
 * refused: what policy judged and what the upstream resolves must be the same path.
 */
export function matchRoute(
  routes: RouteTable,
  upstream: string,
  method: string,
  rawPath: string,
  rawQuery: string,
): RouteMatch {
  const problem = spellingProblem(rawPath, rawQuery)
  if (problem !== undefined) return refuse('not_canonical', problem)
  const candidates = routes.byUpstream.get(upstream)?.get(method) ?? []
  const parts = rawPath === '/' ? [] : rawPath.slice(1).split('/')
  const route = candidates.find((one) => fits(one, parts))
  if (!route) return refuse('no_route', `no tool stands for ${method.slice(0, 16)} on this path`)
  return readArgs(route, parts, rawPath, rawQuery)
}

const refuse = (code: 'no_route' | 'not_canonical', message: string): RouteMatch => ({
  ok: false,
  code,
  message,
})

function spellingProblem(rawPath: string, rawQuery: string): string | undefined {
  if (rawPath.length > PATH_LENGTH_MAX) return 'path is too long'
  if (rawQuery.length > QUERY_LENGTH_MAX) return 'query is too long'
  if (!rawPath.startsWith('/')) return 'path must start with `/`'
  if (/[^!-~]/.test(rawPath) || /[^!-~]/.test(rawQuery)) return 'only printable ASCII is allowed'
  if (/[\\;?#]/.test(rawPath) || /[\\#]/.test(rawQuery))
    return 'a reserved character is not encoded'
  if (rawPath === '/') return undefined
  const parts = rawPath.slice(1).split('/')
  if (parts.includes('')) return 'path has an empty segment'
  if (parts.some((part) => /^(?:\.|%2e)+$/i.test(part))) return 'path has a dot segment'
  return undefined
}

const fits = (route: Route, parts: readonly string[]): boolean =>
  route.segments.length === parts.length &&
  route.segments.every((segment, at) => isParam(segment) || segment.literal === parts[at])

function readArgs(
  route: Route,
  parts: readonly string[],
  rawPath: string,
  rawQuery: string,
): RouteMatch {
  const args = new Map<string, Json>()
  const { tool } = route
  for (const [at, segment] of route.segments.entries()) {
    if (!isParam(segment)) continue
    const value = readValue(tool, segment.param, parts[at] ?? '')
    if (value === undefined) return malformed(`path parameter \`${segment.param}\``)
    args.set(segment.param, value)
  }
  const wrong = readQuery(tool, rawQuery, args)
  if (wrong !== undefined) return malformed(wrong)
  return roundTrip(route, Object.fromEntries(args), rawPath, rawQuery)
}

const malformed = (what: string): RouteMatch =>
  refuse('not_canonical', `${what} is not spelt canonically`)

// The name of what is wrong, or undefined.
function readQuery(tool: Tool, rawQuery: string, args: Map<string, Json>): string | undefined {
  if (rawQuery === '') return undefined
  for (const pair of rawQuery.split('&')) {
    const cut = pair.indexOf('=')
    const name = cut < 0 ? pair : pair.slice(0, cut)
    const declared = tool.query.find((one) => encodeURIComponent(one) === name)
    if (cut < 0 || declared === undefined || args.has(declared)) {
      return `query parameter \`${name.slice(0, 80)}\``
    }
    const value = readValue(tool, declared, pair.slice(cut + 1))
    if (value === undefined) return `query parameter \`${declared}\``
    args.set(declared, value)
  }
  return undefined
}

const WHOLE = /^(?:0|-?[1-9]\d{0,15})$/

function readValue(tool: Tool, name: string, raw: string): Json | undefined {
  const type = typeBesideNull(schemaAt(tool.argsSchema, [name]))
  const text = decodeOnce(raw)
  if (text === undefined || type === 'string') return text
  if (type === 'integer') return WHOLE.test(text) ? safe(Number(text)) : undefined
  if (type === 'boolean') return text === 'true' ? true : text === 'false' ? false : undefined
  return undefined
}

const safe = (value: number): number | undefined =>
  Number.isSafeInteger(value) ? value : undefined

function decodeOnce(raw: string): string | undefined {
  try {
    return decodeURIComponent(raw)
  } catch {
    return undefined // not UTF-8, or a broken escape
  }
}

// The proof that policy and upstream see the same call: writing it anew gives the same bytes.
function roundTrip(route: Route, args: JsonObject, rawPath: string, rawQuery: string): RouteMatch {
  try {
    const path = buildPath(route.tool, route.segments, args)
    if (path !== rawPath) return refuse('not_canonical', `path must be written \`${path}\``)
    const query = buildQuery(route.tool, args)
    if (query !== rawQuery) return refuse('not_canonical', `query must be written \`${query}\``)
    return { ok: true, tool: route.tool, args }
  } catch (error) {
    if (error instanceof GatewayError) return refuse('not_canonical', error.message)
    throw error
  }
}

/**
 * Adds the members of a JSON body to the args from path and query.
 * @throws GatewayError invalid_request when one of them belongs into the path or the query.
 */
export function withBody(tool: Tool, args: JsonObject, body: JsonObject): JsonObject {
  const elsewhere = (name: string) => Object.hasOwn(args, name) || tool.query.includes(name)
  const misplaced = Object.keys(body).find((name) => elsewhere(name) && body[name] !== null)
  if (misplaced === undefined) {
    const own = Object.entries(body).filter(([name]) => !elsewhere(name))
    return Object.fromEntries([...Object.entries(args), ...own])
  }
  const message = `\`${misplaced.slice(0, 80)}\` belongs into the path or query, not the body`
  throw new GatewayError('invalid_request', message)
}
