// Lays out constants the way the machine does (machine/assembly/value.ts), hashes included, at fixed addresses.
import { TAG } from '../abi.ts'
import type { Constant } from '../ir/ir.ts'
import { bytesOf } from '../ir/text.ts'

export interface Fixed {
  readonly null: number
  readonly true: number
  readonly false: number
}

interface Laid {
  readonly address: number
  readonly hash: number
}

type Composite = Extract<Constant, { kind: 'array' | 'object' | 'set' }>

/** The constants in a constant: of an object, each key before its value. */
function partsOf(c: Composite): readonly Constant[] {
  return c.kind === 'object' ? c.pairs.flat() : c.items
}

function inPairs<T>(items: readonly T[]): (readonly [T, T])[] {
  return items.flatMap((item, i) => (i % 2 === 0 ? [[item, items[i + 1] as T] as const] : []))
}

const HASH = { null: 0x51ed270b, true: 0x2545f491, false: 0x1b873593 }
const ROW_MAX = 8
const ENTRY = 12

export class Constants {
  readonly #base: number
  readonly #fixed: Fixed
  #bytes = new Uint8Array(1024)
  #view = new DataView(this.#bytes.buffer)
  #length = 0
  readonly #strings = new Map<string, Laid>()
  readonly #known = new Map<string, Laid>()
  readonly #seen = new Map<Constant, Laid>()

  constructor(base: number, fixed: Fixed) {
    this.#base = base
    this.#fixed = fixed
  }

  get end(): number {
    return this.#base + this.#length
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length)
  }

  /** Room for n bytes, all zero, aligned to eight. */
  room(n: number): number {
    const at = this.#length
    const end = (at + n + 7) & ~7
    if (end > this.#bytes.length) {
      const wider = new Uint8Array(Math.max(end, this.#bytes.length * 2))
      wider.set(this.#bytes)
      this.#bytes = wider
      this.#view = new DataView(wider.buffer)
    }
    this.#length = end
    return this.#base + at
  }

  #u32(address: number, value: number): void {
    this.#view.setUint32(address - this.#base, value >>> 0, true)
  }

  /** NUL-terminated bytes, for texts the machine or the host reads. */
  text(text: string): { address: number; length: number } {
    const bytes = bytesOf(text)
    const address = this.room(bytes.length + 1)
    this.#bytes.set(bytes, address - this.#base)
    return { address, length: bytes.length }
  }

  string(text: string): number {
    return this.#string(text).address
  }

  #string(text: string): Laid {
    const known = this.#strings.get(text)
    if (known) return known
    const bytes = bytesOf(text)
    const hash = hashBytes(bytes)
    const address = this.room(16 + bytes.length)
    this.#u32(address, TAG.string)
    this.#u32(address + 4, hash)
    this.#u32(address + 8, address + 16)
    this.#u32(address + 12, bytes.length)
    this.#bytes.set(bytes, address + 16 - this.#base)
    const laid = { address, hash }
    this.#strings.set(text, laid)
    return laid
  }

  address(constant: Constant): number {
    let laid = this.#seen.get(constant)
    if (!laid) {
      laid = this.#lay(constant)
      this.#seen.set(constant, laid)
    }
    return laid.address
  }

  #lay(c: Constant): Laid {
    switch (c.kind) {
      case 'null':
        return { address: this.#fixed.null, hash: HASH.null }
      case 'boolean':
        return c.value
          ? { address: this.#fixed.true, hash: HASH.true }
          : { address: this.#fixed.false, hash: HASH.false }
      case 'string':
        return this.#string(c.value)
      case 'number':
        return this.#once(c.text, () => this.#number(c.text))
      default: {
        // Equal parts have one address, so that addresses say which composites are equal.
        const parts = partsOf(c).map((part) => this.#lay(part))
        const key = `${c.kind}${parts.map(({ address }) => address).join()}`
        return this.#once(key, () => this.#composite(c.kind, parts))
      }
    }
  }

  #once(key: string, make: () => Laid): Laid {
    let laid = this.#known.get(key)
    if (!laid) {
      laid = make()
      this.#known.set(key, laid)
    }
    return laid
  }

  #number(text: string): Laid {
    const address = this.room(16)
    const at = address - this.#base
    if (/^-?\d{1,18}$/.test(text) && !/^-?0./.test(text) && text !== '-0') {
      this.#u32(address, TAG.number)
      this.#view.setBigInt64(at + 8, BigInt(text), true)
      return { address, hash: hashInt(BigInt(text)) }
    }
    const hash = hashDecimal(text)
    const { address: bytes, length } = this.text(text)
    this.#u32(address, TAG.number | 0x100)
    this.#u32(address + 4, hash)
    this.#u32(address + 8, bytes)
    this.#u32(address + 12, length)
    return { address, hash }
  }

  #composite(kind: Composite['kind'], items: readonly Laid[]): Laid {
    if (kind === 'array') {
      const address = this.room(24)
      const elements = this.room(items.length * 4)
      this.#u32(address, TAG.array)
      this.#u32(address + 4, items.length)
      this.#u32(address + 8, items.length)
      this.#u32(address + 12, elements)
      let hash = items.length + 0x3c6ef372
      for (const [i, item] of items.entries()) {
        this.#u32(elements + i * 4, item.address)
        hash = mix(hash, item.hash)
      }
      this.#u32(address + 16, hash)
      return { address, hash: hash >>> 0 }
    }
    const isSet = kind === 'set'
    const entries = isSet ? items.map((item) => [item, item] as const) : inPairs(items)
    const n = entries.length
    const tag = isSet ? TAG.set : TAG.object
    const address = this.room(32)
    const first = this.room(n * ENTRY)
    this.#u32(address, tag | 0x20100)
    this.#u32(address + 4, n)
    this.#u32(address + 8, n)
    this.#u32(address + 12, first)
    let hash = (Math.imul(tag, 0x85ebca6b) + n) | 0
    for (const [i, [k, v]] of entries.entries()) {
      this.#u32(first + i * ENTRY, k.address)
      this.#u32(first + i * ENTRY + 4, v.address)
      this.#u32(first + i * ENTRY + 8, k.hash)
      const keyed = mix(0x27d4eb2f, k.hash)
      hash = (hash + (isSet ? keyed : mix(keyed, v.hash))) | 0
    }
    this.#u32(address + 24, hash)
    if (n > ROW_MAX) this.#index(address, entries)
    return { address, hash: hash >>> 0 }
  }

  #index(address: number, entries: readonly (readonly [Laid, Laid])[]): void {
    let slots = 32
    while (slots < entries.length * 2) slots *= 2
    const index = this.room(slots * 4)
    const taken = Array.from({ length: slots }, () => false)
    for (const [i, [key]] of entries.entries()) {
      let slot = (key.hash & (slots - 1)) >>> 0
      while (taken[slot]) slot = (slot + 1) & (slots - 1)
      taken[slot] = true
      this.#u32(index + slot * 4, i + 1)
    }
    this.#u32(address + 16, index)
    this.#u32(address + 20, slots - 1)
  }
}

function mix(h: number, x: number): number {
  const y = h ^ x
  return Math.imul((y << 15) | (y >>> 17), 0x9e3779b1)
}

export function hashBytes(b: Uint8Array): number {
  let h = (b.length + 0x811c9dc5) | 0
  let i = 0
  for (; i + 4 <= b.length; i += 4) {
    h = mix(
      h,
      (b[i] ?? 0) | ((b[i + 1] ?? 0) << 8) | ((b[i + 2] ?? 0) << 16) | ((b[i + 3] ?? 0) << 24),
    )
  }
  for (; i < b.length; i++) h = mix(h, b[i] ?? 0)
  h ^= h >>> 15
  return h === 0 ? 1 : h >>> 0
}

function hashInt(n: bigint): number {
  const u = BigInt.asUintN(64, n * 0x9e3779b97f4a7c15n)
  const h = Number((u >> 32n) ^ (u & 0xffffffffn)) | 0
  return (h ^ (h >>> 13)) >>> 0
}

/** The hash of a number that is not a plain 64-bit integer; equal numbers hash the same however they are written. */
function hashDecimal(text: string): number {
  const match = /^([-+]?)(\d*)(?:\.(\d*))?(?:[eE]([-+]?\d+))?$/.exec(text)
  if (!match) return 0
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match
  let digits = whole + fraction
  let point = whole.length
  const lead = /^0*/.exec(digits)?.[0].length ?? 0
  digits = digits.slice(lead)
  point -= lead
  digits = digits.replace(/0+$/, '')
  if (digits === '') return hashInt(0n)
  const clamped = Math.max(-100000000, Math.min(100000000, Number(exponent)))
  point += clamped
  const neg = sign === '-'
  if (point >= digits.length && point <= 18) {
    const n = BigInt(digits.padEnd(point, '0'))
    return hashInt(neg ? -n : n)
  }
  return (hashBytes(bytesOf(digits)) + Math.imul(point, 31) + (neg ? 7 : 0)) >>> 0
}
