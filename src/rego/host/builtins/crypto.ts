import {
  createHash,
  createHmac,
  createPrivateKey,
  timingSafeEqual,
  X509Certificate,
  type KeyObject,
} from 'node:crypto'
import type { RegoObject } from '../value.ts'
import { fromJs, num, type Value } from '../value.ts'
import { type Der, der, oid, parseName, readCertificate, readRequest } from './asn1.ts'
import { type Family, fail, object, text } from './kind.ts'

// Keys and certificates by Node's crypto, shown with the field names of Go's structs, since that is what policies read. Node tells
// less of a certificate than Go does, so what it leaves out is read from the DER itself (`asn1.ts`).

type Algorithm = 'md5' | 'sha1' | 'sha256' | 'sha512'

const hash = (algorithm: Algorithm) => (s: Value | undefined) =>
  createHash(algorithm).update(text(s, 1)).digest('hex')
const hmac = (algorithm: Algorithm) => (s: Value | undefined, key: Value | undefined) =>
  createHmac(algorithm, text(key, 2)).update(text(s, 1)).digest('hex')

export interface PemBlock {
  readonly type: string
  readonly bytes: Buffer
}

export function pemBlocks(source: string): PemBlock[] {
  const found: PemBlock[] = []
  for (const match of source.matchAll(
    /-----BEGIN ([A-Z0-9 ]+)-----\s*([\s\S]*?)-----END \1-----/g,
  )) {
    const body = (match[2] ?? '').replace(/^[\w-]+:.*$/gm, '').replace(/\s+/g, '')
    found.push({ type: match[1] ?? '', bytes: Buffer.from(body, 'base64') })
  }
  return found
}

function base64(source: string): Buffer {
  const clean = source.replace(/[\r\n]/g, '')
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(clean) || clean.length % 4 !== 0)
    return fail('illegal base64 data at input byte 0')
  return Buffer.from(clean, 'base64')
}

/** PEM, base64 of PEM, or base64 of concatenated DER. */
export function certificateBytes(source: string): Buffer[] {
  let pem = source
  if (!source.startsWith('-----BEGIN')) {
    const decoded = base64(source)
    if (!decoded.toString('latin1').startsWith('-----BEGIN')) return splitDer(decoded)
    pem = decoded.toString('utf8')
  }
  const blocks = pemBlocks(pem).filter(({ type }) => type === 'CERTIFICATE')
  if (blocks.length === 0) return fail('failed to parse certificate PEM')
  return blocks.map(({ bytes }) => bytes)
}

function splitDer(bytes: Buffer): Buffer[] {
  const found: Buffer[] = []
  let at = 0
  while (at < bytes.length) {
    let node: Der
    try {
      node = der(bytes, at)
    } catch {
      return fail('x509: malformed certificate')
    }
    if (node.tag !== 0x30) return fail('x509: malformed certificate')
    found.push(bytes.subarray(at, node.end))
    at = node.end
  }
  return found
}

function certificates(source: string): { bytes: Buffer; x509: X509Certificate }[] {
  return certificateBytes(source).map((bytes) => {
    try {
      return { bytes, x509: new X509Certificate(bytes) }
    } catch {
      return fail('x509: malformed certificate')
    }
  })
}

function show({ bytes }: { bytes: Buffer }): Value {
  try {
    return fromJs(readCertificate(bytes))
  } catch {
    return fail('x509: malformed certificate')
  }
}

interface VerifyOptions {
  readonly dns?: string
  readonly time?: bigint
}

/** A chain from the last certificate (the leaf) over the ones between to the first (the root). */
function verify(source: string, options: VerifyOptions): Value {
  try {
    const chain = certificates(source)
    if (chain.length < 2) return [false, []]
    const root = chain[0] as (typeof chain)[number]
    const leaf = chain[chain.length - 1] as (typeof chain)[number]
    const at = options.time === undefined ? Date.now() : Number(options.time / 1_000_000n)
    const path: (typeof chain)[number][] = [leaf]
    let current = leaf
    for (let steps = 0; steps < chain.length; steps++) {
      if (!isValidAt(current.x509, at)) return [false, []]
      if (current.x509.fingerprint256 === root.x509.fingerprint256) break
      const issuer = chain
        .slice(0, -1)
        .find(
          (c) =>
            current.x509.checkIssued(c.x509) && current.x509.verify(c.x509.publicKey) && c.x509.ca,
        )
      if (!issuer) return [false, []]
      path.push(issuer)
      current = issuer
    }
    if (current.x509.fingerprint256 !== root.x509.fingerprint256) return [false, []]
    if (!isValidAt(root.x509, at)) return [false, []]
    if (options.dns !== undefined && options.dns !== '' && !leaf.x509.checkHost(options.dns))
      return [false, []]
    return [true, path.map(show)]
  } catch {
    return [false, []]
  }
}
function isValidAt(x509: X509Certificate, at: number): boolean {
  return Date.parse(x509.validFrom) <= at && at <= Date.parse(x509.validTo)
}

function verifyWithOptions(source: string, options: RegoObject): Value {
  const known = ['DNSName', 'CurrentTime', 'MaxConstraintComparisons', 'KeyUsages']
  for (const [key] of options.pairs) {
    if (typeof key !== 'string' || !known.includes(key)) return fail('invalid key option')
  }
  const dns = options.get('DNSName')
  const time = options.get('CurrentTime')
  return verify(source, {
    ...(dns === undefined ? {} : { dns: text(dns, 2) }),
    ...(time === undefined ? {} : { time: BigInt((time as { text: string }).text) }),
  })
}

function request(source: string): Value {
  let bytes: Buffer
  const pem = source.startsWith('-----BEGIN') ? source : base64(source).toString('latin1')
  if (pem.startsWith('-----BEGIN')) {
    const [block] = pemBlocks(pem)
    if (!block || block.type !== 'CERTIFICATE REQUEST')
      return fail('invalid PEM-encoded certificate signing request')
    bytes = block.bytes
  } else bytes = base64(source)
  try {
    return fromJs(readRequest(bytes))
  } catch {
    return fail('asn1: structure error')
  }
}

export function privateKey(source: string): KeyObject {
  const pem = source.startsWith('-----BEGIN')
    ? source
    : Buffer.from(source, 'base64').toString('latin1')
  try {
    return createPrivateKey(pem)
  } catch {
    return fail('failed to parse a valid certificate')
  }
}

function keyPair(cert: string, key: string): Value {
  const open = (s: string) => (s.startsWith('-----BEGIN') ? s : base64(s).toString('utf8'))
  const blocks = pemBlocks(open(cert)).filter(({ type }) => type === 'CERTIFICATE')
  const [leaf] = blocks
  if (!leaf) return fail('tls: failed to find any PEM data in certificate input')
  const secret = privateKey(open(key))
  const x509 = new X509Certificate(leaf.bytes)
  if (!x509.checkPrivateKey(secret)) return fail('tls: private key does not match public key')
  return fromJs({
    Certificate: blocks.map(({ bytes }) => bytes.toString('base64')),
    Leaf: null,
    OCSPStaple: null,
    PrivateKey: privateKeyFields(secret),
    SignedCertificateTimestamps: null,
    SupportedSignatureAlgorithms: null,
  })
}

function big(text64: string | undefined): bigint {
  const hex = Buffer.from(text64 ?? '', 'base64url').toString('hex')
  return hex === '' ? 0n : BigInt(`0x${hex}`)
}

/** The fields of Go's rsa.PrivateKey, ecdsa.PrivateKey or ed25519.PrivateKey. */
function privateKeyFields(key: KeyObject): unknown {
  const jwk = key.export({ format: 'jwk' })
  if (jwk.kty === 'RSA') {
    return {
      N: big(jwk.n),
      E: Number(big(jwk.e)),
      D: big(jwk.d),
      Primes: [big(jwk.p), big(jwk.q)],
      Precomputed: { Dp: big(jwk.dp), Dq: big(jwk.dq), Qinv: big(jwk.qi), CRTValues: [] },
    }
  }
  if (jwk.kty === 'EC') return { Curve: {}, X: big(jwk.x), Y: big(jwk.y), D: big(jwk.d) }
  return Buffer.concat([
    Buffer.from(jwk.d ?? '', 'base64url'),
    Buffer.from(jwk.x ?? '', 'base64url'),
  ]).toString('base64')
}

function privateKeys(source: string): Value {
  if (source === '') return null
  const pem = source.startsWith('-----BEGIN')
    ? source
    : Buffer.from(source, 'base64').toString('latin1')
  const found: Value[] = []
  for (const { type, bytes } of pemBlocks(pem)) {
    if (!type.endsWith('PRIVATE KEY')) continue
    const body = (bytes.toString('base64').match(/.{1,64}/g) ?? []).join('\n')
    found.push(
      fromJs(
        privateKeyFields(privateKey(`-----BEGIN ${type}-----\n${body}\n-----END ${type}-----\n`)),
      ),
    )
  }
  return found
}

function rsaJwk(source: string): Value {
  const pem = source.startsWith('-----BEGIN') ? source : base64(source).toString('latin1')
  const [block] = pemBlocks(pem)
  if (!block) return fail('failed to parse PEM block containing the key')
  const { kty, n, e, d, p, q, dp, dq, qi } = privateKey(pem).export({ format: 'jwk' })
  return fromJs({ kty, n, e, d, p, q, dp, dq, qi })
}

export const crypto: Family = {
  'crypto.md5': hash('md5'),
  'crypto.sha1': hash('sha1'),
  'crypto.sha256': hash('sha256'),
  'crypto.sha512': hash('sha512'),
  'crypto.hmac.md5': hmac('md5'),
  'crypto.hmac.sha1': hmac('sha1'),
  'crypto.hmac.sha256': hmac('sha256'),
  'crypto.hmac.sha512': hmac('sha512'),
  'crypto.hmac.equal': (a, b) => {
    const [x, y] = [Buffer.from(text(a, 1)), Buffer.from(text(b, 2))]
    return x.length === y.length && timingSafeEqual(x, y)
  },
  'crypto.x509.parse_certificates': (s) => certificates(text(s, 1)).map(show),
  'crypto.x509.parse_and_verify_certificates': (s) => verify(text(s, 1), {}),
  'crypto.x509.parse_and_verify_certificates_with_options': (s, o) =>
    verifyWithOptions(text(s, 1), object(o, 2)),
  'crypto.x509.parse_certificate_request': (s) => request(text(s, 1)),
  'crypto.x509.parse_keypair': (c, k) => keyPair(text(c, 1), text(k, 2)),
  'crypto.x509.parse_rsa_private_key': (s) => rsaJwk(text(s, 1)),
  'crypto.parse_private_keys': (s) => privateKeys(text(s, 1)),
}

export { num, oid, parseName }
