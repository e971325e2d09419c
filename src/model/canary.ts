import type { Decision, Effect, Reason } from './decision.ts'

// A canary asks two policies about one action, and one of them decides. How they differ has one vocabulary, whichever of
// them that is: from what the live one says to what the candidate says.

/** The two policies of a canary. */
export type Side = 'live' | 'candidate'

const SHORT = { allow: 'allow', deny: 'deny', require_approval: 'hold' } as const

/**
 * From live to candidate, such as `allow_deny`. `reasons`: the same effect for other reasons; `error`: the candidate failed;
 * `unplayable`: the other one could not be asked by what was known; `late`: it was asked, and its turn did not come in time.
 */
export type Change =
  | 'same'
  | 'reasons'
  | 'error'
  | 'unplayable'
  | 'late'
  | `${(typeof SHORT)[Effect]}_${(typeof SHORT)[Effect]}`

/** What one of the two says; undefined: it failed. */
export type Said = Pick<Decision, 'effect' | 'reasons' | 'trace'> | undefined

/** What the policy that does not decide says of a decision. */
export interface SecondOpinion {
  readonly canaryId: string
  /** Who says it: the side that does not decide. */
  readonly side: Side
  readonly change: Change
  readonly isDeniedLive: boolean
  readonly isDeniedByCandidate: boolean
  /** What is recorded, where it differs. */
  readonly differing: {
    readonly revision: string
    readonly effect: Effect
    readonly reasons: readonly Reason[]
  } | null
}

/** Whether a guard or module failed, in shadow or not. */
export const isFailed = (said: Said): boolean =>
  said === undefined || said.trace.some(({ outcome }) => outcome === 'error')

/** How what two policies say of one action differs. */
export function changeOf(live: Said, candidate: Said): Change {
  if (isFailed(candidate) || !candidate) return 'error'
  if (!live) return 'unplayable'
  if (live.effect !== candidate.effect) {
    return `${SHORT[live.effect]}_${SHORT[candidate.effect]}`
  }
  return codesOf(live) === codesOf(candidate) ? 'same' : 'reasons'
}

const codesOf = ({ reasons }: { readonly reasons: readonly Reason[] }): string =>
  [...new Set(reasons.map(({ code }) => code))].sort().join(' ')
