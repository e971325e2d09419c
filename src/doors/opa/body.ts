import type { IncomingMessage } from 'node:http'
import { gunzip } from 'node:zlib'
import { GatewayError } from '../../errors.ts'
import { membersOf } from '../../lib/json-spans.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import {
  BODY_BYTES_MAX,
  BODY_VALUES_MAX,
  decoded,
  JSON_ONLY,
  parseJsonText,
  plainMediaType,
  readBody,
} from '../edge/body.ts'
import { header } from '../edge/context.ts'

// A body of OPA's API, which clients may send packed. It is checked as strictly as any other, but for the size of
// numbers: the text goes to the policy as it came, digit by digit.

/** Packed bytes that say more than so many times as much, and more than any other body may have, are an attack. */
const RATIO_MAX = 100

/** JSON as it was sent, and read: to look at its structure, and never at a number in it. */
export interface JsonText {
  readonly text: string
  readonly value: Json
}

/** What a body may be: bytes unpacked, and values in it. */
interface Limits {
  readonly bytesMax: number
  readonly valuesMax: number
}

const USUAL: Limits = { bytesMax: BODY_BYTES_MAX, valuesMax: BODY_VALUES_MAX }

/** The body; undefined where there is none. @throws GatewayError `invalid_request`, `payload_too_large` */
export async function jsonBody(
  req: IncomingMessage,
  limits: Limits = USUAL,
): Promise<JsonText | undefined> {
  const bytes = await readBody(req, limits.bytesMax)
  if (bytes.length === 0) return undefined
  plainMediaType(req, JSON_ONLY)
  return jsonOf(decoded(await unpacked(req, bytes, limits.bytesMax)), limits)
}

/** @throws GatewayError `invalid_request` */
export function jsonOf(text: string, { valuesMax }: Limits = USUAL): JsonText {
  return { text, value: parseJsonText(text, { valuesMax, numbers: 'any' }) }
}

/** The member `input`; undefined where there is no such. @throws GatewayError `invalid_request` */
export function inputOf(body: JsonText | undefined): string | undefined {
  if (body === undefined) return undefined
  return Object.hasOwn(objectIn(body), 'input') ? memberOf(body.text, 'input') : undefined
}

/** @throws GatewayError `invalid_request` */
export function objectIn({ value }: JsonText): JsonObject {
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) {
    return value as JsonObject
  }
  throw new GatewayError('invalid_request', 'the body must be a JSON object')
}

/** The text of one member of an object; undefined where it is not there. */
export function memberOf(text: string, name: string): string | undefined {
  for (const [member, value] of membersOf(text)) if (member === name) return value
  return undefined
}

async function unpacked(req: IncomingMessage, bytes: Buffer, bytesMax: number): Promise<Buffer> {
  const encoding = (header(req, 'content-encoding') ?? 'identity').toLowerCase()
  if (encoding === 'identity') return bytes
  if (encoding !== 'gzip') {
    throw new GatewayError('unsupported_media_type', 'a body may be packed with gzip only')
  }
  const max = Math.min(bytesMax, Math.max(BODY_BYTES_MAX, bytes.length * RATIO_MAX))
  return new Promise((resolve, reject) => {
    gunzip(bytes, { maxOutputLength: max }, (error, whole) => {
      if (!error) return resolve(whole)
      const isTooLarge = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE'
      reject(
        isTooLarge
          ? new GatewayError('payload_too_large', `the body is larger than ${max} bytes unpacked`)
          : new GatewayError('invalid_request', 'the body is not gzip'),
      )
    })
  })
}
