import type { Logger } from './log.ts'

interface Living {
  start?(): unknown
  stop?(): unknown
}

/** Parts with a life: begun in order, ended in reverse. */
export class Lifetime {
  readonly #log: Logger
  readonly #ends: (() => unknown)[] = []
  #ended = false

  constructor(log: Logger) {
    this.#log = log
  }

  get hasEnded(): boolean {
    return this.#ended
  }

  /** Starts a part, and stops it when its turn comes. */
  async begin<Part extends Living>(part: Part): Promise<Part> {
    await part.start?.()
    this.atEnd(() => part.stop?.())
    return part
  }

  /** Runs `end` before everything that began earlier ends. */
  atEnd(end: () => unknown): void {
    this.#ends.push(end)
  }

  /** Runs `work`; where it fails, everything ends that had begun. */
  async orEnd<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      return await work()
    } catch (error) {
      await this.end()
      throw error
    }
  }

  async end(): Promise<void> {
    if (this.#ended) return
    this.#ended = true
    for (const end of this.#ends.toReversed()) {
      try {
        await end()
      } catch (error) {
        this.#log.error({ err: error }, 'while stopping')
      }
    }
  }
}
