// How often a program that ends by itself is started again: later each time, and not at all for a while when it goes on.
// Nothing is started on a timer: the next call starts it, when the time has come.

const FIRST_MS = 1_000
const CRASHES_MAX = 5
const WINDOW_MS = 5 * 60_000

export class Restarts {
  #crashes: readonly number[] = []
  #downUntil = Number.NEGATIVE_INFINITY

  /** It ended and nobody had told it to. True: too often, and it is left alone for a while. */
  crashed(nowMs: number): boolean {
    this.#crashes = [...this.#crashes.filter((at) => nowMs - at < WINDOW_MS), nowMs]
    if (this.#crashes.length < CRASHES_MAX) return false
    this.#downUntil = nowMs + WINDOW_MS
    this.#crashes = []
    return true
  }

  /** How long until it may be started. */
  waitMs(nowMs: number): number {
    const last = this.#crashes.at(-1)
    const pause = FIRST_MS * 2 ** (this.#crashes.length - 1)
    const next = last === undefined ? this.#downUntil : last + pause
    return Math.max(0, next - nowMs)
  }
}
