import type { JsonObject } from '../model/json.ts'
import type { ServerRequest } from '../model/tool.ts'
import {
  HEADER_MISMATCH,
  INVALID_PARAMS,
  isObject,
  McpError,
  UNSUPPORTED_VERSION,
  type Incoming,
} from './wire.ts'

// Two protocols under one name. In the modern one (2026-07-28) every request says which version and capabilities it means,
// and repeats in headers what intermediaries route by; the legacy one says so once, in `initialize`, and has sessions.
// What is decided is decided by the body: headers only have to agree, so that nobody before the gate saw another call.

export const MODERN_VERSION = '2026-07-28'
/** Newest first: the first is offered to who asks for one that nobody knows. */
export const LEGACY_VERSIONS: readonly string[] = ['2025-11-25', '2025-06-18', '2025-03-26']

const PREFIX = 'io.modelcontextprotocol/'
const VERSION_KEY = `${PREFIX}protocolVersion`
const CAPABILITIES_KEY = `${PREFIX}clientCapabilities`
const CLIENT_KEY = `${PREFIX}clientInfo`
export const SERVER_INFO_KEY = `${PREFIX}serverInfo`
export const SUBSCRIPTION_KEY = `${PREFIX}subscriptionId`

export type Headers = Readonly<Record<string, string | readonly string[] | undefined>>

/** Which protocol a request speaks, and for whom. */
export interface Era {
  readonly isModern: boolean
  readonly version: string
  /** Legacy: that of the session. */
  readonly sessionId: string | null
  /** Legacy: from which on the session wants to hear what a server logs. */
  readonly logLevel?: string | null
  /** Legacy: what the client can be asked by a server. */
  readonly asks?: readonly ServerRequest[]
}

/** Of what servers log, the least first. */
export const LOG_LEVELS: readonly string[] = [
  ...['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'],
]

export const metaOf = ({ params }: Incoming): JsonObject => {
  const meta = params['_meta']
  return isObject(meta) ? meta : {}
}

/** Whether a request declares that its sender understands an extension of the protocol. */
export function declares(message: Incoming, extension: string): boolean {
  const capabilities = metaOf(message)[CAPABILITIES_KEY]
  const { extensions } = isObject(capabilities) ? capabilities : {}
  return isObject(extensions) && isObject(extensions[extension])
}

/** Whether a message claims the modern protocol, whatever else is wrong with it. */
export const isModern = (message: Incoming, headers: Headers): boolean =>
  VERSION_KEY in metaOf(message) || headers['mcp-protocol-version'] === MODERN_VERSION

/** The legacy version to speak with who asks for `asked`. */
export const negotiated = (asked: unknown): string =>
  LEGACY_VERSIONS.find((one) => one === asked) ?? (LEGACY_VERSIONS[0] as string)

/** What a client says of itself, cut to what is kept of it. */
export function clientInfo(message: Incoming): JsonObject {
  const info = message.params['clientInfo'] ?? metaOf(message)[CLIENT_KEY]
  if (!isObject(info)) return {}
  const texts = ['name', 'version', 'title'].flatMap((key) => {
    const value = info[key]
    return typeof value === 'string' ? [[key, cut(value)] as const] : []
  })
  return Object.fromEntries(texts)
}

const cut = (text: string): string => text.slice(0, 100).toWellFormed().replaceAll('\0', '')

/** @throws McpError for a modern request whose envelope or headers are not in order */
export function assertModern(
  message: Incoming,
  headers: Headers,
  supported: readonly string[],
): void {
  if (message.id === null) return // notifications change nothing here, and clients leave the envelope out
  const meta = metaOf(message)
  const version = meta[VERSION_KEY]
  if (typeof version !== 'string' || !isObject(meta[CAPABILITIES_KEY])) {
    const text = `\`_meta\` must have \`${VERSION_KEY}\` and \`${CAPABILITIES_KEY}\``
    throw new McpError(INVALID_PARAMS, text, { status: 400, id: message.id })
  }
  if (headers['mcp-protocol-version'] !== undefined) {
    agree(message, headers, 'mcp-protocol-version', version)
  }
  if (version !== MODERN_VERSION || !supported.includes(version)) {
    throw new McpError(UNSUPPORTED_VERSION, 'Unsupported protocol version', {
      status: 400,
      id: message.id,
      data: { supported: [...supported], requested: version.slice(0, 64).toWellFormed() },
    })
  }
  agree(message, headers, 'mcp-protocol-version', version)
  agree(message, headers, 'mcp-method', message.method)
  const member = NAMED_BY[message.method]
  const name = member === undefined ? undefined : message.params[member]
  if (typeof name === 'string') agree(message, headers, 'mcp-name', name)
}

/** What `Mcp-Name` repeats. */
export const NAMED_BY: Readonly<Record<string, string>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
  'tasks/get': 'taskId',
  'tasks/update': 'taskId',
  'tasks/cancel': 'taskId',
}

function agree(message: Incoming, headers: Headers, header: string, expected: string): void {
  if (decodedHeader(headers[header]) !== expected) throw mismatch(message, header)
}

const mismatch = ({ id }: Incoming, header: string): McpError =>
  new McpError(HEADER_MISMATCH, `header \`${header}\` does not agree with the body`, {
    status: 400,
    id,
  })

const BASE64 = /^=\?base64\?([A-Za-z0-9+/]*={0,2})\?=$/

/** A header's value as it was meant: text that a header cannot hold travels as base64. */
export function decodedHeader(value: string | readonly string[] | undefined): string | undefined {
  if (typeof value !== 'string') return undefined
  const text = value.replace(/^[ \t]+|[ \t]+$/g, '')
  const packed = BASE64.exec(text)?.[1]
  return packed === undefined ? text : Buffer.from(packed, 'base64').toString('utf8')
}

/**
 * Holds `Mcp-Param-*` against the args that a tool's schema marks with `x-mcp-header`.
 * @throws McpError where one is missing, or there for an arg that is not
 */
export function assertParamHeaders(message: Incoming, headers: Headers, schema: JsonObject): void {
  const args = isObject(message.params['arguments']) ? message.params['arguments'] : {}
  for (const { path, name } of annotated(schema)) {
    const header = `mcp-param-${name.toLowerCase()}`
    const sent = decodedHeader(headers[header])
    const value = valueAt(args, path)
    const isThere = value !== undefined && value !== null
    if (isThere ? !isSame(value, sent) : sent !== undefined) throw mismatch(message, header)
  }
}

function isSame(value: unknown, sent: string | undefined): boolean {
  if (sent === undefined) return false
  if (typeof value === 'number') return /^-?\d+(?:\.0+)?$/.test(sent) && Number(sent) === value
  return String(value) === sent
}

interface Annotated {
  readonly path: readonly string[]
  readonly name: string
}

const ANNOTATED_DEPTH_MAX = 8

function annotated(schema: JsonObject, path: readonly string[] = []): readonly Annotated[] {
  const { properties } = schema
  if (!isObject(properties) || path.length > ANNOTATED_DEPTH_MAX) return []
  return Object.entries(properties).flatMap(([key, one]) => {
    if (!isObject(one)) return []
    const here = [...path, key]
    const name = one['x-mcp-header']
    const own = typeof name === 'string' && name !== '' ? [{ path: here, name }] : []
    return [...own, ...annotated(one, here)]
  })
}

/** The envelope of a modern request of the gate's own. */
export const modernMeta = (self: JsonObject): JsonObject => ({
  [VERSION_KEY]: MODERN_VERSION,
  [CAPABILITIES_KEY]: {},
  [CLIENT_KEY]: self,
})

/** The headers that repeat args which a tool's schema marks with `x-mcp-header`. */
export function paramHeaders(schema: JsonObject, args: JsonObject): Record<string, string> {
  const all = annotated(schema).flatMap(({ path, name }) => {
    const value = valueAt(args, path)
    const isPlain = ['string', 'number', 'boolean'].includes(typeof value)
    return isPlain ? [[`mcp-param-${name.toLowerCase()}`, encodedHeader(String(value))]] : []
  })
  return Object.fromEntries(all) as Record<string, string>
}

/** Text as a header can hold it. */
export const encodedHeader = (text: string): string =>
  /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(text) && !text.startsWith('=?')
    ? text
    : `=?base64?${Buffer.from(text).toString('base64')}?=`

const valueAt = (args: JsonObject, path: readonly string[]): unknown =>
  path.reduce<unknown>(
    (at, key) => (isObject(at as JsonObject) ? (at as JsonObject)[key] : undefined),
    args,
  )
