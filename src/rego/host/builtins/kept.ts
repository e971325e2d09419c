import { evaluationNumber, spend, spentSoFar } from './kind.ts'

/** What was made of a text, and what that costs of the budget beyond what its text says. */
export interface Made<T> {
  readonly value: T
  readonly steps: number
  /** Too large to be kept: it is made, and paid for, each time. */
  readonly isLarge?: boolean
}

/**
 * What was made of texts, the latest last. The first use in an evaluation pays for the making whether it was kept or not,
 * so that the same input costs the same steps.
 */
export class Kept<T> {
  readonly #max: number
  readonly #made = new Map<string, Made<T>>()
  readonly #paid = new Set<string>()
  #evaluation = -1

  constructor(max: number) {
    this.#max = max
  }

  of(key: string, stepsBefore: number, make: () => Made<T>): T {
    if (this.#evaluation !== evaluationNumber()) this.#paid.clear()
    this.#evaluation = evaluationNumber()
    const isPaid = this.#paid.has(key)
    if (!isPaid) spend(stepsBefore)
    const known = this.#made.get(key)
    if (known) {
      this.#keep(key, known)
      if (!isPaid) spend(known.steps)
      return known.value
    }
    const before = spentSoFar()
    const made = make()
    // What the making spent itself is paid by those who find it made, too.
    this.#keep(key, { ...made, steps: made.steps + spentSoFar() - before })
    if (!isPaid) spend(made.steps)
    return made.value
  }

  // What was paid for since it was last forgotten is no more than is kept, so nothing of it is made for nothing.
  #keep(key: string, made: Made<T>): void {
    if (made.isLarge) return
    this.#made.delete(key)
    this.#made.set(key, made)
    const [oldest] = this.#made.keys()
    if (this.#made.size > this.#max && oldest !== undefined) this.#made.delete(oldest)
    if (this.#paid.size >= this.#max && !this.#paid.has(key)) this.#paid.clear()
    this.#paid.add(key)
  }
}
