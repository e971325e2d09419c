/** What an import could not say as it was said. */
export interface ImportFinding {
  /** `left_out`: there is no tool. `part_left_out`: the tool lacks this. `widened`: the schema takes more. `guessed`, `todo`: look at it. */
  readonly kind: 'left_out' | 'part_left_out' | 'widened' | 'guessed' | 'todo'
  /** Why, as a word that can be counted. */
  readonly code: string
  /** `GET /contacts`; '' for the whole document. */
  readonly where: string
  readonly message: string
}

/** What is found about one operation, each thing once. */
export class Notes {
  readonly #where: string
  readonly #all = new Map<string, ImportFinding>()

  constructor(where: string) {
    this.#where = where
  }

  add(kind: ImportFinding['kind'], code: string, message: string): void {
    const key = `${kind} ${code} ${message}`
    if (!this.#all.has(key)) this.#all.set(key, { kind, code, where: this.#where, message })
  }

  get all(): readonly ImportFinding[] {
    return [...this.#all.values()]
  }
}

/** Names and values of others, in a message: short, and in one line. */
export const shown = (text: string): string =>
  `\`${text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, ' ').slice(0, 120)}\``

/** A text of others as one line of at most `max` characters. */
export function oneLine(text: string, max: number): string {
  const line = text
    .toWellFormed()
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim()
  return line
    .slice(0, max)
    .toWellFormed()
    .replace(/\uFFFD$/, '')
    .trim()
}
