import { microsFromText, microsToText } from '../../lib/money.ts'
import type { Reservation } from '../../model/decision.ts'
import type { GuardInput, GuardKind, GuardSpec } from '../../bundle/types.ts'
import { effectOf, reasonOf, says } from '../answers.ts'
import { counterKey, type Scope } from '../counters.ts'
import { reservationOf } from '../reservation.ts'

interface Config {
  readonly limit?: string
  readonly period?: 'day' | 'month' | 'total'
  readonly scope?: Scope
  readonly per_action_limit?: string
  readonly pause_agent?: boolean
  readonly thresholds?: readonly number[]
}

const THRESHOLDS = [50, 80, 100]

/** Spend in a period, and what one action may cost. Money is charged before and settled after. */
export const budget: GuardKind = { kind: 'budget', compile }

function compile(spec: GuardSpec) {
  const config = spec.config as unknown as Config
  const perAction = microsFromText(config.per_action_limit ?? '')
  const reserve = reservation(spec, config)
  const { limit = null, per_action_limit: single = null } = config
  const wire = 'per_action_limit_exceeded'
  const message = `one action may cost at most ${config.per_action_limit}`
  const tooDear = reasonOf(spec, effectOf(spec), wire, message, wire)
  return (input: GuardInput) => {
    const observed = { cost: microsToText(input.costMicros), limit, per_action_limit: single }
    const over = perAction !== undefined && input.costMicros > perAction
    return says(over ? [tooDear] : [], observed, reserve(input))
  }
}

function reservation(spec: GuardSpec, config: Config): (input: GuardInput) => Reservation[] {
  const limit = microsFromText(config.limit ?? '')
  if (limit === undefined) return () => []
  const period = config.period ?? 'month'
  const scope = config.scope ?? 'agent'
  const span = period === 'total' ? 'in total' : `a ${period}`
  const message = `more than ${config.limit} ${span}`
  const fixed = {
    kind: 'budget',
    phase: 'effect',
    mode: spec.mode === 'shadow' ? 'shadow' : 'enforce',
    windowMs: 0,
    period,
    limit,
    thresholds: config.thresholds ?? THRESHOLDS,
    pausesAgent: (config.pause_agent ?? true) && scope === 'agent' && spec.mode === 'enforce',
    exceeded: reasonOf(spec, effectOf(spec), 'budget_exceeded', message, 'budget_exceeded'),
  } as const
  return (input) => [
    reservationOf(fixed, counterKey(spec, scope, input, `spend:${period}`), input.costMicros),
  ]
}
