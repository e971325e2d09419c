import type { Json, JsonObject } from '../../model/json.ts'
import { isObject } from '../../mcp/wire.ts'

// Messages in what an upstream sends, told apart by how it is framed and not by the type that it says: one JSON text, JSON
// texts line by line, or server-sent events. Each is handed on as the text it was, since numbers may be more than numbers.

/** One message: as text, and read. */
export interface Framed {
  readonly text: string
  readonly message: JsonObject
}

export class Framing {
  readonly #onMessage: (framed: Framed) => void
  readonly #bytesMax: number
  readonly #decoder = new TextDecoder('utf-8')
  #rest = ''
  #bytes = 0
  #mode: 'unknown' | 'whole' | 'lines' | 'events' = 'unknown'
  /** More came than may, between one message and the next. */
  isTooLarge = false
  /** What came is no message. */
  isBroken = false

  constructor(bytesMax: number, onMessage: (framed: Framed) => void) {
    this.#bytesMax = bytesMax
    this.#onMessage = onMessage
  }

  write(chunk: Uint8Array): void {
    this.#bytes += chunk.length
    if (this.#bytes > this.#bytesMax) {
      this.isTooLarge = true
      this.#rest = ''
    }
    if (this.isTooLarge) return
    this.#rest += this.#decoder.decode(chunk, { stream: true })
    this.#split()
  }

  end(): void {
    if (this.isTooLarge) return
    const rest = `${this.#rest}${this.#decoder.decode()}`.trim()
    this.#rest = ''
    if (rest === '') return
    if (this.#mode === 'events') this.#event(rest)
    else this.#take(rest)
  }

  #split(): void {
    if (this.#mode === 'unknown') {
      this.#rest = this.#rest.replace(/^[\s\uFEFF]+/, '')
      if (this.#rest === '') return
      this.#mode = this.#rest.startsWith('{') ? this.#ofJson() : 'events'
    }
    // A first line that is no JSON by itself begins a text that has many lines.
    if (this.#mode === 'lines') this.#each(/\r?\n/g, (line) => this.#take(line))
    if (this.#mode === 'events') this.#each(/\r\n\r\n|\n\n|\r\r/g, (event) => this.#event(event))
  }

  #ofJson(): 'unknown' | 'whole' | 'lines' {
    const end = this.#rest.indexOf('\n')
    if (end < 0) return 'unknown'
    return messageOf(this.#rest.slice(0, end)) === undefined ? 'whole' : 'lines'
  }

  #each(separator: RegExp, take: (part: string) => void): void {
    let from = 0
    for (const match of this.#rest.matchAll(separator)) {
      take(this.#rest.slice(from, match.index))
      from = match.index + match[0].length
    }
    if (from === 0) return
    this.#rest = this.#rest.slice(from)
    this.#bytes = Buffer.byteLength(this.#rest)
  }

  #event(text: string): void {
    const data = text.split(/\r\n|\n|\r/).flatMap((line) => {
      const found = /^data:[ ]?(.*)$/.exec(line)
      return found ? [found[1] ?? ''] : []
    })
    if (data.some((line) => line !== '')) this.#take(data.join('\n'))
  }

  #take(text: string): void {
    if (text.trim() === '') return
    const message = messageOf(text)
    if (message) this.#onMessage({ text, message })
    else this.isBroken = true
  }
}

/** A message, or undefined where the text is none. */
export function messageOf(text: string): JsonObject | undefined {
  try {
    const value = JSON.parse(text) as Json
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}
