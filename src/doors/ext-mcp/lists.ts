import { mcpMethodOf } from '../../bundle/exposed.ts'
import { mcpToolName } from '../../bundle/pins.ts'
import type { Bundle } from '../../bundle/types.ts'
import { GatewayError } from '../../errors.ts'
import { replaced, spansAt } from '../../lib/json-spans.ts'
import { parseStrictJson, StrictJsonError } from '../../lib/strict-json.ts'
import type { Json } from '../../model/json.ts'
import type { Tool } from '../../model/tool.ts'
import { isObject } from '../../mcp/wire.ts'
import { isHiddenFrom } from '../../operations/tools.ts'
import { isListed } from '../mcp/beside.ts'
import type { ListName } from '../mcp/served.ts'
import type { Shown } from '../mcp/side.ts'
import { textOf } from './held.ts'

// Lists that a gateway has of its servers, less what the agent may not know of. Of several servers at once each name begins
// with its server's; what no server can be found for is left out.

interface Listing {
  /** The member of the result that holds the items, and of each the one that names it. */
  readonly member: 'tools' | ListName
  readonly named: string
  /** Between the name of a server and that of what it has, where several servers are listed at once. */
  readonly delimiter: '_' | '+'
}

const LISTINGS: Readonly<Record<string, Listing>> = {
  'tools/list': { member: 'tools', named: 'name', delimiter: '_' },
  'prompts/list': { member: 'prompts', named: 'name', delimiter: '_' },
  'resources/list': { member: 'resources', named: 'uri', delimiter: '+' },
  'resources/templates/list': { member: 'resourceTemplates', named: 'uriTemplate', delimiter: '+' },
}

export const isListing = (method: string): boolean => Object.hasOwn(LISTINGS, method)

/** The result with what is left of it; undefined where all of it is. @throws GatewayError for what is no such result */
export function shownPart(
  method: string,
  servers: readonly string[],
  result: Uint8Array,
  shown: Shown,
): string | undefined {
  const listing = LISTINGS[method] as Listing
  const { member, named } = listing
  const { text, items } = itemsOf(result, member)
  const isKept = items.map((item) => {
    const name = isObject(item) ? item[named] : undefined
    return typeof name === 'string' && isShown(shown, servers, listing, name)
  })
  if (!isKept.includes(false)) return undefined
  const spans = spansAt(
    text,
    items.map((_, at) => [member, String(at)]),
  )
  const kept = spans.filter((_, at) => isKept[at]).map(({ from, to }) => text.slice(from, to))
  return replaced(text, spansAt(text, [[member]]), () => `[${kept.join(',')}]`)
}

function itemsOf(result: Uint8Array, member: string): { text: string; items: readonly Json[] } {
  try {
    const text = textOf(result)
    const value = parseStrictJson(text, { fractions: 'rounded', numbers: 'any' })
    const items = isObject(value) ? value[member] : undefined
    if (Array.isArray(items)) return { text, items }
  } catch (error) {
    if (!(error instanceof StrictJsonError) && !(error instanceof TypeError)) throw error
    throw new GatewayError('invalid_request', `mcp_response: ${error.message}`)
  }
  throw new GatewayError('invalid_request', `mcp_response has no list \`${member}\``)
}

function isShown(
  shown: Shown,
  servers: readonly string[],
  { member, delimiter }: Listing,
  name: string,
): boolean {
  return ownersOf(servers, name, delimiter).some(([server, own]) => {
    if (member !== 'tools') return isListed(shown, server, member, own)
    return isTheirs(shown, servedTool(shown.bundle, server, own))
  })
}

/** A tool that a server has, as `tools/call` names it: what stands for other methods has names like these. */
export function servedTool(bundle: Bundle, server: string, name: string): Tool | undefined {
  const tool = bundle.tools.get(mcpToolName(server, name))
  const isServed = bundle.upstreams.get(server)?.protocol === 'mcp'
  return tool && isServed && mcpMethodOf(tool) === 'tools/call' ? tool : undefined
}

/** Whether the agent may know of a tool. */
export const isTheirs = ({ bundle, agent }: Shown, tool: Tool | undefined): boolean =>
  tool !== undefined && agent !== null && !isHiddenFrom(agent, tool, bundle)

/** Whose it may be, and what it is called there. */
function ownersOf(
  servers: readonly string[],
  name: string,
  delimiter: string,
): readonly (readonly [string, string])[] {
  const [only] = servers
  if (servers.length === 1 && only !== undefined) return [[only, name]]
  return servers.flatMap((server) => {
    const prefix = server + delimiter
    return name.startsWith(prefix) ? [[server, name.slice(prefix.length)] as const] : []
  })
}
