import { mcpToolName } from '../../bundle/pins.ts'
import { replaced, spansAt } from '../../lib/json-spans.ts'
import { RawJson } from '../../lib/raw-json.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import type { Upstream } from '../../model/tool.ts'
import { isHiddenFrom } from '../../operations/tools.ts'
import { type Era, LEGACY_VERSIONS, LOG_LEVELS, metaOf, MODERN_VERSION } from '../../mcp/eras.ts'
import {
  INTERNAL_ERROR,
  INVALID_PARAMS,
  isObject,
  McpError,
  RESOURCE_NOT_FOUND,
} from '../../mcp/wire.ts'
import type { ActionSink, ServerAsk } from '../../protocols/http/exchange.ts'
import { relayBeside } from './beside.ts'
import { unlisted } from './errors.ts'
import type { Replying } from './replying.ts'
import { actionMeta } from './results.ts'
import type { Asking, CalledTool, Executed, McpParts, Served } from './served.ts'
import { type Shown, shownTo } from './side.ts'

// One MCP server behind the gate, under its own names. What it lists is asked of it each time, and shown as far as it is
// pinned and the agent may call it. Its results are handed on as the text they came as.

const MESSAGE_CHARS_MAX = 2_000

/** `/mcp/{server}`. */
export function relayServed(parts: McpParts, name: string): Served {
  const { peers } = parts
  // Of two policies one may have other pins for a server, and another address of it.
  const shownOf = async (asking: Asking): Promise<ShownServer> => {
    const shown = await shownTo(parts, asking)
    return { ...shown, upstream: shown.bundle.upstreams.get(name) }
  }
  return {
    name,
    versions: () => [MODERN_VERSION, ...LEGACY_VERSIONS],
    revision: async (asking) => (await shownTo(parts, asking)).bundle.revision,
    instructions: () => `Tools of \`${name}\`, behind a gate: each call is decided and on record.`,
    async tools(asking) {
      const shown = await shownOf(asking)
      const { upstream, bundle } = shown
      if (upstream?.protocol !== 'mcp') return []
      const listing = await peers.tools(upstream, bundle).catch(unlisted)
      return [...listing].filter(([one]) => isShown(shown, one)).map(([, { tool }]) => tool)
    },
    // Whether it is still listed as it is pinned is looked at before it is called: a list that cannot be had at the moment
    // is the failure of that call, and on record.
    async find(asking, called): Promise<CalledTool | undefined> {
      const shown = await shownOf(asking)
      const { upstream, bundle } = shown
      const tool = bundle.tools.get(mcpToolName(name, called))
      if (!tool || upstream?.protocol !== 'mcp') return undefined
      const listing = await peers.tools(upstream, bundle).catch(() => undefined)
      const listed = listing?.get(called)
      if (listing && !listed) return undefined
      const hasOutputSchema = listed === undefined || listed.tool['outputSchema'] !== undefined
      return {
        tool: tool.name,
        schema: tool.argsSchema,
        hasOutputSchema,
        isShown: isShown(shown, called),
      }
    },
    result: relayed,
    beside: relayBeside(parts, name),
    logs: true,
    sink(asking, replying, asks) {
      const { name: called } = asking.message.params
      const tool = mcpToolName(name, typeof called === 'string' ? called : '')
      return callSink(asking, replying, asks.of({ asking, tool, upstream: name }, replying))
    },
  }
}

type ShownServer = Shown & { readonly upstream: Upstream | undefined }

function isShown({ bundle, agent, upstream }: ShownServer, named: string): boolean {
  if (agent === null) return true
  const tool = upstream && bundle.tools.get(mcpToolName(upstream.name, named))
  return tool !== undefined && !isHiddenFrom(agent, tool, bundle)
}

/** A result as it came, with what the gate has to add; an error of the upstream as an error. */
export function relayed(answer: Executed, { message, era }: Replying): JsonObject | RawJson {
  const { text = '', truncated } = answer.result
  if (truncated) return cutResult(answer)
  const { result, error } = JSON.parse(text) as { result?: JsonObject; error?: Json }
  if (isObject(error)) throw upstreamError(error, message.id, era)
  if (!isObject(result)) return { content: [], isError: true, _meta: actionMeta(answer) }
  const whole = withActionMeta(text.slice('{"result":'.length, -1), result, answer)
  const isWhole = !era.isModern || 'resultType' in result
  return new RawJson(isWhole ? whole : withMembers(whole, { resultType: 'complete' }))
}

const OURS = /^dev\.portcullis\//

function withActionMeta(whole: string, result: JsonObject, answer: Executed): string {
  const meta = result['_meta']
  if (!isObject(meta)) {
    return '_meta' in result ? whole : withMembers(whole, { _meta: actionMeta(answer) })
  }
  // What a server says in our name is not handed on, and then the rest is written anew.
  if (Object.keys(meta).some((key) => OURS.test(key))) {
    const own = Object.entries(meta).filter(([key]) => !OURS.test(key))
    return JSON.stringify({
      ...result,
      _meta: { ...Object.fromEntries(own), ...actionMeta(answer) },
    })
  }
  const add = (part: string) => withMembers(part, actionMeta(answer))
  return replaced(whole, spansAt(whole, [['_meta']]), add)
}

/** JSON text of an object with members put before its own, which it has none of. */
export function withMembers(object: string, members: JsonObject): string {
  const more = JSON.stringify(members).slice(1, -1)
  if (more === '') return object
  const rest = object.trimStart().slice(1).trimStart()
  return rest.startsWith('}') ? `{${more}}` : `{${more},${rest}`
}

// The record keeps the beginning of a large answer, which is no JSON.
function cutResult(answer: Executed): JsonObject {
  const { text = '' } = answer.result
  const note = 'the result was too large to be on record; this is its beginning'
  return {
    content: [
      { type: 'text', text: note },
      { type: 'text', text },
    ],
    isError: true,
    _meta: actionMeta(answer),
  }
}

function upstreamError(error: JsonObject, id: McpError['id'], { isModern }: Era): McpError {
  const { code, message, data } = error
  const number = Number.isSafeInteger(code) ? (code as number) : INTERNAL_ERROR
  const text = typeof message === 'string' ? message.slice(0, MESSAGE_CHARS_MAX).toWellFormed() : ''
  const isKept = !isReserved(number) || (number === RESOURCE_NOT_FOUND && !isModern)
  return new McpError(isKept ? number : INVALID_PARAMS, text, {
    id,
    ...(isObject(data) ? { data } : {}),
  })
}

/** Codes by which clients know what happened to their own request, and not to ours. */
const isReserved = (code: number): boolean =>
  (code <= -32_000 && code >= -32_099) || code === -32_700 || code === -32_600

/** What the upstream asks, its progress under the token of the client, and what it logs as far as the session wants to hear it. */
function callSink(
  asking: Asking,
  replying: Replying,
  ask: ServerAsk | undefined,
): ActionSink | undefined {
  const { progressToken } = metaOf(asking.message)
  const { logLevel = null } = replying.era
  const isAsked = typeof progressToken === 'string' || typeof progressToken === 'number'
  if (!(isAsked || logLevel !== null || ask) || !replying.canStream) return undefined
  const wants = ({ level }: JsonObject) =>
    logLevel !== null &&
    typeof level === 'string' &&
    LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(logLevel)
  return {
    of() {},
    start() {},
    write(chunk) {
      const { method, params } = JSON.parse(chunk.toString('utf8')) as JsonObject
      if (!isObject(params)) return true
      if (method === 'notifications/progress' && isAsked) {
        replying.open()
        replying.notify(method, { ...params, progressToken })
      } else if (method === 'notifications/message' && wants(params)) {
        replying.open()
        replying.notify(method, params)
      }
      return true
    },
    // A modern client that leaves needs the rest of no read; a legacy one may come back for it.
    onGone(gone) {
      if (replying.era.isModern) replying.onGone(gone)
    },
    abandon() {},
    ...(ask ? { ask } : {}),
  }
}
