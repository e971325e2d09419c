import type { IncomingMessage } from 'node:http'
import { GatewayError } from '../../errors.ts'
import { StrictJsonError, parseStrictJson } from '../../lib/strict-json.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import {
  assertModern,
  isModern,
  LEGACY_VERSIONS,
  negotiated,
  MODERN_VERSION,
  type Era,
} from '../../mcp/eras.ts'
import {
  INVALID_REQUEST,
  McpError,
  PARSE_ERROR,
  readMessage,
  type Incoming,
} from '../../mcp/wire.ts'
import { Sessions } from '../../mcp/sessions.ts'
import {
  BODY_BYTES_MAX,
  BODY_VALUES_MAX,
  decoded,
  JSON_ONLY,
  mediaType,
  readBody,
} from '../edge/body.ts'
import { header } from '../edge/context.ts'
import { Endpoints, type Asked, type OtherAnswer } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { ANYONE } from '../edge/roles.ts'
import { INTEGER, STRING } from '../edge/schemas.ts'
import { object, OPEN } from '../edge/validate.ts'
import { Asks } from './asks.ts'
import { callId } from './calls.ts'
import { ChangeStreams } from './changes.ts'
import { Holds } from './holds.ts'
import { answer, holderOf, methodLabel, type Handling } from './methods.ts'
import { Replying } from './replying.ts'
import { type McpParts, NOTHING, type Served } from './served.ts'
import { Tasks } from './tasks.ts'
import { allServed } from './all-served.ts'
import { ownServed } from './own-served.ts'
import { relayServed } from './relay-served.ts'
import { toolsServed } from './tools-served.ts'

// The door of MCP over Streamable HTTP. Steps in order: origin and host, the key and its role (all before this file), the
// body, which protocol it speaks, whether its headers agree with it, and then the table of methods.

const ID = { type: ['string', 'integer'] } as const
const RPC_ERROR: JsonObject = object(
  {
    jsonrpc: { const: '2.0' },
    id: ID,
    error: object({ code: INTEGER, message: STRING, data: OPEN }, ['code', 'message']),
  },
  ['jsonrpc', 'error'],
)
const RPC_ANSWER: JsonObject = {
  anyOf: [
    object({ jsonrpc: { const: '2.0' }, id: ID, result: OPEN }, ['jsonrpc', 'id', 'result']),
    RPC_ERROR,
  ],
}
const REFUSED: Readonly<Record<number, OtherAnswer>> = Object.fromEntries(
  Object.entries({
    400: 'not a message, or headers that do not agree with it',
    401: 'no key, or a wrong one',
    403: 'a foreign origin or host, or a key that may not do this',
    404: 'no such session, or (2026-07-28) no such method',
    405: 'use POST',
    413: 'more than 1 MiB',
    415: 'not JSON',
    429: 'too much at once',
    500: 'a fault of the gate',
    502: 'the list of the server cannot be had',
    503: 'the gate can decide nothing at the moment',
  }).map(([status, means]) => [status, { means, answer: RPC_ERROR }]),
)
const ACCEPTED = { 202: { means: 'a notification' } }

/** `POST`, `GET` and `DELETE` of `/mcp`, `/mcp/tools`, `/mcp/portcullis` and `/mcp/{server}`. */
export function mcpEndpoints(parts: PartsOf & McpParts): Endpoints {
  const endpoints = new Endpoints('mcp', parts)
  const handling: Handling = {
    parts,
    sessions: new Sessions(parts.db),
    holds: new Holds(parts),
    changes: new ChangeStreams(parts),
    tasks: new Tasks(parts),
    asks: new Asks(parts),
  }
  declare(endpoints, '/mcp', handling, () => allServed(parts))
  declare(endpoints, '/mcp/tools', handling, () => toolsServed(parts))
  declare(endpoints, '/mcp/portcullis', handling, () => ownServed(parts))
  declare(endpoints, '/mcp/:server', handling, (asked) => {
    const name = asked.param('server')
    // Of a policy on trial too, whose agents are told apart from others behind this.
    const isServer = parts.pipeline.policies
      .inPlay()
      .some(({ upstreams }) => upstreams.get(name)?.protocol === 'mcp')
    if (isServer) return relayServed(parts, name)
    throw new GatewayError('not_found', 'there is no such MCP server')
  })
  return endpoints
}

function declare(
  endpoints: Endpoints,
  path: string,
  handling: Handling,
  servedBy: (asked: Asked<unknown, unknown>) => Served,
): void {
  endpoints.stream(
    'post',
    path,
    {
      summary: 'One message of the Model Context Protocol, over Streamable HTTP',
      description:
        `Revisions ${[MODERN_VERSION, ...LEGACY_VERSIONS].join(', ')}. Calls are decided, recorded and carried out ` +
        'like those of `POST /act`; refusals are results with `isError`.',
      roles: ANYONE,
      accepts: ['application/json'],
      answer: RPC_ANSWER,
      also: { ...ACCEPTED, ...REFUSED },
    },
    (asked) => post(handling, servedBy(asked), asked),
  )
  endpoints.stream(
    'get',
    path,
    {
      summary: 'The stream of a session: that a list has changed',
      roles: ANYONE,
      media: 'text/event-stream',
      also: REFUSED,
    },
    (asked) => get(handling, servedBy(asked), asked),
  )
  endpoints.stream(
    'delete',
    path,
    {
      summary: 'End a session',
      roles: ANYONE,
      also: REFUSED,
    },
    (asked) => end(handling, servedBy(asked), asked),
  )
}

async function post(
  handling: Handling,
  served: Served,
  asked: Asked<unknown, unknown>,
): Promise<void> {
  const { req, res, caller } = asked
  const { log, metrics } = handling.parts
  const body = await readJson(req)
  const message = readMessage(body)
  if (message === 'response') {
    await answered(handling, served, asked, body as JsonObject)
    res.status(202).end()
    return
  }
  const era = await eraOf(handling, served, asked, message)
  const asking = { req, caller, message }
  if (message.id === null) {
    if (!era.isModern) noted(handling, message, era)
    res.status(202).end()
    return
  }
  const replying = new Replying(asked, log, message, era)
  try {
    await answer(handling, served, asking, replying)
    count('answered')
  } catch (error) {
    count('refused')
    replying.error(error)
  }

  function count(result: string): void {
    const { method } = message as Incoming
    metrics.mcpRequests.inc({ server: served.name, method: methodLabel(method), result })
  }
}

/** What a client says to something that a server asked it: only its own session can. Others were asked nothing. */
async function answered(
  { sessions, asks }: Handling,
  served: Served,
  { req, caller }: Asked<unknown, unknown>,
  message: JsonObject,
): Promise<void> {
  const id = header(req, 'mcp-session-id')
  if (id === undefined || isModern(NO_MESSAGE, req.headers)) return
  assertLegacyVersion(req, NO_MESSAGE)
  if (!(await sessions.find(id, holderOf(caller), served.name))) throw noSession(null)
  await asks.answer({ sessionId: id, message })
}

const NO_MESSAGE: Incoming = { id: null, method: '', params: {} }

/** Of a client's notifications only this one changes something. */
function noted({ holds }: Handling, { method, params }: Incoming, { sessionId }: Era): void {
  if (method !== 'notifications/cancelled' || sessionId === null) return
  holds.cancel(callId(sessionId, params['requestId']))
}

async function readJson(req: IncomingMessage): Promise<Json> {
  const bytes = await readBody(req, BODY_BYTES_MAX)
  mediaType(req, JSON_ONLY)
  try {
    return parseStrictJson(decoded(bytes), { valuesMax: BODY_VALUES_MAX })
  } catch (error) {
    const problem = error instanceof StrictJsonError ? error.message : 'not UTF-8'
    throw new McpError(PARSE_ERROR, `Parse error: ${problem}`, { status: 400 })
  }
}

async function eraOf(
  handling: Handling,
  served: Served,
  { req, caller }: Asked<unknown, unknown>,
  message: Incoming,
): Promise<Era> {
  if (isModern(message, req.headers)) {
    assertModern(message, req.headers, served.versions())
    return { isModern: true, version: MODERN_VERSION, sessionId: null }
  }
  if (message.method === 'initialize' && message.id !== null) {
    const version = negotiated(message.params['protocolVersion'])
    return { isModern: false, version, sessionId: null }
  }
  assertLegacyVersion(req, message)
  const id = header(req, 'mcp-session-id')
  if (id === undefined) {
    const text = 'no session: send `initialize` first, or `_meta` of 2026-07-28'
    throw new McpError(INVALID_REQUEST, text, { status: 400, id: message.id })
  }
  const session = await handling.sessions.find(id, holderOf(caller), served.name)
  if (!session) throw noSession(message.id)
  const { id: sessionId, protocol, logLevel, asks } = session
  return { isModern: false, version: protocol, sessionId, logLevel, asks }
}

function assertLegacyVersion(req: IncomingMessage, { id }: Pick<Incoming, 'id'>): void {
  const version = header(req, 'mcp-protocol-version')
  if (version === undefined || LEGACY_VERSIONS.includes(version)) return
  const text = `Unsupported protocol version; supported: ${LEGACY_VERSIONS.join(', ')}`
  throw new McpError(INVALID_REQUEST, text, { status: 400, id })
}

const noSession = (id: Incoming['id']): McpError =>
  new McpError(INVALID_REQUEST, 'Session not found', { status: 404, id })

/** The stream of a legacy session; there is none of the modern protocol. */
async function get(
  handling: Handling,
  served: Served,
  asked: Asked<unknown, unknown>,
): Promise<void> {
  const { req, caller } = asked
  const id = header(req, 'mcp-session-id')
  const message: Incoming = { id: null, method: 'GET', params: {} }
  const era: Era = { isModern: false, version: '', sessionId: id ?? null }
  const replying = new Replying(asked, handling.parts.log, message, era)
  if (id === undefined || req.method !== 'GET' || !replying.canStream) throw onlyPost()
  assertLegacyVersion(req, message)
  const session = await handling.sessions.find(id, holderOf(caller), served.name)
  if (!session) throw noSession(null)
  const asking = { req, caller, message }
  const offers = (await served.beside?.offers(asking)) ?? NOTHING
  handling.changes.ofSession(asking, replying, id, offers)
}

async function end(
  handling: Handling,
  served: Served,
  { req, res, caller }: Asked<unknown, unknown>,
): Promise<void> {
  const id = header(req, 'mcp-session-id')
  if (id === undefined || header(req, 'mcp-protocol-version') === MODERN_VERSION) throw onlyPost()
  if (!(await handling.sessions.end(id, holderOf(caller), served.name))) throw noSession(null)
  handling.changes.endOf(id)
  res.status(200).end()
}

const onlyPost = (): GatewayError => new GatewayError('method_not_allowed', 'use POST')
