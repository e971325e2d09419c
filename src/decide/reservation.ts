import type { GuardSpec } from '../bundle/types.ts'
import type { Reason, Reservation } from '../model/decision.ts'

const NOBODY: readonly string[] = Object.freeze([])

/** The part of a reservation that is fixed when its guard compiles. */
export type FixedReservation = Omit<Reservation, 'key' | 'amount' | 'members'>

/** So many in so many seconds, of what is counted under a key. `distinct`: of different members. */
export function windowOf(
  { mode }: Pick<GuardSpec, 'mode'>,
  window: {
    readonly kind?: 'window' | 'distinct'
    readonly phase: Reservation['phase']
    readonly limit: number
    readonly perS: number
    readonly exceeded: Reason
  },
): FixedReservation {
  return Object.freeze({
    kind: window.kind ?? 'window',
    phase: window.phase,
    mode: mode === 'shadow' ? 'shadow' : 'enforce',
    windowMs: window.perS * 1000,
    period: null,
    limit: BigInt(window.limit),
    thresholds: [],
    pausesAgent: false,
    exceeded: window.exceeded,
  })
}

/**
 * A reservation from what is fixed when the guard compiles and what each request adds. Written out
 * member by member: spreading an object of this size costs more than most guards.
 */
export function reservationOf(
  fixed: FixedReservation,
  key: string,
  amount: bigint,
  members: readonly string[] = NOBODY,
): Reservation {
  return {
    kind: fixed.kind,
    key,
    phase: fixed.phase,
    mode: fixed.mode,
    windowMs: fixed.windowMs,
    period: fixed.period,
    limit: fixed.limit,
    amount,
    members,
    thresholds: fixed.thresholds,
    pausesAgent: fixed.pausesAgent,
    exceeded: fixed.exceeded,
  }
}
