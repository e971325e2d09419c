import type { TokenOrigin } from '../../agents/keys.ts'
import type { ExposedMethod } from '../../bundle/exposed.ts'
import { GatewayError } from '../../errors.ts'
import { sha256 } from '../../lib/canonical.ts'
import type { JsonObject } from '../../model/json.ts'
import { paged } from '../../mcp/cursor.ts'
import { clientInfo, LOG_LEVELS, negotiated, SERVER_INFO_KEY } from '../../mcp/eras.ts'
import { kindsIn } from '../../mcp/server-requests.ts'
import { TASKS } from '../../mcp/tasks.ts'
import { INVALID_PARAMS, McpError, METHOD_NOT_FOUND, textParam } from '../../mcp/wire.ts'
import type { Sessions } from '../../mcp/sessions.ts'
import type { Asks } from './asks.ts'
import { callTool } from './calls.ts'
import type { ChangeStreams } from './changes.ts'
import { toldError } from './errors.ts'
import type { Holds } from './holds.ts'
import { readBeside } from './reading.ts'
import type { Replying } from './replying.ts'
import {
  type Asking,
  type Beside,
  type ListName,
  type McpParts,
  NOTHING,
  type Served,
} from './served.ts'
import type { Tasks } from './tasks.ts'

// Which methods there are, as a table: what does not stand in it is refused, whatever an upstream would make of it.

/** What a method is carried out with. */
export interface Handling {
  readonly parts: McpParts
  readonly sessions: Sessions
  readonly holds: Holds
  readonly changes: ChangeStreams
  readonly tasks: Tasks
  readonly asks: Asks
}

interface Method {
  readonly eras: 'both' | 'legacy' | 'modern'
  run(handling: Handling, served: Served, asking: Asking, replying: Replying): Promise<void> | void
}

const METHODS: Readonly<Record<string, Method>> = {
  initialize: { eras: 'legacy', run: initialize },
  ping: { eras: 'legacy', run: (_handling, _served, _asking, replying) => replying.result({}) },
  'server/discover': { eras: 'modern', run: discover },
  'tools/list': { eras: 'both', run: listTools },
  'tools/call': {
    eras: 'both',
    async run({ parts, holds, tasks, asks }, served, asking, replying) {
      if (served.call) replying.result(await served.call(asking))
      else await callTool({ parts, holds, tasks, asks }, served, asking, replying)
    },
  },
  'logging/setLevel': { eras: 'legacy', run: setLogLevel },
  'resources/list': { eras: 'both', run: listing('resources') },
  'resources/templates/list': { eras: 'both', run: listing('resourceTemplates') },
  'prompts/list': { eras: 'both', run: listing('prompts') },
  'resources/read': { eras: 'both', run: reading('resources/read') },
  'prompts/get': { eras: 'both', run: reading('prompts/get') },
  'completion/complete': { eras: 'both', run: reading('completion/complete') },
  'tasks/get': {
    eras: 'modern',
    run: async ({ tasks }, served, asking, replying) =>
      replying.result(await tasks.get(served, asking, replying)),
  },
  'tasks/cancel': {
    eras: 'modern',
    run: async ({ tasks }, served, asking, replying) =>
      replying.result(await tasks.cancel(served, asking)),
  },
  'tasks/update': {
    eras: 'modern',
    run: async ({ tasks }, served, asking, replying) =>
      replying.result(await tasks.update(served, asking)),
  },
  'subscriptions/listen': {
    eras: 'modern',
    async run({ changes, tasks }, served, asking, replying) {
      const offers = (await served.beside?.offers(asking)) ?? NOTHING
      const listening = tasks.listening(served, asking, replying)
      changes.subscription(asking, replying, { offers, also: listening })
    },
  },
}

/** A method by its name, for counters: what nobody knows is one of them. */
export const methodLabel = (name: string): string => (Object.hasOwn(METHODS, name) ? name : 'other')

/** Answers one request. @throws McpError, GatewayError */
export async function answer(
  handling: Handling,
  served: Served,
  asking: Asking,
  replying: Replying,
): Promise<void> {
  const { method } = asking.message
  const known = Object.hasOwn(METHODS, method) ? METHODS[method] : undefined
  const era = replying.era.isModern ? 'modern' : 'legacy'
  if (!known || (known.eras !== 'both' && known.eras !== era)) {
    throw new McpError(METHOD_NOT_FOUND, 'Method not found', { id: asking.message.id })
  }
  await known.run(handling, served, asking, replying)
}

/** What a client is told of a server. */
async function capabilities({ beside, logs }: Served, asking: Asking): Promise<JsonObject> {
  const { resources, prompts } = (await beside?.offers(asking)) ?? NOTHING
  return {
    tools: { listChanged: true },
    ...(resources ? { resources: { listChanged: true } } : {}),
    ...(prompts ? { prompts: { listChanged: true } } : {}),
    ...(resources || prompts ? { completions: {} } : {}),
    ...(logs ? { logging: {} } : {}),
  }
}

/** What servers log during the calls of a session, from this level on. */
async function setLogLevel(
  { sessions }: Handling,
  { logs }: Served,
  { message }: Asking,
  replying: Replying,
): Promise<void> {
  const { sessionId } = replying.era
  const { id } = message
  if (!logs || sessionId === null) throw new McpError(METHOD_NOT_FOUND, 'Method not found', { id })
  const level = textParam(message, 'level')
  if (!LOG_LEVELS.includes(level)) {
    throw new McpError(INVALID_PARAMS, `\`level\` must be one of ${LOG_LEVELS.join(', ')}`, { id })
  }
  await sessions.setLogLevel(sessionId, level)
  replying.result({})
}

/** What the modern protocol has besides. */
const EXTENSIONS = { extensions: { [TASKS]: {} } }

const serverInfo = ({ version }: McpParts): JsonObject => ({ name: 'portcullis', version })

async function initialize(
  { parts, sessions }: Handling,
  served: Served,
  asking: Asking,
  replying: Replying,
): Promise<void> {
  if (!served.call) await assertActive(parts, asking)
  const { message, caller } = asking
  const protocol = negotiated(message.params['protocolVersion'])
  const client = clientInfo(message)
  const holder = holderOf(caller)
  const id = await sessions.begin({
    ...{ holder, server: served.name, protocol, client },
    asks: kindsIn(message.params['capabilities']),
  })
  replying.setHeader('Mcp-Session-Id', id)
  replying.result({
    protocolVersion: protocol,
    capabilities: await capabilities(served, asking),
    serverInfo: serverInfo(parts),
    instructions: served.instructions(),
  })
}

async function discover(
  { parts }: Handling,
  served: Served,
  asking: Asking,
  replying: Replying,
): Promise<void> {
  if (!served.call) await assertActive(parts, asking)
  replying.result({
    supportedVersions: [...served.versions()],
    capabilities: {
      ...(await capabilities({ ...served, logs: false }, asking)),
      ...(served.call ? {} : EXTENSIONS),
    },
    instructions: served.instructions(),
    _meta: { [SERVER_INFO_KEY]: serverInfo(parts) },
    ...PRIVATE,
  })
}

/** What is told to one agent is not for another, and may have changed by now. */
const PRIVATE = { ttlMs: 0, cacheScope: 'private' } as const

async function listTools(
  handling: Handling,
  served: Served,
  asking: Asking,
  replying: Replying,
): Promise<void> {
  const all = await served.tools(asking)
  await listed(handling, served, asking, replying, { member: 'tools', all })
}

/** A list of what a server has besides tools: of one that has none there is no such method. */
function listing(member: ListName): Method['run'] {
  return async (handling, served, asking, replying) => {
    const all = await besideOf(served, asking).list(asking, member)
    await listed(handling, served, asking, replying, { member, all })
  }
}

async function listed(
  { parts }: Handling,
  served: Served,
  asking: Asking,
  replying: Replying,
  { member, all }: { readonly member: string; readonly all: readonly JsonObject[] },
): Promise<void> {
  const of = {
    list: `${served.name} ${member}`,
    revision: await served.revision(asking),
    holder: holderOf(asking.caller),
  }
  const page = paged(all, asking.message, of, (text) => parts.mask.keyed(text))
  replying.result({
    [member]: page.items,
    ...(page.nextCursor === undefined ? {} : { nextCursor: page.nextCursor }),
    ...(replying.era.isModern ? PRIVATE : {}),
  })
}

function reading(method: ExposedMethod): Method['run'] {
  return (handling, served, asking, replying) =>
    readBeside(handling, { beside: besideOf(served, asking), method }, asking, replying)
}

function besideOf({ beside }: Served, { message }: Asking): Beside {
  if (beside) return beside
  throw new McpError(METHOD_NOT_FOUND, 'Method not found', { id: message.id })
}

/** Whose a session is, and a list. */
export function holderOf({ agentId, role, name, token }: Asking['caller']): string {
  if (agentId === null) return `${role}:${name}`
  // People whom one client acts for share its agent, and no session.
  return token?.subject ? `agent:${agentId} ${digestOf(token)}` : `agent:${agentId}`
}

const digestOf = ({ issuer, subject }: TokenOrigin): string =>
  sha256(JSON.stringify([issuer, subject]))

// An agent that may do nothing is told so when it comes, and not call by call; but why that is it may ask.
async function assertActive({ agents, killState }: McpParts, { caller }: Asking): Promise<void> {
  if (caller.agentId === null) return
  const agent = await agents.acting(caller)
  if (agent.status !== 'active') {
    throw toldError(new GatewayError('agent_paused', `the agent is ${agent.status}`))
  }
  const verdict = killState.check({
    ...{ agentId: agent.id, agentName: agent.name },
    ...{ tool: '', upstream: '' },
  })
  if (!verdict.blocked) return
  const reason = verdict.code === 'kill_switch_engaged' ? verdict.row.reason : 'it is unknown'
  throw toldError(new GatewayError(verdict.code, `the kill switch is engaged: ${reason}`))
}
