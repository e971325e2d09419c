import { mcpMethodOf } from '../../bundle/exposed.ts'
import { mcpToolName } from '../../bundle/pins.ts'
import type { Bundle } from '../../bundle/types.ts'
import type { JsonObject } from '../../model/json.ts'
import type { Tool, Upstream } from '../../model/tool.ts'
import type { Listed } from '../../protocols/mcp/peer.ts'
import type { McpPeers, Seen } from '../../protocols/mcp/peers.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { READERS } from '../edge/roles.ts'
import { always, list, MAYBE_AT, MAYBE_STRING, STRING } from '../edge/schemas.ts'
import { OPEN, params } from '../edge/validate.ts'

// What MCP servers list, held against what is pinned of them by the live policy. Nothing is asked of them for it but where
// somebody says so: the gate asks them before each call and every few minutes anyway.

const TOOL = always({
  name: { ...STRING, description: 'as the server calls it' },
  policy_name: { ...STRING, description: 'as permissions, guards and the record call it' },
  title: MAYBE_STRING,
  description: STRING,
  effect: {
    enum: ['read', 'write', 'irreversible', null],
    description: 'by the policy; null: it is not pinned, and nobody can call it',
  },
  state: {
    enum: ['pinned', 'changed', 'not_pinned', 'not_listed', 'unknown'],
    description: '`unknown`: the list cannot be had, and nobody can call the tool meanwhile',
  },
  pinned: { ...MAYBE_STRING, description: 'SHA-256 of the tool as a person saw it' },
  listed: { ...MAYBE_STRING, description: 'SHA-256 of the tool as it is listed' },
  definition: {
    anyOf: [OPEN, { type: 'null' }],
    description: 'what is listed, where it is not what is pinned',
  },
})
const SERVER = always({
  name: STRING,
  url: {
    ...MAYBE_STRING,
    description: 'without its path, which may hold what is secret; null: the gate runs it',
  },
  program: {
    ...MAYBE_STRING,
    description: 'what the gate runs, without its args; null: it has an address',
  },
  running_since: { ...MAYBE_AT, description: 'of a program; null: it does not run' },
  era: { enum: ['modern', 'legacy', null], description: 'null: it did not say yet' },
  asked_at: { ...MAYBE_AT, description: 'when this gate asked for its list last' },
  error: { ...MAYBE_STRING, description: 'why its list cannot be had' },
  tools: list(TOOL),
})
const LOOK = params<{ look?: boolean }>({
  look: {
    type: 'boolean',
    description: 'ask each server now; default: what it listed when it was asked last',
  },
})

/** `GET /mcp-servers`: MCP servers behind the gate, and what became of their tools. */
export function mcpServerEndpoints(parts: PartsOf<'peers'>): Endpoints {
  const { peers, policies } = parts
  return new Endpoints('mcp', parts).on(
    'get',
    '/mcp-servers',
    {
      summary: 'The MCP servers behind the gate: what they list, and how it is pinned',
      description: 'Of this replica: each asks for lists by itself.',
      roles: READERS,
      query: LOOK,
      answer: always({ servers: list(SERVER) }),
    },
    async ({ query: { look = false } }) => {
      const bundle = policies.current
      const all = [...bundle.upstreams.values()].filter(({ protocol }) => protocol === 'mcp')
      return { servers: await Promise.all(all.map((one) => serverJson(peers, bundle, one, look))) }
    },
  )
}

async function serverJson(
  peers: McpPeers,
  { tools }: Bundle,
  upstream: Upstream,
  look: boolean,
): Promise<JsonObject> {
  const seen = await peers.seen(upstream, look)
  const { name, baseUrl, program } = upstream
  const { era, running } = peers.peer(upstream)
  const pinned = new Map(
    [...tools.values()]
      // What stands for a method is pinned by nobody.
      .filter((tool) => tool.upstream === name && mcpMethodOf(tool) === 'tools/call')
      .map((tool) => [tool.name.slice(mcpToolName(name, '').length), tool]),
  )
  const names = new Set([...pinned.keys(), ...(seen?.listing?.keys() ?? [])])
  return {
    name,
    url: program ? null : new URL(baseUrl).origin,
    program: program?.command[0] ?? null,
    running_since: running?.startedAt.toISOString() ?? null,
    era,
    asked_at: seen?.at.toISOString() ?? null,
    error: seen?.error ?? null,
    tools: [...names]
      .toSorted()
      .map((one) => ({ name: one, policy_name: mcpToolName(name, one), ...toolJson(one) })),
  }

  function toolJson(one: string): JsonObject {
    const [tool, listed] = [pinned.get(one), seen?.listing?.get(one)]
    const declared = tool?.declared['pin']
    const pin = typeof declared === 'string' ? declared : null
    const state = stateOf(pin, listed, seen)
    return {
      ...saidOf(tool, listed),
      effect: tool?.effectClass ?? null,
      state,
      pinned: pin,
      listed: listed?.hash ?? null,
      definition: state === 'changed' || state === 'not_pinned' ? (listed?.tool ?? null) : null,
    }
  }
}

function stateOf(pin: string | null, listed: Listed | undefined, seen: Seen | undefined): string {
  if (!seen?.listing) return 'unknown'
  if (!listed) return 'not_listed'
  if (pin === null) return 'not_pinned'
  return pin === listed.hash ? 'pinned' : 'changed'
}

/** What it says of itself now, or said when it was pinned. */
function saidOf(tool: Tool | undefined, listed: Listed | undefined) {
  const { title, description } = listed?.tool ?? {}
  return {
    title: typeof title === 'string' ? title : null,
    description: typeof description === 'string' ? description : (tool?.description ?? ''),
  }
}
