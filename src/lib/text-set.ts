// A set of texts in shared memory: made once in one thread, it is there for all others without being copied or read again,
// however many texts it holds. A table of slots with open addressing, then the texts one behind the other as UTF-8.

/** What crosses from thread to thread. */
export interface TextSetParts {
  readonly size: number
  /** For each slot: 1 + where a text begins in `bytes`, or 0 for none; a power of two of them, at most half of them taken. */
  readonly slots: Uint32Array
  /** For each text its length in bytes as 4 bytes, little-endian, and the text. */
  readonly bytes: Uint8Array
}

const LENGTH_BYTES = 4
const encoder = new TextEncoder()
const scratch = new Uint8Array(4 << 10)

/** An immutable set of texts of at most about 1,000 characters. */
export class TextSet {
  readonly parts: TextSetParts

  constructor(parts: TextSetParts) {
    this.parts = parts
  }

  static of(texts: Iterable<string>): TextSet {
    const unique = texts instanceof Set ? (texts as ReadonlySet<string>) : new Set(texts)
    let [slotCount, length] = [8, 1]
    while (slotCount < unique.size * 2) slotCount *= 2
    for (const text of unique) length += LENGTH_BYTES + Buffer.byteLength(text)
    const slots = new Uint32Array(new SharedArrayBuffer(slotCount * 4))
    const bytes = Buffer.from(new SharedArrayBuffer(length))
    let at = 0
    for (const text of unique) {
      const written = bytes.write(text, at + LENGTH_BYTES)
      bytes.writeUInt32LE(written, at)
      const begin = at + LENGTH_BYTES
      let slot = hash(bytes, begin, begin + written) & (slotCount - 1)
      while (slots[slot] !== 0) slot = (slot + 1) & (slotCount - 1)
      slots[slot] = at + 1
      at = begin + written
    }
    return new TextSet({ size: unique.size, slots, bytes: new Uint8Array(bytes.buffer) })
  }

  get size(): number {
    return this.parts.size
  }

  has(text: string): boolean {
    const { slots, bytes } = this.parts
    if (this.parts.size === 0) return false
    const { read, written } = encoder.encodeInto(text, scratch)
    if (read < text.length) return false // longer than any text in a set
    for (let slot = hash(scratch, 0, written) & (slots.length - 1); ; ) {
      const at = slots[slot] ?? 0
      if (at === 0) return false
      if (isAt(bytes, at - 1, written)) return true
      slot = (slot + 1) & (slots.length - 1)
    }
  }
}

// FNV-1a, with a last mixing because only the low bits are used.
function hash(bytes: Uint8Array, begin: number, end: number): number {
  let value = 0x811c9dc5
  for (let at = begin; at < end; at++) value = Math.imul(value ^ (bytes[at] as number), 0x01000193)
  value ^= value >>> 15
  return Math.imul(value, 0x2c1b3c6d) >>> 3
}

function isAt(bytes: Uint8Array, at: number, length: number): boolean {
  const begin = at + LENGTH_BYTES
  const own =
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  if (own !== length) return false
  for (let i = 0; i < length; i++) if (bytes[begin + i] !== scratch[i]) return false
  return true
}
