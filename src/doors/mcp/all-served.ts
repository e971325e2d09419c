import { GatewayError } from '../../errors.ts'
import type { ExposedMethod } from '../../bundle/exposed.ts'
import type { Bundle } from '../../bundle/types.ts'
import type { JsonObject } from '../../model/json.ts'
import { LEGACY_VERSIONS, MODERN_VERSION } from '../../mcp/eras.ts'
import { isObject } from '../../mcp/wire.ts'
import { relayBeside } from './beside.ts'
import { relayServed } from './relay-served.ts'
import type { Asking, Beside, CalledTool, McpParts, Served } from './served.ts'
import { shownTo } from './side.ts'
import { toolsServed } from './tools-served.ts'

// Everything a key may call under one path, each tool under the name of its server and its own. A name of a server has no
// `_`, so that the first two part them. What is called is the same action as under the path of its server.

const BETWEEN = '__'
const NAME_CHARS_MAX = 128
/** No server can be called so. */
const ALL = '*'
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
    name: ALL,
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
    beside: allBeside(parts),
    logs: true,
    sink(asking, replying, asks) {
      const { message } = asking
      const { name } = message.params
      const { server, rest } = parted(typeof name === 'string' ? name : '')
      const params = { ...message.params, name: rest }
      return servedBy(server).sink?.({ ...asking, message: { ...message, params } }, replying, asks)
    },
  }
}

/** The prompts of all servers, each under the name of its server and its own; URIs are a server's alone. */
function allBeside(parts: McpParts): Beside {
  const besides = async (asking: Asking) => {
    const { bundle } = await shownTo(parts, asking)
    return serversIn(bundle).map((server) => ({ server, beside: relayBeside(parts, server) }))
  }
  return {
    async offers(asking) {
      const all = await besides(asking)
      const offers = await Promise.all(all.map(({ beside }) => beside.offers(asking)))
      return { resources: false, prompts: offers.some(({ prompts }) => prompts) }
    },
    async list(asking, list) {
      if (list !== 'prompts') return []
      const lists = (await besides(asking)).map(async ({ server, beside }) =>
        named(server, await beside.list(asking, list).catch(nothingOf)),
      )
      return (await Promise.all(lists)).flat()
    },
    async find(asking, method) {
      const { params } = asking.message
      const { server, rest } = parted(promptIn(params, method))
      const { bundle } = await shownTo(parts, asking)
      // The record names servers that there are, and nothing that a client made up.
      if (rest === '' || !serversIn(bundle).includes(server)) {
        return relayBeside(parts, ALL).find(asking, method)
      }
      const { ref } = params
      const own = method === 'prompts/get' ? {} : { ref: { ...(ref as JsonObject), name: rest } }
      const message = { ...asking.message, params: { ...params, name: rest, ...own } }
      return relayBeside(parts, server).find({ ...asking, message }, method)
    },
  }
}

/** The prompt that is asked about; '' where it is none. */
function promptIn({ name, ref }: JsonObject, method: ExposedMethod): string {
  const isOfPrompt = isObject(ref) && ref['type'] === 'ref/prompt'
  const byRef = method === 'completion/complete' && isOfPrompt ? ref['name'] : undefined
  const named = method === 'prompts/get' ? name : byRef
  return typeof named === 'string' ? named : ''
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
  return named(server, await served.tools(asking).catch(nothingOf))
}

function nothingOf(error: unknown): readonly JsonObject[] {
  if (error instanceof GatewayError && error.code === 'upstream_unreachable') return []
  throw error
}

const named = (server: string, items: readonly JsonObject[]): readonly JsonObject[] =>
  items.flatMap((item) => {
    const name = typeof item['name'] === 'string' ? `${server}${BETWEEN}${item['name']}` : ''
    return name === '' || name.length > NAME_CHARS_MAX ? [] : [{ ...item, name }]
  })

function parted(name: string): { readonly server: string; readonly rest: string } {
  const at = name.indexOf(BETWEEN)
  if (at < 0) return { server: '', rest: '' }
  return { server: name.slice(0, at), rest: name.slice(at + BETWEEN.length) }
}
