import { GatewayError } from '../errors.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { Tool } from '../model/tool.ts'
import { invalid } from './params.ts'
import { buildPath, readPath, readPathArgs } from './path.ts'
import { readQuery } from './query.ts'
import { valuesIn } from './template.ts'
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
      /** no_route: no tool stands for it. not_canonical: it could be read in more than one way. */
      readonly code: 'no_route' | 'not_canonical'
      readonly message: string
    }

const QUERY_LENGTH_MAX = 8192

/**
 * Finds the tool a raw request-target stands for. `rawPath` is what follows the proxy prefix, as sent; nothing has been
 * decoded or normalised. Every spelling that has one meaning is taken, and what goes to the upstream is written anew of
 * the args; what servers read in different ways is refused, with the place and the reason.
 */
export function matchRoute(
  routes: RouteTable,
  upstream: string,
  method: string,
  rawPath: string,
  rawQuery: string,
): RouteMatch {
  try {
    const parts = readPath(rawPath)
    if (rawQuery.length > QUERY_LENGTH_MAX) throw invalid('the query is too long')
    const bad = /[^!-~]|[\\#]/.exec(rawQuery)?.[0]
    if (bad !== undefined) throw invalid('the query has a character that must be escaped')
    const route = findRoute(routes, upstream, method, parts)
    if (!route) {
      const message = `no tool stands for ${method.slice(0, 16)} on this path`
      return { ok: false, code: 'no_route', message }
    }
    return readArgs(route, parts, rawQuery)
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    return { ok: false, code: 'not_canonical', message: error.message }
  }
}

/** The methods that tools have on a path. `HEAD` is there where `GET` is. */
export function methodsFor(
  routes: RouteTable,
  upstream: string,
  rawPath: string,
): readonly string[] {
  const parts = readPath(rawPath)
  const methods = [...(routes.byUpstream.get(upstream)?.keys() ?? []), 'HEAD']
  return [...new Set(methods)].filter((method) => findRoute(routes, upstream, method, parts))
}

// A HEAD is its GET without a body, unless a tool stands for it itself.
function findRoute(
  routes: RouteTable,
  upstream: string,
  method: string,
  parts: readonly string[],
): Route | undefined {
  const of = (one: string) =>
    routes.byUpstream
      .get(upstream)
      ?.get(one)
      ?.find((route) => fits(route, parts))
  return of(method) ?? (method === 'HEAD' ? of('GET') : undefined)
}

const fits = (route: Route, parts: readonly string[]): boolean =>
  route.segments.length === parts.length &&
  route.segments.every((segment, at) => valuesIn(segment, parts[at] ?? '') !== undefined)

function readArgs(route: Route, parts: readonly string[], rawQuery: string): RouteMatch {
  const { tool, segments } = route
  const args = new Map<string, Json>([
    ...readPathArgs(tool, segments, parts),
    ...readQuery(tool, rawQuery),
  ])
  const all = Object.fromEntries(args)
  buildPath(tool, segments, all) // what cannot be written is refused where it was read
  return { ok: true, tool, args: all }
}
