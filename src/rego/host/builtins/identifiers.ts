import { createHash, randomUUID } from 'node:crypto'
import { type Num, num, RegoObject, type Value, writeValue } from '../value.ts'
import { type Family, int, text } from './kind.ts'

const ids = new Map<string, string>()
const VARIANTS = ['Invalid', 'RFC4122', 'Reserved', 'Microsoft', 'Future']

function parseUuid(source: string): Value | undefined {
  const plain = source.replace(/^urn:uuid:/i, '').replace(/^\{(.*)\}$/, '$1')
  if (!/^([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32})$/i.test(plain))
    return undefined
  const hex = plain.replaceAll('-', '').toLowerCase()
  const bytes = Buffer.from(hex, 'hex')
  const byte = (i: number) => bytes[i] ?? 0
  const version = byte(6) >> 4
  const high = byte(8)
  const variant =
    (high & 0xc0) === 0x80 ? 1 : (high & 0xe0) === 0xc0 ? 3 : (high & 0xe0) === 0xe0 ? 4 : 2
  const found: [string, Value][] = [
    ['version', num(version)],
    ['variant', VARIANTS[variant] ?? ''],
  ]
  if (version === 1 || version === 2) {
    const low = BigInt(`0x${hex.slice(0, 8)}`)
    const mid = BigInt(`0x${hex.slice(8, 12)}`)
    const top = BigInt(`0x${hex.slice(12, 16)}`) & 0xfffn
    const ticks = low | (mid << 32n) | (top << 48n)
    found.push(['time', num((ticks - 122192928000000000n) * 100n)])
    found.push(['nodeid', (hex.slice(20).match(/../g) ?? []).join('-')])
    const mac = byte(10)
    found.push([
      'macvariables',
      `${(mac & 2) === 2 ? 'local' : 'global'}:${(mac & 1) === 1 ? 'multicast' : 'unicast'}`,
    ])
    found.push(['clocksequence', num(((byte(8) & 0x3f) << 8) | byte(9))])
    if (version === 2) {
      found.push(['id', num(low)])
      found.push(['domain', ['Person', 'Group', 'Org'][byte(9)] ?? `Domain${byte(9)}`])
    }
  }
  return new RegoObject(found)
}

const randoms = new Map<string, Num>()

export const identifiers: Family = {
  'uuid.parse': (s) => parseUuid(text(s, 1)),
  'uuid.rfc4122': (k) => {
    const key = text(k, 1)
    if (ids.size === 0) queueMicrotask(() => ids.clear())
    const known = ids.get(key) ?? randomUUID()
    ids.set(key, known)
    return known
  },
  'rand.intn': (s, n) => {
    const key = `${text(s, 1)}\u0000${writeValue(n)}`
    const most = BigInt(int(n, 2))
    if (most === 0n) return num(0)
    if (randoms.size === 0) queueMicrotask(() => randoms.clear())
    const known =
      randoms.get(key) ??
      num(
        BigInt(
          `0x${createHash('sha256')
            .update(key + Math.random())
            .digest('hex')
            .slice(0, 15)}`,
        ) % (most < 0n ? -most : most),
      )
    randoms.set(key, known)
    return known
  },
}
