// How often a program that ends by itself is started again: later each time, and not at all for a while when it goes on.
// Nothing is started on a timer: the next call starts it, when the time has come.

const FIRST_MS = 1_000
const LONGEST_MS = 60_000
const CRASHES_MAX = 5
const WINDOW_MS = 5 * 60_000

export class Restarts {
  #crashes: readonly number[] = []

  /** How often it ended by itself lately. */
  count(nowMs: number): number {
    this.#crashes = this.#crashes.filter((at) => nowMs - at < WINDOW_MS)
    return this.#crashes.length
  }

  /** It ended and nobody had told it to. True: too often, and it is down for a while. */
  crashed(nowMs: number): boolean {
    this.count(nowMs)
    this.#crashes = [...this.#crashes, nowMs]
    return this.#crashes.length >= CRASHES_MAX
  }

  /** How long until it may be started. */
  waitMs(nowMs: number): number {
    const count = this.count(nowMs)
    const last = this.#crashes.at(-1)
    if (last === undefined) return 0
    const pause =
      count >= CRASHES_MAX ? WINDOW_MS : Math.min(LONGEST_MS, FIRST_MS * 2 ** (count - 1))
    return Math.max(0, last + pause - nowMs)
  }
}
