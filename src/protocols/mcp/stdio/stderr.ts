import type { CredentialMask } from '../../http/credential-mask.ts'

// What a program says on its standard error is for whoever reads the log: line by line, without what would move a cursor,
// without credentials, and no more of it than a log can take.

const BYTES_A_MINUTE = 64 * 1024
const LINE_CHARS_MAX = 2_000
const MINUTE_MS = 60_000

export class StderrLog {
  readonly #mask: CredentialMask
  readonly #say: (line: string) => void
  #rest = ''
  #left = BYTES_A_MINUTE
  #minuteAt = Number.NEGATIVE_INFINITY
  #lost = 0

  constructor(mask: CredentialMask, say: (line: string) => void) {
    this.#mask = mask
    this.#say = say
  }

  write(chunk: Buffer, nowMs: number): void {
    if (nowMs - this.#minuteAt >= MINUTE_MS) this.#begin(nowMs)
    const taken = chunk.subarray(0, this.#left)
    this.#left -= taken.length
    this.#lost += chunk.length - taken.length
    const lines = `${this.#rest}${taken.toString('utf8')}`.split('\n')
    this.#rest = (lines.pop() ?? '').slice(0, LINE_CHARS_MAX)
    for (const line of lines) this.#tell(line)
  }

  end(): void {
    this.#tell(this.#rest)
    this.#rest = ''
    this.#tellLost()
  }

  #begin(nowMs: number): void {
    this.#minuteAt = nowMs
    this.#left = BYTES_A_MINUTE
    if (this.#lost === 0) return
    // What comes next does not go on where this was cut off, perhaps within a credential.
    this.end()
  }

  #tellLost(): void {
    if (this.#lost > 0) this.#say(`(${this.#lost} bytes more, left out)`)
    this.#lost = 0
  }

  #tell(line: string): void {
    const plain = line.replace(/\p{Cc}/gu, ' ').trim()
    if (plain === '') return
    const cut = plain.slice(0, LINE_CHARS_MAX).toWellFormed()
    this.#say(this.#mask.bytes(Buffer.from(cut), true).toString('utf8'))
  }
}
