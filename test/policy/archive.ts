import { gzipSync } from 'node:zlib'

/** An archive of entries made by `entry`. */
export const tarOf = (entries: readonly Uint8Array[]): Uint8Array =>
  gzipSync(Buffer.concat([...entries, Buffer.alloc(1024)]))

/** Header and content of one entry of a tar archive, with nothing checked. */
export function entry(name: string, type: string, body: Uint8Array): Buffer {
  const header = Buffer.alloc(512)
  header.write(name, 0)
  header.write('0000644\u0000', 100)
  header.write(`${body.length.toString(8).padStart(11, '0')}\u0000`, 124)
  header.write('        ', 148)
  header.write(type, 156)
  header.write('ustar\u000000', 257)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\u0000 `, 148)
  return Buffer.concat([header, body, Buffer.alloc((512 - (body.length % 512)) % 512)])
}

/** An archive of files by name. */
export const tarGz = (files: Readonly<Record<string, Uint8Array | string>>): Uint8Array =>
  tarOf(Object.entries(files).map(([name, content]) => entry(name, '0', Buffer.from(content))))
