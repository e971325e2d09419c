import { GatewayError } from '../../errors.ts'
import type { Bundle } from '../../bundle/types.ts'
import type { JsonObject } from '../../model/json.ts'
import { LEGACY_VERSIONS, MODERN_VERSION } from '../../mcp/eras.ts'
import { relayServed } from './relay-served.ts'
import type { Asking, CalledTool, McpParts, Served } from './served.ts'
import { shownTo } from './side.ts'
import { toolsServed } from './tools-served.ts'

// Everything a key may call under one path, each tool under the name of its server and its own. A name of a server has no
// `_`, so that the first two part them. What is called is the same action as under the path of its server.

const BETWEEN = '__'
const NAME_CHARS_MAX = 128
/** What `tools.yaml` has by itself is listed under this name, which no server can have. */
const TOOLS = 'tools'

const INSTRUCTIONS =
  'Tools of all servers behind a gate, named by their server. Every call is decided by a policy and is on record. ' +
  'A denial says why in its text: do not repeat it unchanged.'

/** `/mcp`: the tools of every server that the caller may call, and those of `tools.yaml`. */
export function allServed(parts: McpParts): Served {
  const own = toolsServed(parts)
  const servedBy = (server: string): Served => (server === TOOLS ? own : relayServed(parts, server))
  return {
    // No server can be called so.
    name: '*',
    versions: () => [MODERN_VERSION, ...LEGACY_VERSIONS],
    revision: async (asking) => (await shownTo(parts, asking)).bundle.revision,
    instructions: () => INSTRUCTIONS,
    async tools(asking) {
      const { bundle } = await shownTo(parts, asking)
      const names = [TOOLS, ...serversIn(bundle)]
      const lists = await Promise.all(names.map((one) => listed(one, servedBy(one), asking)))
      return lists.flat()
    },
    async find(asking, name): Promise<CalledTool | undefined> {
      const { server, rest } = parted(name)
      const { bundle } = await shownTo(parts, asking)
      if (server !== TOOLS && !serversIn(bundle).includes(server)) return undefined
      const found = await servedBy(server).find(asking, rest)
      return found && { ...found, server }
    },
    result: (answer, replying, tool) =>
      (isRelayed(parts, tool) ? servedBy('') : own).result(answer, replying, tool),
    sink(asking, replying) {
      const { name } = asking.message.params
      const { server } = parted(typeof name === 'string' ? name : '')
      return servedBy(server).sink?.(asking, replying)
    },
  }
}

/** Whether a tool is one of an MCP server, in whichever policy. */
const isRelayed = ({ pipeline }: McpParts, tool: string): boolean =>
  pipeline.policies.inPlay().some(({ tools, upstreams }) => {
    const { upstream = '' } = tools.get(tool) ?? {}
    return upstreams.get(upstream)?.protocol === 'mcp'
  })

const serversIn = ({ upstreams }: Bundle): readonly string[] =>
  [...upstreams.values()].filter(({ protocol }) => protocol === 'mcp').map(({ name }) => name)

// Of a server that cannot be listed there is nothing at the moment; the others are none the worse for it.
async function listed(
  server: string,
  served: Served,
  asking: Asking,
): Promise<readonly JsonObject[]> {
  try {
    const tools = await served.tools(asking)
    return tools.flatMap((tool) => {
      const name = typeof tool['name'] === 'string' ? `${server}${BETWEEN}${tool['name']}` : ''
      return name === '' || name.length > NAME_CHARS_MAX ? [] : [{ ...tool, name }]
    })
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'upstream_unreachable') return []
    throw error
  }
}

function parted(name: string): { readonly server: string; readonly rest: string } {
  const at = name.indexOf(BETWEEN)
  if (at < 0) return { server: '', rest: '' }
  return { server: name.slice(0, at), rest: name.slice(at + BETWEEN.length) }
}
