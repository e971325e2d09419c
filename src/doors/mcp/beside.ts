import { exposedName, type ExposedMethod, exposes, mcpMethodOf } from '../../bundle/exposed.ts'
import type { JsonObject } from '../../model/json.ts'
import type { Tool, Upstream } from '../../model/tool.ts'
import { isHiddenFrom } from '../../operations/tools.ts'
import { isObject, textParam } from '../../mcp/wire.ts'
import { unknownName } from './calls.ts'
import { unlisted } from './errors.ts'
import type { Asking, Beside, ListName, McpParts } from './served.ts'
import { type Shown, shownTo } from './side.ts'

// Resources and prompts of one MCP server, as far as the policy exposes them and the agent may read them. What the server
// lists is shown as it comes, less what is not exposed; whatever else is asked for is not there.

interface Listed {
  readonly method: string
  /** By which tool its items are read. */
  readonly by: ExposedMethod
  /** Of an item: what the globs are about. */
  readonly named: string
}

const LISTS: Readonly<Record<ListName, Listed>> = {
  resources: { method: 'resources/list', by: 'resources/read', named: 'uri' },
  resourceTemplates: {
    method: 'resources/templates/list',
    by: 'resources/read',
    named: 'uriTemplate',
  },
  prompts: { method: 'prompts/list', by: 'prompts/get', named: 'name' },
}

type Parts = Pick<McpParts, 'agents' | 'peers' | 'pipeline' | 'policies'>

// A tool that the server itself calls `resources.read` has the same name.
function exposedIn({ bundle }: Shown, server: string, method: ExposedMethod): Tool | undefined {
  const tool = bundle.tools.get(exposedName(server, method))
  return tool && mcpMethodOf(tool) === method ? tool : undefined
}

/** The tool that stands for a method, where the caller may know of it. */
function theirTool(shown: Shown, server: string, method: ExposedMethod): Tool | undefined {
  const { bundle, agent } = shown
  const tool = exposedIn(shown, server, method)
  const isTheirs = tool && (agent === null || !isHiddenFrom(agent, tool, bundle))
  return isTheirs ? tool : undefined
}

/** Whether the caller may know of an item that a server lists, by its URI, template or name. */
export function isListed(shown: Shown, server: string, list: ListName, named: string): boolean {
  const tool = theirTool(shown, server, LISTS[list].by)
  return tool !== undefined && exposes(tool, named)
}

export function relayBeside(parts: Parts, server: string): Beside {
  const toolFor = (shown: Shown, method: ExposedMethod) => theirTool(shown, server, method)
  return {
    async offers(asking) {
      const shown = await shownTo(parts, asking)
      const has = (method: ExposedMethod) => toolFor(shown, method) !== undefined
      return { resources: has('resources/read'), prompts: has('prompts/get') }
    },
    async list(asking, list) {
      const shown = await shownTo(parts, asking)
      const { method, by, named } = LISTS[list]
      const upstream = shown.bundle.upstreams.get(server)
      if (!toolFor(shown, by) || upstream?.protocol !== 'mcp') return []
      const items = await listOf(parts, upstream, method, list)
      return items.filter(
        ({ [named]: name }) => typeof name === 'string' && isListed(shown, server, list, name),
      )
    },
    async find(asking, method) {
      const shown = await shownTo(parts, asking)
      const { args, reads } = READERS[method](asking)
      const tool = exposedIn(shown, server, method)
      const by = toolFor(shown, reads.by)
      const isShown = toolFor(shown, method) !== undefined && by !== undefined
      // Who may not read something is not told its values either, whatever completes them.
      const isUnknown = !tool || (reads.by !== method && !by)
      return {
        server,
        args,
        tool: {
          tool: isUnknown ? unknownName(server, method) : tool.name,
          schema: tool?.argsSchema ?? {},
          hasOutputSchema: false,
          isShown: isShown && exposes(by, reads.name),
        },
      }
    },
  }
}

const listOf = (
  { peers }: Parts,
  upstream: Upstream,
  method: string,
  list: ListName,
): Promise<readonly JsonObject[]> => peers.listOf(upstream, method, list).catch(unlisted)

interface Read {
  readonly args: JsonObject
  /** What it is about, and by which tool that is read. */
  readonly reads: { readonly by: ExposedMethod; readonly name: string }
}

// Only what the methods know: nothing else that a client sends is handed on.
const READERS: Readonly<Record<ExposedMethod, (asking: Pick<Asking, 'message'>) => Read>> = {
  'resources/read': ({ message }) => {
    const uri = textParam(message, 'uri')
    return { args: { uri }, reads: { by: 'resources/read', name: uri } }
  },
  'prompts/get': ({ message }) => {
    const name = textParam(message, 'name')
    const { arguments: args } = message.params
    const more = args === undefined ? {} : { arguments: args }
    return { args: { name, ...more }, reads: { by: 'prompts/get', name } }
  },
  'completion/complete': ({ message }) => {
    const { ref = null, argument = null, context } = message.params
    const { type, name, uri } = isObject(ref) ? ref : {}
    const by = type === 'ref/prompt' ? 'prompts/get' : 'resources/read'
    const about = type === 'ref/prompt' ? name : uri
    return {
      args: { ref, argument, ...(context === undefined ? {} : { context }) },
      reads: { by, name: typeof about === 'string' ? about : '' },
    }
  },
}
