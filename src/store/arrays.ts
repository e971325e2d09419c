// PostgreSQL arrays in the binary format: `count, has nulls, element type, [length, lower bound]`, then each
// element as its length and bytes. The driver sends a Buffer as a binary parameter, so nothing is quoted here
// or parsed there, which is most of what a large text parameter costs on both sides.

const OID = { bool: 16, int8: 20, int4: 23, text: 25 } as const
const EMPTY_BYTES = 12
const HEADER_BYTES = 20
const LENGTH_BYTES = 4
const NULL_LENGTH = -1

function started(oid: number, count: number, hasNull: boolean, elementBytes: number): Buffer {
  const bytes = Buffer.allocUnsafe(count === 0 ? EMPTY_BYTES : HEADER_BYTES + elementBytes)
  bytes.writeInt32BE(count === 0 ? 0 : 1, 0)
  bytes.writeInt32BE(hasNull ? 1 : 0, 4)
  bytes.writeInt32BE(oid, 8)
  if (count === 0) return bytes
  bytes.writeInt32BE(count, 12)
  bytes.writeInt32BE(1, 16)
  return bytes
}

/** `text[]`; the texts are well-formed, as everything that is stored is. */
export function textArray(items: readonly (string | null)[]): Buffer {
  const lengths = items.map((item) => (item === null ? NULL_LENGTH : Buffer.byteLength(item)))
  const size = lengths.reduce((sum, length) => sum + LENGTH_BYTES + Math.max(0, length), 0)
  const bytes = started(OID.text, items.length, lengths.includes(NULL_LENGTH), size)
  let at = HEADER_BYTES
  for (const [index, length] of lengths.entries()) {
    at = bytes.writeInt32BE(length, at)
    if (length > 0) at += bytes.write(items[index] as string, at, length, 'utf8')
  }
  return bytes
}

function fixed<T>(
  oid: number,
  width: number,
  items: readonly T[],
  put: (bytes: Buffer, item: T, at: number) => void,
): Buffer {
  const bytes = started(oid, items.length, false, items.length * (LENGTH_BYTES + width))
  let at = HEADER_BYTES
  for (const item of items) {
    at = bytes.writeInt32BE(width, at)
    put(bytes, item, at)
    at += width
  }
  return bytes
}

/** `int4[]` */
export const intArray = (items: readonly number[]): Buffer =>
  fixed(OID.int4, 4, items, (bytes, item, at) => bytes.writeInt32BE(item, at))

/** `int8[]` */
export const bigintArray = (items: readonly bigint[]): Buffer =>
  fixed(OID.int8, 8, items, (bytes, item, at) => bytes.writeBigInt64BE(item, at))

/** `bool[]` */
export const boolArray = (items: readonly boolean[]): Buffer =>
  fixed(OID.bool, 1, items, (bytes, item, at) => bytes.writeUInt8(item ? 1 : 0, at))
