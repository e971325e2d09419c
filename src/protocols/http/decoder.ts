import type { Transform } from 'node:stream'
import zlib from 'node:zlib'

/** Of an answer that comes packed although nobody asked for that. */
const UNPACKED_BYTES_MAX = 64 * 2 ** 20
/** What compresses better is made to fill memory. */
const RATIO_MAX = 200
/** Below this much no ratio says anything. */
const RATIO_FROM_BYTES = 1 << 20

/** Unpacks an answer, and stops where it becomes more than anybody needs. */
export class Decoder {
  readonly #stream: Transform
  #packed = 0
  #unpacked = 0

  private constructor(stream: Transform) {
    this.#stream = stream
  }

  /** Undefined where nothing is packed, null where it is in an unknown way. */
  static for(encoding: string): Decoder | null | undefined {
    switch (encoding.trim().toLowerCase()) {
      case '':
      case 'identity':
        return undefined
      case 'gzip':
      case 'x-gzip':
        return new Decoder(zlib.createGunzip())
      case 'deflate':
        return new Decoder(zlib.createInflate())
      case 'br':
        return new Decoder(zlib.createBrotliDecompress())
      default:
        return null
    }
  }

  /** Whether anything came to unpack. */
  get isEmpty(): boolean {
    return this.#packed === 0
  }

  start(on: {
    readonly data: (chunk: Buffer) => void
    readonly end: () => void
    readonly failed: () => void
  }): void {
    this.#stream.on('data', (chunk: Buffer) => {
      this.#unpacked += chunk.length
      const isBomb = this.#unpacked > RATIO_FROM_BYTES && this.#unpacked > this.#packed * RATIO_MAX
      if (isBomb || this.#unpacked > UNPACKED_BYTES_MAX) {
        this.#stream.destroy()
        on.failed()
      } else on.data(chunk)
    })
    this.#stream.on('end', on.end)
    this.#stream.on('error', on.failed)
  }

  /** Resolves at once where there is room for more. */
  write(chunk: Buffer, onRoom: () => void): boolean {
    this.#packed += chunk.length
    const hasRoom = this.#stream.write(chunk)
    if (!hasRoom) this.#stream.once('drain', onRoom)
    return hasRoom
  }

  pause(): void {
    this.#stream.pause()
  }

  resume(): void {
    this.#stream.resume()
  }

  end(): void {
    this.#stream.end()
  }

  destroy(): void {
    this.#stream.destroy()
  }
}
