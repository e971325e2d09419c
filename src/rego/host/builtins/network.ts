import { isIP } from 'node:net'
import { isArray, num, RegoObject, RegoSet, type Value } from '../value.ts'
import { type Family, fail, spend, text, TooLargeError } from './kind.ts'

interface Network {
  readonly address: bigint
  readonly bits: number
  readonly width: 32 | 128
}

export function parseIp(s: string): { address: bigint; width: 32 | 128 } | undefined {
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
/** What writing one out costs of the budget. */
const ADDRESS_COST = 8

function expand(n: Network): Value {
  const count = 1n << BigInt(n.width - n.bits)
  if (count > BigInt(EXPAND_MAX)) throw new TooLargeError(`more than ${EXPAND_MAX} addresses`)
  spend(Number(count) * ADDRESS_COST)
  return new RegoSet(
    Array.from({ length: Number(count) }, (_, i) =>
      show({ address: n.address + BigInt(i), width: n.width }),
    ),
  )
}

/** A network to merge: a range of addresses, and how it is written when it is not merged. */
interface Range {
  readonly from: bigint
  readonly to: bigint
  readonly width: 32 | 128
  readonly text: string | undefined
}

const MAPPED = 0xffffn << 32n

/** An IPv4 address without a length stands for the network of its class, but is written as it is. */
function mergeable(s: string): Range {
  const ip = s.includes('/') ? undefined : parseIp(s)
  if (!ip) {
    const network = parseCidr(s) ?? fail(`invalid CIDR address: ${s}`)
    return rangeOf(network, `${show(network)}/${network.bits}`)
  }
  if (ip.width === 128) return fail('IPv6 invalid: needs prefix length')
  const first = Number(ip.address >> 24n)
  const bits = first < 128 ? 8 : first < 192 ? 16 : 24
  const network = { ...ip, bits }
  return rangeOf({ ...network, address: ip.address & mask(network) }, `${show(ip)}/${bits}`)
}

/** Ranges of both widths in one order, where IPv4 addresses are those that IPv6 maps them to. */
function rangeOf({ address, bits, width }: Network, text: string): Range {
  const from = width === 32 ? address | MAPPED : address
  return { from, to: from + (1n << BigInt(width - bits)) - 1n, width, text }
}

function before(n: bigint): bigint {
  return n === MAPPED || n === 0n ? n : n - 1n
}

function merge(v: Value | undefined): Value {
  const items = v instanceof RegoSet ? v.items : isArray(v) ? v : fail('operand must be an array')
  const ranges = items.map((item) =>
    mergeable(typeof item === 'string' ? item : fail('element must be string')),
  )
  const order = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0)
  ranges.sort((a, b) => order(a.to, b.to) || order(a.from, b.from))
  for (let i = ranges.length - 1; i > 0; i--) {
    const [last, own] = [ranges[i - 1] as Range, ranges[i] as Range]
    if (before(own.from) > last.to) continue
    const from = last.from < own.from ? last.from : own.from
    const { to } = own
    ranges.splice(i - 1, 2, { from, to, width: to >> 32n === 0xffffn ? 32 : 128, text: undefined })
  }
  return new RegoSet(ranges.flatMap((range) => range.text ?? networksOf(range)))
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
    const address = width === 32 ? at & 0xffffffffn : at
    found.push(`${show({ address, width })}/${width - size}`)
    at += 1n << BigInt(size)
  }
  return found
}

/** What one side of cidr_contains_matches names: a string, or what a collection has; of an array the first element. */
function entries(v: Value | undefined, position: number): [key: Value, find: () => Value][] {
  const first = (x: Value): Value => {
    const [head] = isArray(x) ? x : [typeof x === 'string' ? x : undefined]
    return head ?? fail(`operand ${position}: element must be string or non-empty array`)
  }
  if (typeof v === 'string') return [[v, () => v]]
  if (isArray(v)) return v.map((x, i) => [num(i), () => first(x)])
  if (v instanceof RegoSet) return v.items.map((x) => [x, () => first(x)])
  if (v instanceof RegoObject) return v.pairs.map(([k, x]) => [k, () => first(x)])
  return []
}

function either(s: string): Network {
  return parseEither(s) ?? fail(`not a valid textual representation of an IP address or CIDR: ${s}`)
}

/** Read one by one as they meet: what meets nothing is not read. */
function containsMatches(a: Value, b: Value): Value {
  const found: Value[] = []
  for (const [key, find] of entries(a, 1)) {
    const outer = find()
    for (const [other, findOther] of entries(b, 2)) {
      const inner = findOther()
      if (contains(cidr(outer, 1), either(text(inner, 1)))) found.push([key, other])
    }
  }
  return new RegoSet(found)
}

export const network: Family = {
  'net.cidr_intersects': (a, b) => overlaps(cidr(a, 1), cidr(b, 2)),
  'net.cidr_overlap': (a, b) => contains(cidr(a, 1), either(text(b, 2))),
  'net.cidr_expand': (s) => expand(cidr(s, 1)),
  'net.cidr_is_valid': (s) => typeof s === 'string' && parseCidr(s) !== undefined,
  'net.cidr_merge': merge,
  'net.cidr_contains_matches': (a, b) => containsMatches(a ?? null, b ?? null),
  'net.lookup_ip_addr': (s) => {
    const name = text(s, 1)
    const ip = parseIp(name)
    if (ip) return new RegoSet([show(ip)])
    if (name === 'localhost') return new RegoSet(['127.0.0.1', '::1'])
    return fail(`lookup ${name}: names are not resolved while a policy is evaluated`)
  },
}
