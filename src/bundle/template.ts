import type { Tool } from '../model/tool.ts'
import type { Route, RouteSegment, RouteTable } from './types.ts'

// Path templates, and how two of them relate. `/tickets/{id}` and `/tickets/export` both match one path; the
// more specific one stands for it, and the wider one must then never be filled in to reach it. Templates
// that cross, so that neither is more specific, are an error of the policy.

const LITERAL = /^[A-Za-z0-9._~!$&'()*+,=:@-]+$/
const PARAM = /^\{([A-Za-z_][A-Za-z0-9_]*)\}$/

export type ParsedTemplate =
  | { readonly ok: true; readonly segments: readonly RouteSegment[] }
  | { readonly ok: false; readonly message: string }

/**
 * Splits `/tickets/{id}` into its segments. Literals are plain unencoded path characters, so that
 * a template has exactly one spelling on the wire.
 */
export function parseTemplate(path: string): ParsedTemplate {
  if (path === '/') return { ok: true, segments: [] }
  const segments: RouteSegment[] = []
  const seen = new Set<string>()
  for (const part of path.slice(1).split('/')) {
    const param = PARAM.exec(part)?.[1]
    if (param !== undefined && seen.has(param)) return bad(`parameter \`{${param}}\` twice`)
    if (param !== undefined) seen.add(param)
    else if (part === '.' || part === '..' || !LITERAL.test(part)) {
      return bad(`segment \`${part}\` is neither plain text nor one whole \`{parameter}\``)
    }
    segments.push(param === undefined ? { literal: part } : { param })
  }
  return { ok: true, segments }
}

const bad = (message: string): ParsedTemplate => ({ ok: false, message })

export const isParam = (segment: RouteSegment): segment is { readonly param: string } =>
  'param' in segment

/** Names of the parameters of a template that parses. */
export function templateParams(path: string): readonly string[] {
  const parsed = parseTemplate(path)
  return parsed.ok ? parsed.segments.filter(isParam).map((segment) => segment.param) : []
}

/** How two templates relate by the paths they match. */
export function compareTemplates(
  a: readonly RouteSegment[],
  b: readonly RouteSegment[],
): 'apart' | 'same' | 'a_covers_b' | 'b_covers_a' | 'crossing' {
  if (a.length !== b.length) return 'apart'
  let [aWider, bWider] = [false, false]
  for (const [index, left] of a.entries()) {
    const right = b[index] as RouteSegment
    if (isParam(left) && !isParam(right)) aWider = true
    else if (!isParam(left) && isParam(right)) bWider = true
    else if (!isParam(left) && !isParam(right) && !sameLiteral(left, right)) return 'apart'
  }
  if (aWider && bWider) return 'crossing'
  if (aWider) return 'a_covers_b'
  return bWider ? 'b_covers_a' : 'same'
}

// Some upstreams route without regard to case; two templates that differ only there are not apart.
const sameLiteral = (a: { literal: string }, b: { literal: string }): boolean =>
  a.literal.toLowerCase() === b.literal.toLowerCase()

/** Builds the table the proxy matches against, most specific template first. */
export function buildRoutes(tools: Iterable<Tool>): RouteTable {
  const byUpstream = new Map<string, Map<string, Route[]>>()
  for (const tool of tools) {
    const parsed = parseTemplate(tool.path)
    if (!parsed.ok) continue
    const byMethod = byUpstream.get(tool.upstream) ?? new Map<string, Route[]>()
    byUpstream.set(tool.upstream, byMethod)
    const routes = byMethod.get(tool.method) ?? []
    byMethod.set(tool.method, routes)
    routes.push(Object.freeze({ tool, segments: parsed.segments }))
  }
  for (const byMethod of byUpstream.values()) {
    for (const routes of byMethod.values()) {
      routes.sort((a, b) => countParams(a) - countParams(b))
    }
  }
  return Object.freeze({ byUpstream })
}

const countParams = (route: Route): number => route.segments.filter(isParam).length
