import type { IncomingMessage } from 'node:http'
import { GatewayError } from '../../errors.ts'
import { parseStrictJson, StrictJsonError, type StrictJsonRules } from '../../lib/strict-json.ts'
import type { Json } from '../../model/json.ts'
import { header, stateOf } from './context.ts'
import type { Step } from './edge.ts'

export const BODY_BYTES_MAX = 1 << 20
/** More is 100 ms of checking and judging for one request. */
export const BODY_VALUES_MAX = 20_000
/** How long a body may take that is no upload. */
const BODY_MS = 30_000
export const JSON_ONLY = ['application/json']

/** Reads and parses the body once, strictly; what is not understood is refused, never passed on. */
export const strictBody: Step = (req) => readJson(req)

/** The same, of another size, or for a handler that reads it itself. */
export async function readJson(req: IncomingMessage, bytesMax = BODY_BYTES_MAX): Promise<void> {
  const bytes = await readBody(req, bytesMax)
  if (bytes.length === 0) return
  mediaType(req, JSON_ONLY)
  stateOf(req).body = parseBody(bytes)
}

/** The body as text of one of these media types, for calls that take more than JSON. */
export async function textBody(
  req: IncomingMessage,
  media: readonly string[],
  bytesMax: number,
): Promise<{ type: string; text: string }> {
  const type = mediaType(req, media)
  const text = decoded(await readBody(req, bytesMax))
  stateOf(req).body = text // what an Idempotency-Key is compared by
  return { type, text }
}

/** @throws GatewayError `unsupported_media_type` */
export function mediaType(req: IncomingMessage, allowed: readonly string[]): string {
  const encoding = header(req, 'content-encoding') ?? 'identity'
  if (encoding !== 'identity') {
    throw new GatewayError('unsupported_media_type', 'compressed bodies are not accepted')
  }
  return plainMediaType(req, allowed)
}

/** The same, whatever it is compressed with. */
export function plainMediaType(req: IncomingMessage, allowed: readonly string[]): string {
  const [given = '', ...parameters] = (header(req, 'content-type') ?? '').toLowerCase().split(';')
  const type = given.trim()
  const charset = parameters.map((one) => one.trim()).find((one) => one.startsWith('charset='))
  const isUtf8 = charset === undefined || /^charset="?utf-8"?$/.test(charset)
  if (allowed.includes(type) && isUtf8) return type
  throw new GatewayError(
    'unsupported_media_type',
    `the body must be ${allowed.join(' or ')} in UTF-8`,
  )
}

// Events rather than an async iterator: this runs for every action, and the iterator costs more than it.
export function readBody(req: IncomingMessage, bytesMax: number, ms = BODY_MS): Promise<Buffer> {
  const tooLarge = () =>
    new GatewayError('payload_too_large', `the body is larger than ${bytesMax} bytes`)
  if (Number(req.headers['content-length'] ?? 0) > bytesMax) return Promise.reject(tooLarge())
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const timer = setTimeout(() => {
      reject(new GatewayError('invalid_request', 'the request did not arrive in time'))
    }, ms)
    req.on('close', () => clearTimeout(timer))
    req.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= bytesMax) chunks.push(chunk)
      else reject(tooLarge())
    })
    req.on('end', () => {
      clearTimeout(timer)
      resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks))
    })
    req.on('error', (error) => {
      reject(new GatewayError('invalid_request', 'the body ended early', { cause: error }))
    })
  })
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function parseBody(bytes: Buffer): Json {
  return parseJsonText(decoded(bytes), { valuesMax: BODY_VALUES_MAX })
}

/** @throws GatewayError `invalid_request` for what is not JSON as the gate takes it */
export function parseJsonText(text: string, rules: StrictJsonRules = {}): Json {
  try {
    return parseStrictJson(text, rules)
  } catch (error) {
    const message = error instanceof StrictJsonError ? error.message : 'unreadable'
    throw new GatewayError('invalid_request', `invalid JSON: ${message}`)
  }
}

/** @throws GatewayError `invalid_request` */
export function decoded(bytes: Buffer): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw new GatewayError('invalid_request', 'the body is not well-formed UTF-8')
  }
}
