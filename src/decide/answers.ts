import type { Effect, Reason, Reservation, WireCode } from '../model/decision.ts'
import type { Json } from '../model/json.ts'
import type { GuardAnswer, GuardSpec } from '../bundle/types.ts'

type Observed = Readonly<Record<string, Json>>

const NOTHING: readonly never[] = Object.freeze([])

/** The guard has nothing to say. */
export const silent = (observed: Observed = {}): GuardAnswer => ({
  outcome: 'none',
  reasons: NOTHING,
  reservations: NOTHING,
  observed,
})

/** The guard says one or more things; the strongest effect among them counts. */
export function says(
  reasons: readonly Reason[],
  observed: Observed,
  reservations: readonly Reservation[] = NOTHING,
): GuardAnswer {
  return { outcome: strongest(reasons), reasons, reservations, observed }
}

function strongest(reasons: readonly Reason[]): Effect | 'none' {
  if (reasons.some((reason) => reason.effect === 'deny')) return 'deny'
  if (reasons.some((reason) => reason.effect === 'require_approval')) return 'require_approval'
  return reasons.length > 0 ? 'allow' : 'none'
}

/** Builds a reason of this guard. The author's `message` wins over the built-in sentence. */
export function reasonOf(
  spec: GuardSpec,
  effect: Effect,
  code: string,
  message: string,
  wire?: WireCode,
): Reason {
  const own = spec.config['message'] as string | undefined
  const base = { code, message: own ?? message, effect, source: spec.id, location: spec.location }
  return wire === undefined || effect !== 'deny' ? base : { ...base, wire }
}

/** The effect a guard is configured to have when it bites. */
export const effectOf = (spec: GuardSpec): Effect =>
  (spec.config['effect'] as Effect | undefined) ?? 'deny'

const SHOWN_MAX = 120

/** Text short enough to show in a trace. */
export const shorten = (text: string): string =>
  text.length <= SHOWN_MAX ? text : `${text.slice(0, SHOWN_MAX - 1)}…`
