// Making a database takes PGlite ten seconds and half a gigabyte on a small machine, and what comes out is the same each
// time. So the build makes one, empty, as a file: its directories and files as a line of JSON, then their contents, all
// compressed. A first start unpacks it. Where the file is not (a build that could not make it), PGlite makes its own.
import fs from 'node:fs'
import path from 'node:path'
import zlib from 'node:zlib'

const FILE = path.join(import.meta.dirname, 'template.gz')
const NEWLINE = 0x0a
const AT_ONCE = 32
const CHUNK_BYTES = 256 * 1024
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
  const unzipped = fs.createReadStream(FILE).pipe(zlib.createGunzip({ chunkSize: CHUNK_BYTES }))
  await unpack(new Source(unzipped), dir)
  return true
}

async function unpack(source: Source, dir: string): Promise<void> {
  const { directories, files } = JSON.parse(await source.line()) as Contents
  const all = ['', ...directories].map((name) => path.join(dir, name))
  for (const one of all) fs.mkdirSync(one, { recursive: true, mode: 0o700 })
  // Several at once: a disk then syncs them together.
  for (let next = 0; next < files.length; next += AT_ONCE) {
    const handles: fs.promises.FileHandle[] = []
    try {
      for (const [name, size] of files.slice(next, next + AT_ONCE)) {
        const handle = await fs.promises.open(path.join(dir, name), 'wx', 0o600)
        handles.push(handle)
        for await (const part of source.parts(size)) await handle.appendFile(part)
      }
      await Promise.all(handles.map((handle) => handle.sync()))
    } finally {
      await Promise.all(handles.map((handle) => handle.close()))
    }
  }
  await Promise.all(all.map(synced))
}

/** Bytes as they are unzipped, by lines and by counts: the whole of them is forty megabytes. */
class Source {
  readonly #chunks: AsyncIterator<Buffer>
  #rest: Buffer = Buffer.alloc(0)

  constructor(bytes: AsyncIterable<Buffer>) {
    this.#chunks = bytes[Symbol.asyncIterator]()
  }

  async line(): Promise<string> {
    while (!this.#rest.includes(NEWLINE)) {
      this.#rest = Buffer.concat([this.#rest, await this.#next()])
    }
    const end = this.#rest.indexOf(NEWLINE)
    return this.#taken(end + 1).toString('utf8', 0, end)
  }

  /** The next `size` bytes, in parts. */
  async *parts(size: number): AsyncGenerator<Buffer> {
    for (let left = size; left > 0; ) {
      if (this.#rest.length === 0) this.#rest = await this.#next()
      const part = this.#taken(Math.min(left, this.#rest.length))
      left -= part.length
      yield part
    }
  }

  #taken(size: number): Buffer {
    const taken = this.#rest.subarray(0, size)
    this.#rest = this.#rest.subarray(size)
    return taken
  }

  async #next(): Promise<Buffer> {
    const { done, value } = await this.#chunks.next()
    if (done) throw new Error(`${FILE} is cut off`)
    return value
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
