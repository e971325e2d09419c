import type { Change } from '../../model/canary.ts'
import type { AbortWhen, CanaryCount, CanaryEnd } from '../../record/policy-canaries.ts'

/** Of fewer decisions a share says nothing. */
const DECISIONS_MIN = 20

/** What a canary had in a span of time. */
export interface CanaryFigures {
  readonly decisions: number
  readonly errors: number
  readonly deniedLive: number
  readonly deniedByCandidate: number
  readonly newDenials: number
  /** One of the two could not be asked. */
  readonly unplayable: number
  /** The one that does not decide did not get its turn in time, which is no fault of either. */
  readonly late: number
}

/** Sums what was counted; what only one of the two policies could be asked about is no decision of both. */
export function figuresOf(counts: readonly CanaryCount[]): CanaryFigures {
  const sum = (of: (count: CanaryCount) => number) =>
    counts.reduce((total, one) => total + of(one), 0)
  const having = (wanted: Change) => sum(({ change, n }) => (change === wanted ? n : 0))
  const [unplayable, late] = [having('unplayable'), having('late')]
  return {
    decisions: sum(({ n }) => n) - unplayable - late,
    errors: having('error'),
    ...{ unplayable, late },
    deniedLive: sum(({ deniedLive }) => deniedLive),
    deniedByCandidate: sum(({ deniedByCandidate }) => deniedByCandidate),
    newDenials: sum(({ newlyDenied }) => newlyDenied),
  }
}

/** Why a canary has to end, by what the last minutes had; undefined: it may go on. */
export function isTooMuch(
  { errors, denyRateX, newDenials, unplayable, late }: AbortWhen,
  had: CanaryFigures,
): { readonly code: CanaryEnd; readonly reason: string } | undefined {
  if (errors !== null && had.errors >= errors) {
    return { code: 'errors', reason: `it failed in ${had.errors} decisions of five minutes` }
  }
  if (newDenials !== null && had.newDenials >= newDenials) {
    const reason = `it denied ${had.newDenials} actions in five minutes that the live policy does not`
    return { code: 'new_denials', reason }
  }
  if (unplayable !== null && had.unplayable >= unplayable) {
    const reason = `of ${had.unplayable} actions in five minutes it and the live policy could not both be asked: one of them takes them for another call, or needs other look-ups`
    return { code: 'unplayable', reason }
  }
  if (late !== null && had.late >= late) {
    const reason = `in ${had.late} decisions of five minutes the other policy got no turn in time, and each of them waited for it`
    return { code: 'late', reason }
  }
  // A live policy that denies nothing counts as one that denies once: no multiple of none is more than none.
  const bound = (denyRateX ?? Number.POSITIVE_INFINITY) * Math.max(1, had.deniedLive)
  if (had.decisions >= DECISIONS_MIN && had.deniedByCandidate >= bound) {
    const reason = `of ${had.decisions} decisions in five minutes it denied ${had.deniedByCandidate}, and the live policy ${had.deniedLive}`
    return { code: 'deny_rate_x', reason }
  }
  return undefined
}
