import { createHash, createHmac } from 'node:crypto'
import { Num, RegoObject, RegoSet, toBigInt, type Value, writeJson, writeValue } from '../value.ts'
import { BuiltinError, type Family, fail, object } from './kind.ts'

function hmac(key: Buffer | string, s: string): Buffer {
  return createHmac('sha256', key).update(s).digest()
}
function sha256(s: string): string {
  return createHash('sha256').update(s).digest('hex')
}
function string(v: Value | undefined): string {
  return typeof v === 'string' ? v : ''
}
function list(keys: readonly string[]): string {
  return writeValue(new RegoSet(keys))
}

function refuse(message: string): never {
  throw new BuiltinError(message, 'eval_type_error')
}

const CONFIG = ['aws_access_key', 'aws_region', 'aws_secret_access_key', 'aws_service']
const UNSIGNED_HEADERS = new Set(['authorization', 'user-agent', 'x-amzn-trace-id'])

/** AWS signature version 4. */
function signRequest(request: RegoObject, config: RegoObject, time: Value | undefined): Value {
  const missing = ['method', 'url'].filter((k) => request.get(k) === undefined)
  if (missing.length > 0)
    return fail(`operand 1 missing required request parameters(s): ${list(missing)}`)
  const bad = ['method', 'url'].filter((k) => typeof request.get(k) !== 'string')
  if (bad.length > 0)
    return fail(`operand 1 invalid values for required request parameters(s): ${list(bad)}`)
  const absent = CONFIG.filter((k) => config.get(k) === undefined)
  if (absent.length > 0)
    return fail(`operand 2 missing required AWS config parameters(s): ${list(absent)}`)
  const wrong = CONFIG.filter((k) => typeof config.get(k) !== 'string')
  if (wrong.length > 0)
    return fail(`operand 2 invalid values for required AWS config parameters(s): ${list(wrong)}`)
  const ns = time instanceof Num ? toBigInt(time) : undefined
  if (ns === undefined || ns >= 1n << 63n || ns < 0n)
    return refuse('operand 3 could not convert time_ns value into a unix timestamp')
  const payloadOption = config.get('disable_payload_signing')
  if (payloadOption !== undefined && typeof payloadOption !== 'boolean')
    return refuse("operand 2 invalid value for 'disable_payload_signing' in AWS config")
  const get = (k: string) => string(config.get(k))
  const service = get('aws_service')
  let url: URL
  try {
    url = new URL(string(request.get('url')))
  } catch {
    return fail('operand 1 invalid url')
  }
  const body = bodyOf(request)
  const stamp = new Date(Number(ns / 1_000_000n)).toISOString().replace(/[-:]|\.\d{3}/g, '')
  const date = stamp.slice(0, 8)
  const unsigned = config.get('disable_payload_signing') === true
  const digest = unsigned ? 'UNSIGNED-PAYLOAD' : sha256(body)
  const given = request.get('headers')
  if (given !== undefined && !(given instanceof RegoObject))
    return fail('operand 1 headers must be an object')
  const headers = new Map<string, string>()
  for (const [k, v] of given instanceof RegoObject ? given.pairs : []) {
    headers.set(
      string(k),
      typeof v === 'string'
        ? v
        : v instanceof RegoSet || Array.isArray(v)
          ? (v instanceof RegoSet ? v.items : v)
              .map((x) => (typeof x === 'string' ? x : writeJson(x)))
              .join(',')
          : writeJson(v),
    )
  }
  const signing = new Map<string, string>()
  for (const [k, v] of headers)
    if (!UNSIGNED_HEADERS.has(k.toLowerCase())) signing.set(k.toLowerCase(), v.trim())
  const extra = new Map<string, string>([
    ['host', url.host],
    ['x-amz-date', stamp],
  ])
  if (service === 's3' || service === 'glacier' || unsigned)
    extra.set('x-amz-content-sha256', digest)
  const session = config.get('aws_session_token')
  if (typeof session === 'string' && session !== '') extra.set('x-amz-security-token', session)
  // A header that the request brings is signed as it is there, although it is sent with our value.
  for (const [k, v] of extra) if (!signing.has(k)) signing.set(k, v)
  const names = [...signing.keys()].sort()
  const canonical = [
    string(request.get('method')),
    /^[^:]+:\/\/[^/?#]*([^?#]*)/.exec(string(request.get('url')))?.[1] ?? '',
    url.search.replace(/^\?/, ''),
    ...names.map((k) => `${k}:${signing.get(k) ?? ''}`),
    '',
    names.join(';'),
    digest,
  ].join('\n')
  const scope = `${date}/${get('aws_region')}/${service}/aws4_request`
  const toSign = ['AWS4-HMAC-SHA256', stamp, scope, sha256(canonical)].join('\n')
  const key = [get('aws_region'), service, 'aws4_request'].reduce(
    hmac,
    hmac(`AWS4${get('aws_secret_access_key')}`, date),
  )
  const signature = hmac(key, toSign).toString('hex')
  const authorization = `AWS4-HMAC-SHA256 Credential=${get('aws_access_key')}/${scope},SignedHeaders=${names.join(';')},Signature=${signature}`
  const kept = [...headers].filter(([k]) => !extra.has(k.toLowerCase()))
  const all = new Map<string, string>([...kept, ...extra, ['Authorization', authorization]])
  const rest = request.pairs.filter(([k]) => k !== 'headers')
  return new RegoObject([...rest, ['headers', new RegoObject([...all])]])
}

function bodyOf(request: RegoObject): string {
  const raw = request.get('raw_body')
  if (typeof raw === 'string') return raw
  const body = request.get('body')
  return body === undefined ? '' : writeJson(body)
}

export const aws: Family = {
  'providers.aws.sign_req': (request, config, time) =>
    signRequest(object(request, 1), object(config, 2), time),
}
