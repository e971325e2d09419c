import {
  constants,
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  type KeyObject,
  sign,
  timingSafeEqual,
  verify,
  X509Certificate,
} from 'node:crypto'
import {
  isArray,
  Num,
  parseValue,
  RegoObject,
  RegoSet,
  toBigInt,
  toJs,
  type Value,
  writeJson,
} from '../value.ts'
import { pemBlocks } from './crypto.ts'
import { type Family, fail, object, text } from './kind.ts'
import { now } from './time.ts'

// The `io.jwt` family as OPA has it: tokens are decoded and verified with Node's keys, and errors read as OPA's, because policies
// match them. A verification that cannot be made (a key of another kind) is false or an error exactly where it is there.

interface Token {
  readonly header: RegoObject
  readonly payload: RegoObject
  readonly signature: Buffer
  readonly signed: string
}

function decodePart(part: string): Buffer {
  if (!/^[A-Za-z0-9_-]*={0,2}$/.test(part) || part.replace(/=+$/, '').length % 4 === 1)
    return fail('illegal base64 data at input byte 0')
  return Buffer.from(part, 'base64url')
}
function decodeJson(part: string, what: string): RegoObject {
  let value: Value
  try {
    value = parseValue(decodePart(part).toString('utf8'))
  } catch (error) {
    return fail(`${what}: ${error instanceof Error ? error.message : ''}`)
  }
  return value instanceof RegoObject ? value : fail(`${what} is not an object`)
}

function decode(source: string): Token {
  const parts = source.split('.')
  const [head = '', body = '', tail = ''] = parts
  if (parts.length === 5) return fail('JWT is a JWE object, which is not supported')
  if (parts.length !== 3) return fail('encoded JWT must have 3 sections')
  const header = decodeJson(head, 'JWT header had invalid encoding')
  if (header.get('enc') !== undefined) return fail('JWT is a JWE object, which is not supported')
  let payload = body
  // A nested token carries the real one as its payload.
  if (header.get('cty') === 'JWT' || header.get('cty') === 'jwt') {
    const inner = decodePart(payload).toString('utf8').replace(/^"|"$/g, '')
    if (inner.split('.').length === 3) return decode(inner)
    payload = body
  }
  return {
    header,
    payload: decodeJson(payload, 'JWT payload had invalid encoding'),
    signature: decodePart(tail),
    signed: `${head}.${body}`,
  }
}

interface Algorithm {
  readonly kind: 'hmac' | 'rsa' | 'pss' | 'ecdsa' | 'eddsa'
  readonly hash: string | null
}
const ALGORITHMS: Readonly<Record<string, Algorithm>> = {
  HS256: { kind: 'hmac', hash: 'sha256' },
  HS384: { kind: 'hmac', hash: 'sha384' },
  HS512: { kind: 'hmac', hash: 'sha512' },
  RS256: { kind: 'rsa', hash: 'sha256' },
  RS384: { kind: 'rsa', hash: 'sha384' },
  RS512: { kind: 'rsa', hash: 'sha512' },
  PS256: { kind: 'pss', hash: 'sha256' },
  PS384: { kind: 'pss', hash: 'sha384' },
  PS512: { kind: 'pss', hash: 'sha512' },
  ES256: { kind: 'ecdsa', hash: 'sha256' },
  ES384: { kind: 'ecdsa', hash: 'sha384' },
  ES512: { kind: 'ecdsa', hash: 'sha512' },
  EdDSA: { kind: 'eddsa', hash: null },
}
const KEY_TYPES: Readonly<Record<Algorithm['kind'], readonly string[]>> = {
  hmac: [],
  rsa: ['rsa'],
  pss: ['rsa', 'rsa-pss'],
  ecdsa: ['ec'],
  eddsa: ['ed25519', 'ed448'],
}

function keyOptions(algorithm: Algorithm, key: KeyObject): Parameters<typeof verify>[2] {
  if (algorithm.kind === 'ecdsa') return { key, dsaEncoding: 'ieee-p1363' }
  if (algorithm.kind === 'pss') {
    return {
      key,
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength: constants.RSA_PSS_SALTLEN_AUTO,
    }
  }
  return key
}

function checkKey(algorithm: Algorithm, key: KeyObject, token: Token): boolean {
  if (!KEY_TYPES[algorithm.kind].includes(key.asymmetricKeyType ?? '')) return false
  try {
    return verify(
      algorithm.hash,
      Buffer.from(token.signed),
      keyOptions(algorithm, key),
      token.signature,
    )
  } catch {
    return false
  }
}
function checkSecret(algorithm: Algorithm, secret: string, token: Token): boolean {
  const want = createHmac(algorithm.hash ?? 'sha256', secret)
    .update(token.signed)
    .digest()
  return want.length === token.signature.length && timingSafeEqual(want, token.signature)
}

interface Key {
  readonly key: KeyObject
  readonly id: string | undefined
  readonly alg: string | undefined
}

/** Keys from a certificate, a public key, a JWK or a JWK set. */
function keysFrom(source: string): Key[] {
  if (pemBlocks(source).length > 0) {
    const [block] = pemBlocks(source)
    if (!/-----END [A-Z0-9 ]+-----\s*$/.test(source))
      return fail('extra data after a PEM certificate block')
    try {
      const key =
        block?.type === 'CERTIFICATE'
          ? new X509Certificate(source).publicKey
          : createPublicKey(source)
      return [{ key, id: undefined, alg: undefined }]
    } catch {
      return fail('failed to parse a PEM key')
    }
  }
  let parsed: unknown
  try {
    parsed = JSON.parse(source)
  } catch {
    return fail('failed to parse a JWK key (set)')
  }
  if (parsed === null || typeof parsed !== 'object') return fail('failed to parse a JWK key (set)')
  const list =
    'keys' in parsed && Array.isArray(parsed.keys) ? (parsed.keys as unknown[]) : [parsed]
  const found: Key[] = []
  for (const jwk of list) {
    if (jwk === null || typeof jwk !== 'object') return fail('failed to parse a JWK key (set)')
    const { kid, alg, kty } = jwk as { kid?: unknown; alg?: unknown; kty?: unknown }
    if (typeof kty !== 'string') return fail('failed to parse a JWK key (set)')
    try {
      const key = createPublicKey({ key: jwk as never, format: 'jwk' })
      found.push({
        key,
        id: typeof kid === 'string' ? kid : undefined,
        alg: typeof alg === 'string' ? alg : undefined,
      })
    } catch {
      if (kty !== 'oct') return fail('failed to parse a JWK key (set)')
    }
  }
  return found
}

function verifyWith(name: string): (t: Value | undefined, k: Value | undefined) => Value {
  const algorithm = ALGORITHMS[name] as Algorithm
  return (t, k) => {
    const token = decode(text(t, 1))
    const source = text(k, 2)
    if (algorithm.kind === 'hmac') return checkSecret(algorithm, source, token)
    const keys = keysFrom(source)
    const kid = token.header.get('kid')
    const alg = token.header.get('alg')
    // A key that the token names decides; otherwise any key may fit.
    const named = typeof kid === 'string' ? keys.filter(({ id }) => id === kid) : []
    const candidates = named.length > 0 ? named : keys
    return candidates.some(
      (key) =>
        (key.alg === undefined || key.alg === alg || named.length > 0) &&
        checkKey(algorithm, key.key, token),
    )
  }
}

interface Constraints {
  readonly keys: Key[] | undefined
  readonly secret: string | undefined
  readonly alg: string | undefined
  readonly iss: string | undefined
  readonly aud: string | undefined
  readonly time: bigint | undefined
}

function constraintsFrom(o: RegoObject): Constraints {
  let found: Constraints = {
    keys: undefined,
    secret: undefined,
    alg: undefined,
    iss: undefined,
    aud: undefined,
    time: undefined,
  }
  const string = (v: Value, what: string) =>
    typeof v === 'string' ? v : fail(`${what} constraint: must be a string`)
  for (const [name, value] of o.pairs) {
    switch (name) {
      case 'cert':
        found = { ...found, keys: keysFrom(string(value, 'cert')) }
        break
      case 'secret':
      case 'alg':
      case 'iss':
      case 'aud':
        found = { ...found, [name]: string(value, name) }
        break
      case 'time': {
        if (!(value instanceof Num)) return fail('time constraint: must be a number')
        const time = toBigInt(new Num(value.text.replace(/\..*$/, ''))) ?? toBigInt(value)
        if (time === undefined || time < 0n)
          return fail('token time constraint: must not be negative')
        found = { ...found, time }
        break
      }
      default:
        return fail(`unknown token validation constraint: ${typeof name === 'string' ? name : ''}`)
    }
  }
  const given = (found.keys ? 1 : 0) + (found.secret === undefined ? 0 : 1)
  if (given > 1) return fail('duplicate key constraint')
  if (given < 1) return fail('no key constraint')
  if (found.keys === undefined && found.secret === undefined) return fail('no key constraint')
  return found
}

const INVALID: Value = [false, new RegoObject([]), new RegoObject([])]

function decodeVerify(source: string, options: RegoObject): Value {
  const c = constraintsFrom(options)
  const token = decode(source)
  const { header, payload } = token
  const alg = header.get('alg')
  if (typeof alg !== 'string') return INVALID
  const critical = header.get('crit')
  if (critical !== undefined) return INVALID
  const algorithm = ALGORITHMS[alg]
  if (!algorithm || (c.alg !== undefined && c.alg !== alg)) return INVALID
  if (algorithm.kind === 'hmac') {
    if (c.secret === undefined || !checkSecret(algorithm, c.secret, token)) return INVALID
  } else {
    if (!c.keys) return INVALID
    const kid = header.get('kid')
    const named = typeof kid === 'string' ? c.keys.filter(({ id }) => id === kid) : []
    const candidates = named.length > 0 ? named : c.keys
    if (!candidates.some(({ key }) => checkKey(algorithm, key, token))) return INVALID
  }
  if (c.iss !== undefined && payload.get('iss') !== c.iss) return INVALID
  const aud = payload.get('aud')
  const audiences =
    typeof aud === 'string'
      ? [aud]
      : isArray(aud)
        ? aud
        : aud instanceof RegoSet
          ? aud.items
          : undefined
  if (c.aud !== undefined ? !audiences?.includes(c.aud) : aud !== undefined) return INVALID
  const clock = c.time ?? now()
  const exp = payload.get('exp')
  const nbf = payload.get('nbf')
  if (exp !== undefined) {
    if (!(exp instanceof Num)) return fail('exp value must be a number')
    if (clock >= seconds(exp)) return INVALID
  }
  if (nbf !== undefined) {
    if (!(nbf instanceof Num)) return fail('nbf value must be a number')
    if (clock < seconds(nbf)) return INVALID
  }
  return [true, header, payload]
}
function seconds(n: Num): bigint {
  const whole = toBigInt(n)
  return whole === undefined ? BigInt(Math.trunc(Number(n.text) * 1e9)) : whole * 1_000_000_000n
}

function encodeSign(headerText: string, payloadText: string, keyText: string): string {
  let header: unknown
  let jwk: { kty?: string; alg?: string }
  try {
    header = JSON.parse(headerText)
  } catch (error) {
    return fail(error instanceof Error ? goSyntax(headerText) : '')
  }
  try {
    jwk = JSON.parse(keyText) as typeof jwk
  } catch {
    return fail('failed to parse JWK')
  }
  const { alg, typ } = header as { alg?: unknown; typ?: unknown }
  if (typeof alg !== 'string') return fail('no algorithm in header')
  const algorithm = ALGORITHMS[alg]
  if (!algorithm) return fail(`unknown JWS algorithm ${alg}`)
  if (typ === undefined || typ === 'JWT') {
    try {
      JSON.parse(payloadText)
    } catch {
      if (typ === 'JWT') return fail('type is JWT but payload is not JSON')
    }
  }
  const signed = `${Buffer.from(headerText).toString('base64url')}.${Buffer.from(payloadText).toString('base64url')}`
  try {
    if (algorithm.kind === 'hmac') {
      const key = createSecretKey(Buffer.from((jwk as { k?: string }).k ?? '', 'base64url'))
      return `${signed}.${createHmac(algorithm.hash ?? '', key)
        .update(signed)
        .digest('base64url')}`
    }
    const key = createPrivateKey({ key: jwk as never, format: 'jwk' })
    const options = keyOptions(algorithm, key)
    const padded =
      algorithm.kind === 'pss'
        ? { ...(options as object), saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
        : options
    return `${signed}.${sign(algorithm.hash, Buffer.from(signed), padded as never).toString('base64url')}`
  } catch {
    return fail('failed to sign: key does not fit')
  }
}
function goSyntax(source: string): string {
  return source.trim() === ''
    ? 'unexpected end of JSON input'
    : `invalid character '${source.trim()[0] ?? ''}' looking for beginning of value`
}

/** JSON as OPA writes what it signs: compact, keys sorted. */
function compact(v: RegoObject): string {
  return writeJson(v)
}

const verifiers: Family = Object.fromEntries(
  Object.keys(ALGORITHMS).map(
    (name) => [`io.jwt.verify_${name.toLowerCase()}`, verifyWith(name)] as const,
  ),
)

export const jwt: Family = {
  ...verifiers,
  'io.jwt.decode': (t) => {
    const { header, payload, signature } = decode(text(t, 1))
    return [header, payload, signature.toString('hex')]
  },
  'io.jwt.decode_verify': (t, c) => decodeVerify(text(t, 1), object(c, 2)),
  'io.jwt.encode_sign': (h, p, k) =>
    encodeSign(compact(object(h, 1)), compact(object(p, 2)), compact(object(k, 3))),
  'io.jwt.encode_sign_raw': (h, p, k) => encodeSign(text(h, 1), text(p, 2), text(k, 3)),
}

export { toJs }
