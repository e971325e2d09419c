import type { Bundle } from '../../bundle/types.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import type { Tool } from '../../model/tool.ts'
import { isObject } from '../../mcp/wire.ts'
import { LEGACY_VERSIONS, MODERN_VERSION } from '../../mcp/eras.ts'
import { isHiddenFrom } from '../../operations/tools.ts'
import { namedTools } from '../../protocols/model/tool.ts'
import { httpResult } from './results.ts'
import type { CalledTool, McpParts, Served } from './served.ts'
import { type Shown, shownTo } from './side.ts'

const INSTRUCTIONS =
  'Every call is decided by a policy and is on record. A denial says why in its text: do not repeat it ' +
  'unchanged. A call that a person must approve waits for a while and is then answered as pending: the same ' +
  'call again joins it.'

/** Names of a policy's tools as clients know them; bundles do not change. */
const named = new WeakMap<Bundle, ReadonlyMap<string, Tool>>()

function toolsOf(bundle: Bundle): ReadonlyMap<string, Tool> {
  const known = named.get(bundle)
  if (known) return known
  const isHttp = ({ upstream }: Tool) => bundle.upstreams.get(upstream)?.protocol === 'http'
  const tools = namedTools([...bundle.tools.values()].filter(isHttp))
  named.set(bundle, tools)
  return tools
}

/** `/mcp/tools`: the tools of `tools.yaml`, called over HTTP, as tools of MCP. */
export function toolsServed(parts: McpParts): Served {
  return {
    name: 'tools',
    versions: () => [MODERN_VERSION, ...LEGACY_VERSIONS],
    revision: async (asking) => (await shownTo(parts, asking)).bundle.revision,
    instructions: () => INSTRUCTIONS,
    async tools(asking) {
      const shown = await shownTo(parts, asking)
      const all = [...toolsOf(shown.bundle)].filter(([, tool]) => isShown(shown, tool))
      return all.map(([name, tool]) => toolJson(name, tool))
    },
    async find(asking, name): Promise<CalledTool | undefined> {
      const shown = await shownTo(parts, asking)
      const tool = toolsOf(shown.bundle).get(name)
      if (!tool) return undefined
      const schema = tool.argsSchema
      return { tool: tool.name, schema, hasOutputSchema: false, isShown: isShown(shown, tool) }
    },
    result: (answer) => httpResult(answer),
  }
}

const isShown = ({ bundle, agent }: Shown, tool: Tool): boolean =>
  agent === null || !isHiddenFrom(agent, tool, bundle)

function toolJson(name: string, tool: Tool): JsonObject {
  const { effectClass, description } = tool
  return {
    name,
    title: tool.name,
    ...(description === '' ? {} : { description }),
    inputSchema: { type: 'object', ...withObjects(tool.argsSchema) },
    annotations: {
      readOnlyHint: effectClass === 'read',
      destructiveHint: effectClass === 'irreversible',
    },
  }
}

/** Clients take no schema that is `true` or `false`, which mean the same as these. */
function withObjects(schema: JsonObject): JsonObject {
  const { properties } = schema
  if (!isObject(properties)) return schema
  const plain = Object.entries(properties).map(([name, one]): [string, Json] => [
    name,
    one === true ? {} : one === false ? { not: {} } : one,
  ])
  return { ...schema, properties: Object.fromEntries(plain) }
}
