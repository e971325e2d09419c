import { isIP } from 'node:net'
import { isArray, num, RegoObject, RegoSet, type Value } from '../value.ts'
import { type Family, fail, text, wrongType } from './kind.ts'

interface Network {
  readonly address: bigint
  readonly bits: number
  readonly width: 32 | 128
}

function parseIp(s: string): { address: bigint; width: 32 | 128 } | undefined {
  const kind = isIP(s)
  if (kind === 0 || s.includes('%')) return undefined
  if (kind === 4) return { address: v4(s), width: 32 }
  let source = s
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(s)
  if (dotted) {
    const low = v4(dotted[2] ?? '')
    source = `${dotted[1]}${(low >> 16n).toString(16)}:${(low & 0xffffn).toString(16)}`
  }
  const [head = '', tail] = source.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length
  const groups = [...left, ...Array<string>(zeros).fill('0'), ...right]
  const address = groups.reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n)
  if (address >> 32n === 0xffffn) return { address: address & 0xffffffffn, width: 32 }
  return { address, width: 128 }
}
function v4(s: string): bigint {
  return s.split('.').reduce((sum, part) => (sum << 8n) | BigInt(part), 0n)
}

function mask({ bits, width }: Pick<Network, 'bits' | 'width'>): bigint {
  return ((1n << BigInt(width)) - 1n) ^ ((1n << BigInt(width - bits)) - 1n)
}

function parseCidr(s: string): Network | undefined {
  const match = /^(.*)\/(\d{1,3})$/.exec(s)
  const ip = match && parseIp(match[1] ?? '')
  if (!match || !ip || /^0\d/.test(match[2] ?? '')) return undefined
  const bits = Number(match[2])
  if (bits > ip.width) return undefined
  const network = { address: ip.address, bits, width: ip.width }
  return { ...network, address: ip.address & mask(network) }
}

/** A network, or an address as the network of itself. */
function parseEither(s: string): Network | undefined {
  const ip = s.includes('/') ? undefined : parseIp(s)
  return ip ? { ...ip, bits: ip.width } : parseCidr(s)
}

function cidr(v: Value | undefined, position: number): Network {
  return parseCidr(text(v, position)) ?? fail(`invalid CIDR address: ${text(v, position)}`)
}

function show({ address, width }: Pick<Network, 'address' | 'width'>): string {
  if (width === 32)
    return [24n, 16n, 8n, 0n].map((shift) => String((address >> shift) & 255n)).join('.')
  const groups = Array.from({ length: 8 }, (_, i) =>
    Number((address >> BigInt(112 - 16 * i)) & 0xffffn),
  )
  let best = { at: -1, length: 1 }
  for (let i = 0; i < 8; i++) {
    let length = 0
    while (groups[i + length] === 0) length++
    if (length > best.length) best = { at: i, length }
  }
  const hex = (part: number[]) => part.map((g) => g.toString(16)).join(':')
  if (best.at < 0) return hex(groups)
  return `${hex(groups.slice(0, best.at))}::${hex(groups.slice(best.at + best.length))}`
}

function overlaps(a: Network, b: Network): boolean {
  if (a.width !== b.width) return false
  const bits = Math.min(a.bits, b.bits)
  const m = mask({ bits, width: a.width })
  return (a.address & m) === (b.address & m)
}
function contains(a: Network, b: Network): boolean {
  return a.width === b.width && a.bits <= b.bits && (b.address & mask(a)) === a.address
}

const EXPAND_MAX = 1 << 17

function expand(n: Network): Value {
  const count = 1n << BigInt(n.width - n.bits)
  if (count > BigInt(EXPAND_MAX)) return fail('too many addresses')
  return new RegoSet(
    Array.from({ length: Number(count) }, (_, i) =>
      show({ address: n.address + BigInt(i), width: n.width }),
    ),
  )
}

/** An IPv4 address without a length stands for the network of its class. */
function parseMergeable(s: string): Network | undefined {
  const ip = s.includes('/') ? undefined : parseIp(s)
  if (!ip) return parseCidr(s)
  if (ip.width === 128) return fail('IPv6 invalid: needs prefix length')
  const first = Number(ip.address >> 24n)
  const network = { ...ip, bits: first < 128 ? 8 : first < 192 ? 16 : first < 224 ? 24 : 32 }
  return { ...network, address: ip.address & mask(network) }
}

interface Range {
  readonly from: bigint
  readonly to: bigint
  readonly width: 32 | 128
}

function merge(v: Value | undefined): Value {
  const items = v instanceof RegoSet ? v.items : isArray(v) ? v : wrongType(1, v, 'set', 'array')
  const ranges = items.map((item): Range => {
    const n =
      typeof item === 'string' ? parseMergeable(item) : fail('operand 1 must be array of strings')
    if (!n) return fail(`invalid CIDR address: ${typeof item === 'string' ? item : ''}`)
    return {
      from: n.address,
      to: n.address + (1n << BigInt(n.width - n.bits)) - 1n,
      width: n.width,
    }
  })
  ranges.sort((a, b) => a.width - b.width || (a.from < b.from ? -1 : a.from > b.from ? 1 : 0))
  const merged: Range[] = []
  for (const range of ranges) {
    const last = merged.at(-1)
    if (last && last.width === range.width && range.from <= last.to + 1n) {
      merged[merged.length - 1] = { ...last, to: range.to > last.to ? range.to : last.to }
    } else merged.push(range)
  }
  return new RegoSet(merged.flatMap(networksOf))
}

function networksOf({ from, to, width }: Range): string[] {
  const found: string[] = []
  let at = from
  while (at <= to) {
    let size = 0
    while (
      size < width &&
      (at & ((1n << BigInt(size + 1)) - 1n)) === 0n &&
      at + (1n << BigInt(size + 1)) - 1n <= to
    )
      size++
    found.push(`${show({ address: at, width })}/${width - size}`)
    at += 1n << BigInt(size)
  }
  return found
}

/** Operands of cidr_contains_matches: a string, or a collection of strings or of arrays that begin with one. */
function entries(v: Value | undefined, position: number): { key: Value; cidr: string }[] {
  const first = (x: Value): string => {
    const [head] = isArray(x) ? x : [x]
    return typeof head === 'string'
      ? head
      : fail(`operand ${position} element must be string or non-empty array`)
  }
  if (typeof v === 'string') return [{ key: v, cidr: v }]
  if (isArray(v)) return v.map((x, i) => ({ key: num(i), cidr: first(x) }))
  if (v instanceof RegoSet) return v.items.map((x) => ({ key: x, cidr: first(x) }))
  if (v instanceof RegoObject) return v.pairs.map(([k, x]) => ({ key: k, cidr: first(x) }))
  return wrongType(position, v, 'string', 'object', 'array', 'set')
}

function either(s: string): Network {
  return parseEither(s) ?? fail(`not a valid textual representation of an IP address or CIDR: ${s}`)
}

export const network: Family = {
  'net.cidr_intersects': (a, b) => overlaps(cidr(a, 1), cidr(b, 2)),
  'net.cidr_overlap': (a, b) => contains(cidr(a, 1), either(text(b, 2))),
  'net.cidr_expand': (s) => expand(cidr(s, 1)),
  'net.cidr_is_valid': (s) => typeof s === 'string' && parseCidr(s) !== undefined,
  'net.cidr_merge': merge,
  'net.cidr_contains_matches': (a, b) => {
    const found: Value[] = []
    const inner = entries(b, 2).map(({ key, cidr: c }) => ({ key, network: either(c) }))
    for (const { key, cidr: c } of entries(a, 1)) {
      const outer = parseCidr(c) ?? fail(`invalid CIDR address: ${c}`)
      for (const other of inner) if (contains(outer, other.network)) found.push([key, other.key])
    }
    return new RegoSet(found)
  },
  'net.lookup_ip_addr': (s) => {
    const name = text(s, 1)
    const ip = parseIp(name)
    if (ip) return new RegoSet([show(ip)])
    if (name === 'localhost') return new RegoSet(['127.0.0.1', '::1'])
    return fail(`lookup ${name}: names are not resolved while a policy is evaluated`)
  },
}
