import type { Route, RouteTable } from './types.ts'
import { matchesLoosely, textsOf, paramsOf } from './template.ts'
import { distance } from '../lib/suggest.ts'

/** Of those that share most, few are compared letter by letter: this runs where actions are decided. */
const COMPARED_MAX = 24
const SHOWN_MAX = 3
const SEGMENTS_MAX = 32

export interface AskedRoute {
  readonly upstream: string
  readonly method: string
  readonly path: string
}

/** The routes of an upstream that are nearest to one that is not there, such as `GET /tickets/{id}`. */
export function nearestRoutes(
  { byUpstream }: RouteTable,
  { upstream, method, path }: AskedRoute,
): readonly string[] {
  const parts = path.split('/').slice(1, SEGMENTS_MAX)
  const all = [...(byUpstream.get(upstream)?.values() ?? [])].flat()
  const likely = all
    .map((route) => ({ route, shared: shared(route, parts) }))
    .sort((a, b) => b.shared - a.shared)
    .slice(0, COMPARED_MAX)
  const measured = likely.map(({ route: { tool } }) => ({
    text: `${tool.method} ${tool.path}`,
    far: distance(path, tool.path) + (tool.method === method ? 0 : 2),
  }))
  return measured
    .sort((a, b) => a.far - b.far)
    .slice(0, SHOWN_MAX)
    .map(({ text }) => text)
}

// Segments at the same place that could be meant; text counts more than a variable, which anything fits.
function shared({ segments }: Route, parts: readonly string[]): number {
  const alike = segments.filter((segment, at) => matchesLoosely(segment, parts[at] ?? '')).length
  const said = segments.filter(
    (segment, at) => paramsOf(segment).length === 0 && textsOf(segment)[0] === parts[at],
  ).length
  return alike + said * 2 - Math.abs(segments.length - parts.length)
}
