import { gzipSync } from 'node:zlib'

const BLOCK = 512
const MODE = 0o644

/** A gzipped ustar archive of a few small files; times are zero, so the same input gives the same bytes. */
export function tarGz(
  files: readonly (readonly [name: string, content: string | Uint8Array])[],
): Buffer {
  const blocks = files.flatMap(([name, content]) => {
    const bytes = Buffer.from(content)
    const padding = Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK)
    return [header(name, bytes.length), bytes, padding]
  })
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]))
}

const NAME_BYTES_MAX = 100
const PREFIX_BYTES_MAX = 155

/** A long path is in two fields, apart at a slash. @throws RangeError for one that fits in neither way */
function split(name: string): { prefix: string; rest: string } {
  if (Buffer.byteLength(name) <= NAME_BYTES_MAX) return { prefix: '', rest: name }
  for (let at = name.indexOf('/'); at >= 0; at = name.indexOf('/', at + 1)) {
    const [prefix, rest] = [name.slice(0, at), name.slice(at + 1)]
    const fits =
      Buffer.byteLength(prefix) <= PREFIX_BYTES_MAX && Buffer.byteLength(rest) <= NAME_BYTES_MAX
    if (fits && rest !== '') return { prefix, rest }
  }
  throw new RangeError(`\`${name}\` is too long a path for an archive`)
}

function header(name: string, size: number): Buffer {
  const block = Buffer.alloc(BLOCK)
  const octal = (value: number, length: number, at: number) =>
    block.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at, 'latin1')
  const { prefix, rest } = split(name)
  block.write(rest, 0, 'utf8')
  block.write(prefix, 345, 'utf8')
  octal(MODE, 8, 100)
  octal(0, 8, 108)
  octal(0, 8, 116)
  octal(size, 12, 124)
  octal(0, 12, 136)
  block.write(' '.repeat(8), 148, 'latin1') // the checksum counts as spaces while it is computed
  block.write('0', 156, 'latin1')
  block.write('ustar\x0000', 257, 'latin1')
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}
