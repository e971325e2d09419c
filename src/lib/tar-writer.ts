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

function header(name: string, size: number): Buffer {
  const block = Buffer.alloc(BLOCK)
  const octal = (value: number, length: number, at: number) =>
    block.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at, 'latin1')
  block.write(name, 0, 'utf8')
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
