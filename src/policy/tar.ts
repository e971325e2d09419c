import { gunzipSync } from 'node:zlib'

const BLOCK = 512
const UNPACKED_BYTES_MAX = 32 << 20
const ENTRIES_MAX = 1000

/**
 * The regular files of a `.tar.gz` in memory, by name without a leading slash. Enough for what
 * `opa build` writes (ustar); long-name and link entries are refused, nothing touches the disk.
 * @throws Error with what is wrong
 */
export function readTarGz(packed: Uint8Array): ReadonlyMap<string, Uint8Array> {
  const bytes = gunzipSync(packed, { maxOutputLength: UNPACKED_BYTES_MAX })
  const files = new Map<string, Uint8Array>()
  for (let at = 0; at + BLOCK <= bytes.length; ) {
    const header = bytes.subarray(at, at + BLOCK)
    if (header.every((byte) => byte === 0)) return files
    if (!hasValidChecksum(header)) throw new Error('a tar header is damaged')
    const size = readOctal(header, 124, 12)
    const start = at + BLOCK
    if (start + size > bytes.length) throw new Error('the archive is cut off')
    addEntry(header, bytes.subarray(start, start + size), files)
    at = start + Math.ceil(size / BLOCK) * BLOCK
  }
  throw new Error('the archive has no end')
}

function addEntry(header: Uint8Array, content: Uint8Array, files: Map<string, Uint8Array>): void {
  const type = String.fromCharCode(header[156] ?? 0)
  if (type === '5' || type === 'g') return // a directory; comments for the whole archive
  const name = entryName(header)
  if (type !== '0' && type !== '\u0000') throw new Error(`\`${name}\` is not a regular file`)
  const plain = name.replace(/^\.?\/+/, '')
  const parts = plain.split('/')
  if (parts.includes('..') || parts.includes('')) throw new Error(`\`${name}\` is not a plain name`)
  if (files.has(plain)) throw new Error(`\`${name}\` occurs twice`)
  if (files.size >= ENTRIES_MAX) throw new Error(`more than ${ENTRIES_MAX} files`)
  files.set(plain, content)
}

function entryName(header: Uint8Array): string {
  const name = readText(header, 0, 100)
  const isUstar = readText(header, 257, 5) === 'ustar'
  const prefix = isUstar ? readText(header, 345, 155) : ''
  return prefix === '' ? name : `${prefix}/${name}`
}

function readText(header: Uint8Array, start: number, length: number): string {
  const field = header.subarray(start, start + length)
  const end = field.indexOf(0)
  return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end))
}

function readOctal(header: Uint8Array, start: number, length: number): number {
  const text = readText(header, start, length).trim()
  if (!/^[0-7]{1,11}$/.test(text)) throw new Error('a tar header has a number that cannot be read')
  return Number.parseInt(text, 8)
}

function hasValidChecksum(header: Uint8Array): boolean {
  const sum = header.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 32 : byte), 0)
  return sum === readOctal(header, 148, 8)
}
