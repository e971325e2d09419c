// What is remembered of agents and keys is good for as long as none of them has changed. The database counts the
// changes, with a trigger, so that those count too that are made past the gate; each renewal of the lease brings
// the count, four times a second; and each look-up comes with the count that it saw in the same statement. So
// thousands of agents cost no look-up a second each, and a revocation is still heeded everywhere within a second.

/** What was looked up is believed this long whatever happens, and the count of a renewal just as long. */
const FRESH_MS = 900

/** When something was looked up, and at which count of changes; null where the statement did not say. */
export interface LookedUp {
  readonly askedAtMs: number
  readonly epoch: bigint | null
}

/** How many changes of the registry this replica knows of, and since when. */
export class RegistryEpoch {
  readonly #nowMs: () => number
  readonly #wallMs: () => number
  #epoch = 0n
  #askedAtMs = Number.NEGATIVE_INFINITY
  #wallAtMs = 0

  constructor(
    nowMs: () => number = () => performance.now(),
    wallMs: () => number = () => Date.now(),
  ) {
    this.#nowMs = nowMs
    this.#wallMs = wallMs
  }

  /** The time that look-ups are dated by: from before they are sent. */
  get nowMs(): number {
    return this.#nowMs()
  }

  get wallMs(): number {
    return this.#wallMs()
  }

  /** A renewal that was sent then found this count. */
  seen(epoch: bigint, sent: { readonly nowMs: number; readonly wallMs: number }): void {
    this.#epoch = epoch
    this.#askedAtMs = sent.nowMs
    this.#wallAtMs = sent.wallMs
  }

  /** Whether what was looked up may still be believed. */
  holds({ askedAtMs, epoch }: LookedUp): boolean {
    if (this.#nowMs() - askedAtMs <= FRESH_MS) return true
    return epoch !== null && epoch >= this.#epoch && this.#isFresh
  }

  // By the wall clock as well: the other one stands still while a machine is suspended.
  get #isFresh(): boolean {
    const wallMs = this.#wallMs() - this.#wallAtMs
    return this.#nowMs() - this.#askedAtMs <= FRESH_MS && wallMs >= 0 && wallMs <= FRESH_MS
  }
}
