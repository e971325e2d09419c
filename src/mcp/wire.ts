import type { Json, JsonObject } from '../model/json.ts'

// JSON-RPC 2.0 as MCP uses it: one object a message, an id that is text or a whole number, and params that are an object.
// Whatever else a peer could mean by a message is refused rather than guessed.

export type MessageId = string | number

/** A request, or with `id` null a notification. */
export interface Incoming {
  readonly id: MessageId | null
  readonly method: string
  readonly params: JsonObject
}

export const PARSE_ERROR = -32700
export const INVALID_REQUEST = -32600
export const METHOD_NOT_FOUND = -32601
export const INVALID_PARAMS = -32602
export const INTERNAL_ERROR = -32603
/** Revisions before 2026-07-28. */
export const RESOURCE_NOT_FOUND = -32002
/** Revision 2026-07-28: headers that do not agree with the body. */
export const HEADER_MISMATCH = -32020
export const UNSUPPORTED_VERSION = -32022
/** What is asked for is only for clients that say they understand it. */
export const MISSING_CAPABILITY = -32021

const METHOD_CHARS_MAX = 128
const ID_CHARS_MAX = 256

interface McpErrorExtras {
  readonly status?: number
  readonly data?: JsonObject
  readonly id?: MessageId | null
}

/** A message that is answered by a JSON-RPC error; `status` is that of HTTP. */
export class McpError extends Error {
  readonly code: number
  readonly status: number
  readonly data: JsonObject | undefined
  readonly id: MessageId | null

  constructor(code: number, message: string, { status = 200, data, id }: McpErrorExtras = {}) {
    super(message)
    this.name = 'McpError'
    this.code = code
    this.status = status
    this.data = data
    this.id = id ?? null
  }
}

export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Reads one message; 'response' is one to a request, of which the gate makes none. @throws McpError */
export function readMessage(value: Json | undefined): Incoming | 'response' {
  if (Array.isArray(value)) throw malformed('batches are not supported: send one message a request')
  if (!isObject(value)) throw malformed('the body must be one JSON-RPC message')
  const { jsonrpc, id, method, params = {} } = value
  const known = isId(id) ? id : null
  if (jsonrpc !== '2.0') throw malformed('`jsonrpc` must be "2.0"', known)
  if (method === undefined && ('result' in value || 'error' in value)) return 'response'
  if (typeof method !== 'string' || method === '' || method.length > METHOD_CHARS_MAX) {
    throw malformed('`method` must be a name', known)
  }
  if (id !== undefined && known === null) throw malformed('`id` must be text or a whole number')
  if (!isObject(params)) throw malformed('`params` must be an object', known)
  return { id: known, method, params }
}

const isId = (id: Json | undefined): id is MessageId =>
  (typeof id === 'string' && id.length <= ID_CHARS_MAX) || Number.isSafeInteger(id)

const malformed = (message: string, id: MessageId | null = null): McpError =>
  new McpError(INVALID_REQUEST, message, { status: 400, id })

/** An error as it is sent; one that belongs to no request has no id. */
export function errorMessage({ code, message, data, id }: McpError): JsonObject {
  const error = { code, message, ...(data === undefined ? {} : { data }) }
  return { jsonrpc: '2.0', ...(id === null ? {} : { id }), error }
}

/** Params that must be text. @throws McpError */
export function textParam({ params, id }: Incoming, name: string): string {
  const value = params[name]
  if (typeof value === 'string') return value
  throw new McpError(INVALID_PARAMS, `\`${name}\` must be text`, { id })
}
