// What a program writes, line by line. Of a line that is longer than may be nothing is kept but its beginning and its end,
// where the id of what it answers stands.

const ENDS_BYTES = 256
const NEWLINE = 0x0a

export interface LinesParts {
  readonly bytesMax: number
  readonly onLine: (line: Buffer) => void
  /** Told of the two ends of a line that is too long. */
  readonly onLong: (ends: string) => void
}

export class Lines {
  readonly #parts: LinesParts
  #held: Buffer[] = []
  #bytes = 0
  /** The end of a line that is too long already. */
  #tail: Buffer = Buffer.alloc(0)
  #isLong = false

  constructor(parts: LinesParts) {
    this.#parts = parts
  }

  write(chunk: Buffer): void {
    let from = 0
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      this.#take(chunk.subarray(from, at))
      this.#end()
      from = at + 1
    }
    this.#take(chunk.subarray(from))
  }

  #take(part: Buffer): void {
    if (part.length === 0) return
    this.#bytes += part.length
    if (!this.#isLong && this.#bytes > this.#parts.bytesMax) {
      this.#isLong = true
      const begun = Buffer.concat([...this.#held, part])
      this.#held = [Buffer.from(begun.subarray(0, ENDS_BYTES))]
      this.#tail = Buffer.from(begun.subarray(-ENDS_BYTES))
    } else if (this.#isLong) {
      this.#tail = Buffer.from(Buffer.concat([this.#tail, part]).subarray(-ENDS_BYTES))
    } else this.#held.push(part)
  }

  #end(): void {
    const line = Buffer.concat(this.#held)
    const { onLine, onLong } = this.#parts
    if (this.#isLong) onLong(`${line.toString('latin1')} ${this.#tail.toString('latin1')}`)
    else if (line.length > 0) onLine(line)
    this.#held = []
    this.#bytes = 0
    this.#isLong = false
  }
}
