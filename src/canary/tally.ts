import type { Change, SecondOpinion } from '../model/canary.ts'

/** What was counted of one change. */
export interface Count {
  readonly change: Change
  readonly n: number
  readonly deniedLive: number
  readonly deniedByCandidate: number
  /** Denied by the candidate, and not by the live one. */
  readonly newlyDenied: number
}

/** Counts of a canary that are not in the database yet. */
export class Tally {
  #counts = new Map<Change, Count>()

  add({ change, isDeniedLive, isDeniedByCandidate }: SecondOpinion): void {
    const one = {
      change,
      n: 1,
      deniedLive: Number(isDeniedLive),
      deniedByCandidate: Number(isDeniedByCandidate),
      newlyDenied: Number(isDeniedByCandidate && !isDeniedLive),
    }
    this.#put(one)
  }

  /** Takes out what there is. */
  drain(): readonly Count[] {
    const counts = [...this.#counts.values()]
    this.#counts = new Map()
    return counts
  }

  /** What was taken out and could not be kept. */
  putBack(counts: readonly Count[]): void {
    for (const one of counts) this.#put(one)
  }

  #put(one: Count): void {
    const known = this.#counts.get(one.change)
    this.#counts.set(one.change, known ? sum(known, one) : one)
  }
}

const sum = (a: Count, b: Count): Count => ({
  change: a.change,
  n: a.n + b.n,
  deniedLive: a.deniedLive + b.deniedLive,
  deniedByCandidate: a.deniedByCandidate + b.deniedByCandidate,
  newlyDenied: a.newlyDenied + b.newlyDenied,
})
