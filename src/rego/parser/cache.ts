import type { ParserOptions } from './cursor.ts'
import { type Parsed, parseModule } from './parse.ts'

interface Entry {
  readonly source: string
  readonly options: ParserOptions
  readonly parsed: Parsed
  used: boolean
}

/** Syntax trees by file: a file with the same text is not parsed again. Stages make new trees, so sharing one is safe. */
export class ParseCache {
  readonly #entries = new Map<string, Entry>()

  parse(file: string, source: string, options: ParserOptions): Parsed {
    const known = this.#entries.get(file)
    if (known?.source === source && sameOptions(known.options, options)) {
      known.used = true
      return known.parsed
    }
    const parsed = parseModule(file, source, options)
    this.#entries.set(file, { source, options, parsed, used: true })
    return parsed
  }

  /** Forgets the files that nobody asked for since the last time. */
  sweep(): void {
    for (const [file, entry] of this.#entries) {
      if (!entry.used) this.#entries.delete(file)
      entry.used = false
    }
  }
}

const sameOptions = (a: ParserOptions, b: ParserOptions): boolean =>
  a.v0 === b.v0 && a.experimental === b.experimental
