import type { Tool } from '../model/tool.ts'
import type { Bundle, Protocol } from './types.ts'

/** The protocol of a tool, which the load has made sure of. */
export function protocolOf(
  { protocols, upstreams }: Pick<Bundle, 'protocols' | 'upstreams'>,
  { name, upstream }: Pick<Tool, 'name' | 'upstream'>,
): Protocol {
  const protocol = protocols.get(upstreams.get(upstream)?.protocol ?? '')
  if (!protocol) throw new Error(`tool ${name} has no protocol`)
  return protocol
}

/** Names of the tools that protocols bring along: what calls of them come to shows only in their outcomes. */
export const ownToolNames = ({ protocols }: Pick<Bundle, 'protocols'>): readonly string[] =>
  [...protocols.values()].flatMap(({ own }) => own?.tools.map(({ name }) => name) ?? [])

/** The tools of a directory with those of protocols. They are like any other to guards and approvals. */
export const withOwnTools = (
  tools: readonly Tool[],
  protocols: readonly Protocol[],
): ReadonlyMap<string, Tool> => {
  const own = protocols.flatMap((one) => one.own?.tools ?? [])
  return new Map([...tools, ...own].map((tool) => [tool.name, tool]))
}
