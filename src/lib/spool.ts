import { createHash, randomUUID, type Hash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { finished } from 'node:stream/promises'

// Bytes on their way: a small body is held in memory, a larger one in a file, and both are hashed while they come in.
// Whoever sends them on hashes them again and keeps back the last of them until the digest is right, so that what was
// judged is what goes out, whatever happened to the file in between.

/** Bytes that are all there, known by their digest. */
export interface Bytes {
  readonly bytes: number
  readonly sha256: string
  /** The whole, where it is held in memory. */
  readonly held: Buffer | null
  /** @throws where they are no longer what they were; the last chunk has not been given then */
  read(): AsyncIterable<Buffer>
  /** Takes them away. */
  discard(): void
}

/** Where the spool has no more room, or its file cannot be written. */
export class SpoolError extends Error {}

const HELD_BYTES_MAX = 1 << 20
/** Of all files of the spool together. */
const SPOOL_BYTES_MAX = 4 * 2 ** 30
const CHUNK_BYTES = 64 * 1024
const OWN = /^(\d+)-[0-9a-f-]{36}$/

/** Files of one process, in a folder of its own; what processes that are gone left behind is swept at start. */
export class Spool {
  readonly #root: string
  readonly #dir: string
  #bytes = 0

  constructor(root: string) {
    this.#root = root
    this.#dir = path.join(root, `${process.pid}-${randomUUID()}`)
  }

  async start(): Promise<void> {
    fs.mkdirSync(this.#root, { recursive: true, mode: 0o700 })
    for (const name of fs.readdirSync(this.#root)) {
      const folder = path.join(this.#root, name)
      if (!isInUse(folder)) fs.rmSync(folder, { recursive: true, force: true })
    }
    fs.mkdirSync(this.#dir, { mode: 0o700 })
  }

  async stop(): Promise<void> {
    fs.rmSync(this.#dir, { recursive: true, force: true })
  }

  /** Takes bytes in. */
  writer(heldMax = HELD_BYTES_MAX): SpoolWriter {
    return new SpoolWriter(heldMax, () => path.join(this.#dir, randomUUID()), {
      take: (bytes) => this.#take(bytes),
      giveBack: (bytes) => {
        this.#bytes -= bytes
      },
    })
  }

  #take(bytes: number): void {
    if (this.#bytes + bytes > SPOOL_BYTES_MAX) throw new SpoolError('the spool is full')
    this.#bytes += bytes
  }
}

// In a container every gate has the same pid: what was last written before this one began is another's.
function isInUse(folder: string): boolean {
  const pid = Number(OWN.exec(path.basename(folder))?.[1] ?? 0)
  if (pid === 0) return false
  if (pid !== process.pid) return isAlive(pid)
  const written = fs.statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? 0
  return written >= performance.timeOrigin
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

interface Account {
  take(bytes: number): void
  giveBack(bytes: number): void
}

/** Bytes as they come in. `abort` or `end` it. */
export class SpoolWriter {
  readonly #heldMax: number
  readonly #account: Account
  readonly #name: () => string
  readonly #hash: Hash = createHash('sha256')
  #chunks: Buffer[] = []
  #bytes = 0
  #file: { readonly path: string; readonly stream: fs.WriteStream } | undefined
  #failure: unknown

  constructor(heldMax: number, name: () => string, account: Account) {
    this.#heldMax = heldMax
    this.#name = name
    this.#account = account
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Resolves when there is room for more. @throws SpoolError */
  async write(chunk: Buffer): Promise<void> {
    this.#bytes += chunk.length
    this.#hash.update(chunk)
    if (!this.#file && this.#bytes <= this.#heldMax) {
      this.#chunks.push(chunk)
      return
    }
    this.#account.take(this.#file ? chunk.length : this.#bytes)
    const stream = this.#open()
    const all = this.#chunks.length > 0 ? Buffer.concat([...this.#chunks, chunk]) : chunk
    this.#chunks = []
    if (this.#failure !== undefined) throw this.#failed()
    if (!stream.write(all)) await drained(stream)
    if (this.#failure !== undefined) throw this.#failed()
  }

  /** The bytes, all of them. @throws SpoolError */
  async end(): Promise<Bytes> {
    const [sha256, bytes] = [this.#hash.digest('hex'), this.#bytes]
    const file = this.#file
    if (!file) return new HeldBytes(Buffer.concat(this.#chunks), sha256)
    file.stream.end()
    try {
      await finished(file.stream)
    } catch (error) {
      this.#failure = error
      throw this.#failed()
    }
    return new FileBytes(file.path, bytes, sha256, () => this.#account.giveBack(bytes))
  }

  abort(): void {
    this.#chunks = []
    if (!this.#file) return
    this.#file.stream.destroy()
    fs.rmSync(this.#file.path, { force: true })
    this.#account.giveBack(this.#bytes)
    this.#file = undefined
  }

  #open(): fs.WriteStream {
    if (this.#file) return this.#file.stream
    const name = this.#name()
    const stream = fs.createWriteStream(name, { flags: 'wx', mode: 0o600 })
    stream.on('error', (error) => {
      this.#failure = error
    })
    this.#file = { path: name, stream }
    return stream
  }

  #failed(): SpoolError {
    return new SpoolError('the spool cannot be written', { cause: this.#failure })
  }
}

function drained(stream: fs.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      stream.off('drain', done).off('close', done)
      resolve()
    }
    stream.on('drain', done).on('close', done)
  })
}

class HeldBytes implements Bytes {
  readonly held: Buffer
  readonly sha256: string

  constructor(held: Buffer, sha256: string) {
    this.held = held
    this.sha256 = sha256
  }

  get bytes(): number {
    return this.held.length
  }

  async *read(): AsyncIterable<Buffer> {
    yield this.held
  }

  discard(): void {}
}

class FileBytes implements Bytes {
  readonly held = null
  readonly bytes: number
  readonly sha256: string
  readonly #path: string
  #onDiscard: (() => void) | undefined

  constructor(file: string, bytes: number, sha256: string, onDiscard: () => void) {
    this.#path = file
    this.bytes = bytes
    this.sha256 = sha256
    this.#onDiscard = onDiscard
  }

  async *read(): AsyncIterable<Buffer> {
    const hash = createHash('sha256')
    let kept: Buffer | undefined
    for await (const chunk of fs.createReadStream(this.#path, { highWaterMark: CHUNK_BYTES })) {
      if (kept) yield kept
      kept = chunk as Buffer
      hash.update(kept)
    }
    if (hash.digest('hex') !== this.sha256) throw new SpoolError('a file of the spool was changed')
    if (kept) yield kept
  }

  discard(): void {
    fs.rmSync(this.#path, { force: true })
    this.#onDiscard?.()
    this.#onDiscard = undefined
  }
}

/** Bytes in memory, by their digest. */
export function heldBytes(buffer: Buffer): Bytes {
  return new HeldBytes(buffer, createHash('sha256').update(buffer).digest('hex'))
}

/** The files that came with one request, by digest. */
export class SentFiles {
  readonly #files = new Map<string, Bytes>()

  add(bytes: Bytes): void {
    if (this.#files.has(bytes.sha256)) bytes.discard()
    else this.#files.set(bytes.sha256, bytes)
  }

  get(sha256: string): Bytes | undefined {
    return this.#files.get(sha256)
  }

  get all(): readonly Bytes[] {
    return [...this.#files.values()]
  }

  discard(): void {
    for (const one of this.#files.values()) one.discard()
    this.#files.clear()
  }
}
