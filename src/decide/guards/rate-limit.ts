import type { GuardInput, GuardKind, GuardSpec } from '../../bundle/types.ts'
import { reasonOf, says } from '../answers.ts'
import { counterKey, type Scope } from '../counters.ts'
import { reservationOf, windowOf } from '../reservation.ts'

/** Requests in a sliding window. Asking already counts, also when the answer is no. */
export const rateLimit: GuardKind = { kind: 'rate_limit', countsRequests: true, compile }

function compile(spec: GuardSpec) {
  const limit = spec.config['limit'] as number
  const perS = spec.config['per_s'] as number
  const scope = (spec.config['scope'] as Scope | undefined) ?? 'agent'
  const message = `more than ${limit} requests in ${perS} s`
  const exceeded = reasonOf(spec, 'deny', 'rate_limited', message, 'rate_limited')
  const observed = Object.freeze({ limit, per_s: perS, scope })
  const fixed = windowOf(spec, { phase: 'request', limit, perS, exceeded })
  return (input: GuardInput) =>
    says([], observed, [reservationOf(fixed, counterKey(spec, scope, input, 'requests'), 1n)])
}
