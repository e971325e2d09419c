import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { GatewayError } from '../../errors.ts'
import { parseStrictJson, StrictJsonError } from '../../lib/strict-json.ts'
import type { JsonObject } from '../../model/json.ts'
import { isObject } from '../../mcp/wire.ts'

// A request of MCP that a gateway holds, as its messages say it. What is judged is what that gateway forwards, byte by byte: so
// text that two parsers could read differently is refused.

/** `McpRequest` and `McpResponse` as the wire has them, with what was left out. */
export interface Held {
  readonly service_names: readonly string[]
  readonly method: string
  readonly metadata_context?: {
    readonly fields?: Readonly<Record<string, { readonly string_value?: string }>>
  } | null
}

export interface HeldRequest extends Held {
  readonly mcp_request?: Uint8Array
  readonly headers: readonly { readonly key: string; readonly value: Uint8Array }[]
}

export interface HeldResponse extends Held {
  readonly mcp_response: Uint8Array
}

/** Members of `metadata_context` that say who asks; the gateway's configuration fills them, and no client. */
const AGENT = 'portcullis_agent'
const KEY = 'portcullis_key'

/** By which agent it is asked, where the gateway says so. */
export const vouchedIn = (held: Held): string | undefined => said(held, AGENT)

/** An empty request with the key in it, for what looks at keys. */
export function keyedRequest(held: Held & Partial<HeldRequest>): IncomingMessage {
  const req = new IncomingMessage(new Socket())
  const add = (name: string, value: string) => {
    req.rawHeaders.push(name, value)
    const before = Object.hasOwn(req.headers, name) ? `${String(req.headers[name])}, ` : ''
    req.headers[name] = `${before}${value}`
  }
  for (const { key, value } of held.headers ?? []) {
    const name = key.toLowerCase()
    if (name === 'x-api-key' || name === 'authorization') {
      add(name, Buffer.from(value).toString('latin1'))
    }
  }
  const key = said(held, KEY)
  // A gateway may say it twice; another one makes two keys, which are refused.
  if (key !== undefined && req.headers['x-api-key'] !== key) add('x-api-key', key)
  return req
}

// What a gateway's expression made of a header that is not there is the empty text.
const said = ({ metadata_context: context }: Held, name: string): string | undefined =>
  context?.fields?.[name]?.string_value || undefined

/** @throws GatewayError `invalid_request` */
export function jsonObject(bytes: Uint8Array, what: string): JsonObject {
  try {
    const value = parseStrictJson(textOf(bytes))
    if (isObject(value)) return value
  } catch (error) {
    if (!(error instanceof StrictJsonError) && !(error instanceof TypeError)) throw error
    throw new GatewayError('invalid_request', `${what}: ${error.message}`)
  }
  throw new GatewayError('invalid_request', `${what} must be an object`)
}

/** @throws TypeError for what is no UTF-8 */
export const textOf = (bytes: Uint8Array): string =>
  new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
