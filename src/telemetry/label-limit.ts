/**
 * Keeps a metric's label from growing without end: the first values stay as they are, and what comes after
 * them counts as `other`. Policies make up reason codes as they please, and each value is a series for good.
 */
export class LabelLimit {
  readonly #known = new Set<string>()
  readonly #max: number

  constructor(max: number) {
    this.#max = max
  }

  value(text: string): string {
    if (this.#known.has(text)) return text
    if (this.#known.size >= this.#max) return OTHER
    this.#known.add(text)
    return text
  }
}

const OTHER = 'other'
