// As much of DER as certificates and requests need, shown with the field names that Go's encoding gives them.
import { X509Certificate } from 'node:crypto'

export interface Der {
  readonly tag: number
  readonly from: number
  readonly end: number
  readonly bytes: Buffer
}

export function der(bytes: Buffer, at = 0): Der {
  const tag = bytes[at]
  let length = bytes[at + 1]
  if (tag === undefined || length === undefined) throw new RangeError('truncated')
  let from = at + 2
  if (length > 127) {
    const count = length & 127
    if (count > 4) throw new RangeError('too long')
    length = bytes.readUIntBE(from, count)
    from += count
  }
  if (from + length > bytes.length) throw new RangeError('truncated')
  return { tag, from, end: from + length, bytes }
}
function children(node: Der): Der[] {
  const found: Der[] = []
  for (let at = node.from; at < node.end; ) {
    const child = der(node.bytes, at)
    found.push(child)
    at = child.end
  }
  return found
}
function content(node: Der): Buffer {
  return node.bytes.subarray(node.from, node.end)
}
function at(nodes: readonly Der[], i: number): Der {
  const node = nodes[i]
  if (!node) throw new RangeError('structure')
  return node
}

export function oid(node: Der): number[] {
  const parts: number[] = []
  let value = 0
  for (const b of content(node)) {
    value = value * 128 + (b & 127)
    if (b < 128) {
      if (parts.length === 0)
        parts.push(
          Math.min(2, Math.floor(value / 40)),
          value - 40 * Math.min(2, Math.floor(value / 40)),
        )
      else parts.push(value)
      value = 0
    }
  }
  return parts
}

function text(node: Der): string {
  const bytes = content(node)
  if (node.tag === 0x1e) return new TextDecoder('utf-16be').decode(bytes)
  return bytes.toString(node.tag === 0x14 ? 'latin1' : 'utf8')
}

const NAME_FIELDS: Readonly<Record<string, string>> = {
  '2.5.4.3': 'CommonName',
  '2.5.4.5': 'SerialNumber',
  '2.5.4.6': 'Country',
  '2.5.4.7': 'Locality',
  '2.5.4.8': 'Province',
  '2.5.4.9': 'StreetAddress',
  '2.5.4.10': 'Organization',
  '2.5.4.11': 'OrganizationalUnit',
  '2.5.4.17': 'PostalCode',
}

export function parseName(node: Der): Record<string, unknown> {
  const name: Record<string, unknown> = {
    Country: null,
    Organization: null,
    OrganizationalUnit: null,
    Locality: null,
    Province: null,
    StreetAddress: null,
    PostalCode: null,
    SerialNumber: '',
    CommonName: '',
    Names: [],
    ExtraNames: null,
  }
  for (const set of children(node)) {
    for (const pair of children(set)) {
      const [type, value] = children(pair)
      if (!type || !value) throw new RangeError('structure')
      const id = oid(type)
      const shown = text(value)
      ;(name['Names'] as unknown[]).push({ Type: id, Value: shown })
      const field = NAME_FIELDS[id.join('.')]
      if (field === 'CommonName' || field === 'SerialNumber') name[field] = shown
      else if (field !== undefined)
        name[field] = [...((name[field] as string[] | null) ?? []), shown]
    }
  }
  return name
}

const SIGNATURES: Readonly<Record<string, number>> = {
  '1.2.840.113549.1.1.4': 2,
  '1.2.840.113549.1.1.5': 3,
  '1.2.840.113549.1.1.11': 4,
  '1.2.840.113549.1.1.12': 5,
  '1.2.840.113549.1.1.13': 6,
  '1.2.840.10045.4.1': 9,
  '1.2.840.10045.4.3.2': 10,
  '1.2.840.10045.4.3.3': 11,
  '1.2.840.10045.4.3.4': 12,
  '1.3.101.112': 16,
}
const KEYS: Readonly<Record<string, number>> = {
  '1.2.840.113549.1.1.1': 1,
  '1.2.840.10045.2.1': 3,
  '1.3.101.112': 4,
}

function keyAlgorithm(info: Der): number {
  return KEYS[oid(at(children(at(children(info), 0)), 0)).join('.')] ?? 0
}
function publicKey(info: Der): unknown {
  const [algorithm, bits] = children(info)
  if (!algorithm || !bits) throw new RangeError('structure')
  const raw = content(bits).subarray(1)
  const id = oid(at(children(algorithm), 0)).join('.')
  if (id === '1.2.840.113549.1.1.1') {
    const [n, e] = children(der(raw))
    if (!n || !e) throw new RangeError('structure')
    return { N: integer(n), E: Number(integer(e)) }
  }
  if (id === '1.2.840.10045.2.1') {
    const half = (raw.length - 1) / 2
    const big = (b: Buffer) => BigInt(`0x${b.toString('hex') || '0'}`)
    return { Curve: {}, X: big(raw.subarray(1, 1 + half)), Y: big(raw.subarray(1 + half)) }
  }
  return raw.toString('base64')
}
function integer(node: Der): bigint {
  const hex = content(node).toString('hex')
  return BigInt.asIntN(hex.length * 4, BigInt(`0x${hex || '0'}`))
}
function time(node: Der): string {
  const s = content(node).toString('latin1')
  const full = node.tag === 0x17 ? (Number(s.slice(0, 2)) >= 50 ? '19' : '20') + s : s
  return `${full.slice(0, 4)}-${full.slice(4, 6)}-${full.slice(6, 8)}T${full.slice(8, 10)}:${full.slice(10, 12)}:${full.slice(12, 14)}Z`
}

interface Extension {
  readonly Id: number[]
  readonly Critical: boolean
  readonly Value: string
  readonly body: Buffer
}
function extensions(list: Der): Extension[] {
  return children(list).map((node) => {
    const parts = children(node)
    const body = content(at(parts, parts.length - 1))
    const critical = parts.length === 3 && content(at(parts, 1))[0] !== 0
    return { Id: oid(at(parts, 0)), Critical: critical, Value: body.toString('base64'), body }
  })
}

interface AlternativeNames {
  readonly DNSNames: string[] | null
  readonly EmailAddresses: string[] | null
  readonly IPAddresses: string[] | null
  readonly URIs: unknown[] | null
  readonly URIStrings: string[] | null
}
function alternativeNames(found: readonly Extension[]): AlternativeNames {
  const lists: Record<number, string[]> = {}
  const extension = found.find(({ Id }) => Id.join('.') === '2.5.29.17')
  for (const node of extension ? children(der(extension.body)) : []) {
    const kind = node.tag & 31
    const raw = content(node)
    const shown = kind === 7 ? [...raw].join('.') : raw.toString('latin1')
    lists[kind] = [...(lists[kind] ?? []), shown]
  }
  const uris = lists[6] ?? null
  return {
    DNSNames: lists[2] ?? null,
    EmailAddresses: lists[1] ?? null,
    IPAddresses: lists[7] ?? null,
    URIs: uris?.map(uriFields) ?? null,
    URIStrings: uris,
  }
}
function uriFields(s: string): unknown {
  const match = /^([a-z][a-z0-9+.-]*):(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/is.exec(s)
  const [, Scheme = '', Host = '', Path = '', RawQuery = '', Fragment = ''] = match ?? []
  return {
    Scheme,
    Opaque: '',
    User: null,
    Host,
    Path,
    RawPath: '',
    OmitHost: false,
    ForceQuery: false,
    RawQuery,
    Fragment,
    RawFragment: '',
  }
}

const USAGES: Readonly<Record<string, number>> = {
  '2.5.29.37.0': 0,
  '1.3.6.1.5.5.7.3.1': 1,
  '1.3.6.1.5.5.7.3.2': 2,
  '1.3.6.1.5.5.7.3.3': 3,
  '1.3.6.1.5.5.7.3.4': 4,
  '1.3.6.1.5.5.7.3.8': 8,
  '1.3.6.1.5.5.7.3.9': 9,
}

/** A certificate with the fields of Go's x509.Certificate. */
export function readCertificate(bytes: Buffer): Record<string, unknown> {
  const [tbs, signature, bits] = children(der(bytes))
  if (!tbs || !signature || !bits) throw new RangeError('structure')
  const parts = children(tbs)
  const versioned = at(parts, 0).tag === 0xa0
  const version = versioned ? Number(integer(at(children(at(parts, 0)), 0))) + 1 : 1
  const p = versioned ? parts.slice(1) : parts
  const [notBefore, notAfter] = children(at(p, 3))
  if (!notBefore || !notAfter) throw new RangeError('structure')
  const list = p.find(({ tag }) => tag === 0xa3)
  const found = list ? extensions(at(children(list), 0)) : []
  const by = (id: string) => found.find(({ Id }) => Id.join('.') === id)?.body
  const usage = by('2.5.29.15')
  const extended = by('2.5.29.37')
  const basic = by('2.5.29.19')
  const subjectKey = by('2.5.29.14')
  const authorityKey = by('2.5.29.35')
  const authority = authorityKey
    ? children(der(authorityKey)).find(({ tag }) => tag === 0x80)
    : undefined
  const constraints = basic ? children(der(basic)) : []
  const isCa = constraints.some(({ tag, bytes: b, from }) => tag === 1 && b[from] !== 0)
  const maxPath = constraints.find(({ tag }) => tag === 2)
  const info = at(p, 5)
  return {
    Raw: bytes.toString('base64'),
    RawTBSCertificate: raw(tbs),
    RawSubjectPublicKeyInfo: raw(info),
    RawSubject: raw(at(p, 4)),
    RawIssuer: raw(at(p, 2)),
    Signature: content(bits).subarray(1).toString('base64'),
    SignatureAlgorithm: SIGNATURES[oid(at(children(signature), 0)).join('.')] ?? 0,
    PublicKeyAlgorithm: keyAlgorithm(info),
    PublicKey: publicKey(info),
    Version: version,
    SerialNumber: integer(at(p, 0)),
    Issuer: parseName(at(p, 2)),
    Subject: parseName(at(p, 4)),
    NotBefore: time(notBefore),
    NotAfter: time(notAfter),
    KeyUsage: usage ? keyUsage(usage) : 0,
    Extensions: found.map(({ Id, Critical, Value }) => ({ Id, Critical, Value })),
    ExtraExtensions: null,
    UnhandledCriticalExtensions: null,
    ExtKeyUsage: extended
      ? children(der(extended))
          .map((n) => USAGES[oid(n).join('.')])
          .filter((u) => u !== undefined)
      : null,
    UnknownExtKeyUsage: null,
    BasicConstraintsValid: basic !== undefined,
    IsCA: isCa,
    MaxPathLen: maxPath ? Number(integer(maxPath)) : basic ? -1 : 0,
    MaxPathLenZero: maxPath !== undefined && integer(maxPath) === 0n,
    SubjectKeyId: subjectKey ? content(der(subjectKey)).toString('base64') : '',
    AuthorityKeyId: authority ? content(authority).toString('base64') : '',
    OCSPServer: access(by('1.3.6.1.5.5.7.1.1'), '1.3.6.1.5.5.7.48.1'),
    IssuingCertificateURL: access(by('1.3.6.1.5.5.7.1.1'), '1.3.6.1.5.5.7.48.2'),
    ...alternativeNames(found),
    PermittedDNSDomainsCritical: false,
    PermittedDNSDomains: null,
    ExcludedDNSDomains: null,
    PermittedIPRanges: null,
    ExcludedIPRanges: null,
    PermittedEmailAddresses: null,
    ExcludedEmailAddresses: null,
    PermittedURIDomains: null,
    ExcludedURIDomains: null,
    CRLDistributionPoints: distribution(by('2.5.29.31')),
    PolicyIdentifiers: by('2.5.29.32')
      ? children(der(by('2.5.29.32') as Buffer)).map((n) => oid(at(children(n), 0)))
      : null,
  }
}

function raw(node: Der): string {
  // The header's length follows from where the content begins.
  let start = node.from - 2
  for (let count = 0; count <= 4; count++) {
    const candidate = node.from - 2 - count
    try {
      const again = der(node.bytes, candidate)
      if (again.from === node.from && again.end === node.end && again.tag === node.tag)
        start = candidate
    } catch {
      // Not a header.
    }
  }
  return node.bytes.subarray(start, node.end).toString('base64')
}

function keyUsage(body: Buffer): number {
  const bits = content(der(body))
  let usage = 0
  for (let i = 0; i < 9; i++) {
    const byte = bits[1 + (i >> 3)] ?? 0
    if ((byte & (128 >> (i & 7))) !== 0) usage |= 1 << i
  }
  return usage
}

function access(body: Buffer | undefined, method: string): string[] | null {
  if (!body) return null
  const found = children(der(body)).flatMap((node) => {
    const [id, place] = children(node)
    return id && place && oid(id).join('.') === method ? [content(place).toString('latin1')] : []
  })
  return found.length > 0 ? found : null
}
function distribution(body: Buffer | undefined): string[] | null {
  if (!body) return null
  const found: string[] = []
  const go = (node: Der): void => {
    if (node.tag === 0x86) found.push(content(node).toString('latin1'))
    else if ((node.tag & 0x20) !== 0) children(node).forEach(go)
  }
  go(der(body))
  return found.length > 0 ? found : null
}

/** A signing request with the fields of Go's x509.CertificateRequest. */
export function readRequest(bytes: Buffer): Record<string, unknown> {
  const [info, signature, bits] = children(der(bytes))
  if (!info || !signature || !bits) throw new RangeError('structure')
  const parts = children(info)
  const attributes = parts.find(({ tag }) => tag === 0xa0)
  const wanted = attributes
    ? children(attributes).filter(
        (n) => oid(at(children(n), 0)).join('.') === '1.2.840.113549.1.9.14',
      )
    : []
  const found = wanted.flatMap((n) => extensions(at(children(at(children(n), 1)), 0)))
  const key = at(parts, 2)
  const names = alternativeNames(found)
  return {
    Raw: bytes.toString('base64'),
    RawTBSCertificateRequest: raw(info),
    RawSubjectPublicKeyInfo: raw(key),
    RawSubject: raw(at(parts, 1)),
    Version: Number(integer(at(parts, 0))),
    Signature: content(bits).subarray(1).toString('base64'),
    SignatureAlgorithm: SIGNATURES[oid(at(children(signature), 0)).join('.')] ?? 0,
    PublicKeyAlgorithm: keyAlgorithm(key),
    PublicKey: publicKey(key),
    Subject: parseName(at(parts, 1)),
    Attributes: null,
    Extensions:
      found.length > 0 ? found.map(({ Id, Critical, Value }) => ({ Id, Critical, Value })) : null,
    ExtraExtensions: null,
    DNSNames: names.DNSNames,
    EmailAddresses: names.EmailAddresses,
    IPAddresses: names.IPAddresses,
    URIs: names.URIs,
  }
}

export { X509Certificate }
