import type { Reservation } from '../model/decision.ts'

const NOBODY: readonly string[] = Object.freeze([])

/**
 * A reservation from what is fixed when the guard compiles and what each request adds. Written out
 * member by member: spreading an object of this size costs more than most guards.
 */
export function reservationOf(
  fixed: Omit<Reservation, 'key' | 'amount' | 'members'>,
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
