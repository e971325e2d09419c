// Making a database takes PGlite ten seconds and half a gigabyte on a small machine, and what comes out is the same each
// time. So the build makes one, empty, as a file: its directories and files as a line of JSON, then their contents, all
// compressed. A first start unpacks it. Where the file is not (a build that could not make it), PGlite makes its own.
import fs from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import zlib from 'node:zlib'

const FILE = path.join(import.meta.dirname, 'template.gz')
const NEWLINE = 0x0a
const AT_ONCE = 32
/** Of another process, or of no meaning elsewhere. */
const LEFT_OUT = new Set(['postmaster.pid', 'postmaster.opts'])

interface Contents {
  readonly directories: readonly string[]
  /** Names and sizes in bytes, in the order of their contents. */
  readonly files: readonly (readonly [string, number])[]
}

/** A directory as one file. */
export function pack(dir: string): Buffer {
  const entries = fs.readdirSync(dir, { recursive: true, withFileTypes: true })
  const nameOf = (entry: fs.Dirent) => path.relative(dir, path.join(entry.parentPath, entry.name))
  const directories = entries.filter((one) => one.isDirectory()).map(nameOf)
  const files = entries.filter((one) => one.isFile() && !LEFT_OUT.has(one.name)).map(nameOf)
  const texts = files.toSorted().map((name) => fs.readFileSync(path.join(dir, name)))
  const contents: Contents = {
    directories: directories.toSorted(),
    files: files.toSorted().map((name, at) => [name, texts[at]?.length ?? 0]),
  }
  const head = Buffer.from(`${JSON.stringify(contents)}\n`)
  return zlib.gzipSync(Buffer.concat([head, ...texts]), { level: 9 })
}

/** Unpacks the database of the build into an empty directory, and has it on the disk; false where there is none. */
export async function unpackTemplate(dir: string): Promise<boolean> {
  if (!fs.existsSync(FILE)) return false
  await unpack(await promisify(zlib.gunzip)(fs.readFileSync(FILE)), dir)
  return true
}

async function unpack(bytes: Buffer, dir: string): Promise<void> {
  const end = bytes.indexOf(NEWLINE)
  const { directories, files } = JSON.parse(bytes.toString('utf8', 0, end)) as Contents
  const all = ['', ...directories].map((name) => path.join(dir, name))
  for (const one of all) fs.mkdirSync(one, { recursive: true, mode: 0o700 })
  let at = end + 1
  const placed = files.map(([name, size]) => {
    const from = at
    at += size
    return [path.join(dir, name), bytes.subarray(from, at)] as const
  })
  // Several at once: a disk then syncs them together.
  for (let next = 0; next < placed.length; next += AT_ONCE) {
    const some = placed.slice(next, next + AT_ONCE)
    await Promise.all(some.map(([file, content]) => written(file, content)))
  }
  await Promise.all(all.map(synced))
}

async function written(file: string, bytes: Buffer): Promise<void> {
  const handle = await fs.promises.open(file, 'wx', 0o600)
  try {
    await handle.writeFile(bytes)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function synced(dir: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await fs.promises.open(dir)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
