import { gunzipSync } from 'node:zlib'

const BLOCK = 512
const UNPACKED_BYTES_MAX = 32 << 20
const ENTRIES_MAX = 1000
const EXTENSION_BYTES_MAX = 1 << 20

/** What stands in front of an entry and is about it: the parts that do not fit its header. */
interface Extension {
  readonly path?: string
  readonly size?: number
}

/**
 * The regular files of a `.tar.gz` in memory, by name without a leading slash: what `opa build` and `tar` write, in
 * ustar, PAX (long names and such that are not ASCII, as Go writes them) or GNU's format. Links and devices are refused,
 * nothing touches the disk.
 * @throws Error with what is wrong
 */
export function readTarGz(packed: Uint8Array): ReadonlyMap<string, Uint8Array> {
  const bytes = gunzipSync(packed, { maxOutputLength: UNPACKED_BYTES_MAX })
  const files = new Map<string, Uint8Array>()
  let extension: Extension = {}
  for (let at = 0; at + BLOCK <= bytes.length; ) {
    const header = bytes.subarray(at, at + BLOCK)
    if (header.every((byte) => byte === 0)) return files
    if (!hasValidChecksum(header)) throw new Error('a tar header is damaged')
    const type = String.fromCharCode(header[156] ?? 0)
    const size = extension.size ?? readOctal(header, 124, 12)
    const start = at + BLOCK
    if (start + size > bytes.length) throw new Error('the archive is cut off')
    const content = bytes.subarray(start, start + size)
    at = start + Math.ceil(size / BLOCK) * BLOCK
    const next = readExtension(type, content)
    if (next) extension = { ...extension, ...next }
    else {
      addEntry(type, extension.path ?? entryName(header), content, files)
      extension = {}
    }
  }
  throw new Error('the archive has no end')
}

const IGNORED: ReadonlySet<string> = new Set(['g', 'K']) // comments on the whole archive; where a link leads

/** Undefined for an entry of its own. */
function readExtension(type: string, content: Uint8Array): Extension | undefined {
  if (IGNORED.has(type)) return {}
  if (type !== 'x' && type !== 'L') return undefined
  if (content.length > EXTENSION_BYTES_MAX) throw new Error('a name in it has no end')
  return type === 'x' ? readPax(content) : { path: readText(content, 0, content.length) }
}

// POSIX.1-2001: records of `<length> <key>=<value>\n`, where the length counts itself.
function readPax(content: Uint8Array): Extension {
  const records = new Map<string, string>()
  for (let at = 0; at < content.length; ) {
    const space = content.indexOf(0x20, at)
    const length = Number(new TextDecoder().decode(content.subarray(at, Math.max(at, space))))
    const record = content.subarray(space + 1, at + length)
    const equals = record.indexOf(0x3d)
    const isInside = Number.isInteger(length) && length > 0 && at + length <= content.length
    const isWhole = isInside && record.at(-1) === 0x0a && equals > 0
    if (space < 0 || !isWhole) throw new Error('a PAX header cannot be read')
    const text = (from: number, to: number) =>
      new TextDecoder('utf-8', { fatal: true }).decode(record.subarray(from, to))
    const key = text(0, equals)
    if (key.startsWith('GNU.sparse.')) throw new Error('sparse files are not read')
    if (key === 'path' || key === 'size') records.set(key, text(equals + 1, record.length - 1))
    at += length
  }
  const [path, size] = [records.get('path'), records.get('size')]
  if (size !== undefined && !/^\d{1,10}$/.test(size)) throw new Error('a PAX header cannot be read')
  return {
    ...(path === undefined ? {} : { path }),
    ...(size === undefined ? {} : { size: Number(size) }),
  }
}

function addEntry(
  type: string,
  name: string,
  content: Uint8Array,
  files: Map<string, Uint8Array>,
): void {
  if (type === '5') return // a directory
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
