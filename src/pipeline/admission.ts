import { Counters, type Crossing } from '../agents/counters.ts'
import type { AgentState } from '../agents/registry.ts'
import { covers, type KillTarget } from '../control/kill-state.ts'
import {
  type Decision,
  type Effect,
  ofPhase,
  type Reason,
  type Reservation,
} from '../model/decision.ts'
import { denial } from '../model/reason.ts'
import type { EngagedSwitch } from '../store/tx.ts'
import { withOwnLimits } from '../agents/own-limits.ts'

/**
 * The order in which anything is let through, said once: what was answered before, rates, kill switch, the
 * agent's status, the policy, budgets and windows, instances. A claim, an approved action, a report, a plan
 * and a step of a rehearsal all ask here. It is pure: whoever asks holds the ledger's lock (or plays), and
 * carries out what the verdict says follows.
 */

/** The part of a decision that admission looks at. */
export type Judged = Pick<Decision, 'effect' | 'reasons' | 'shadow' | 'reservations'>

/** What asks to be let through. */
export interface Asking<D extends Judged = Decision> {
  readonly decision: D
  readonly costMicros: bigint
  readonly target: KillTarget
  /**
   * action: to be carried out here. approved: the same, and its approval stands. dry_run: only asked about;
   * it counts as asking and takes nothing else. inquiry: asked about by who carries it out, and takes nothing.
   * accounted: happens elsewhere, so it needs no instance.
   */
  readonly stage: 'action' | 'approved' | 'dry_run' | 'inquiry' | 'accounted'
}

/** What it is judged against. */
export interface Standing {
  readonly switches: readonly EngagedSwitch[]
  /** Undefined: no such agent. */
  readonly agent: AgentState | undefined
  readonly counters: Pick<Counters, 'fits' | 'crossings'>
  /** An earlier one under the same Idempotency-Key; whether it asked for the same. */
  readonly prior?: { readonly isSame: boolean } | undefined
  /** The same request without a key is held, or has just ended. */
  readonly joinable?: boolean
}

/** What becomes of it, with everything that follows. */
export interface Verdict<D extends Judged = Decision> {
  /** later: an approved action that waits for the kill switch or for an instance. */
  readonly outcome:
    | 'replay'
    | 'mismatch'
    | 'rate_limited'
    | 'deny'
    | 'hold'
    | 'join'
    | 'later'
    | 'execute'
  readonly reasons: readonly Reason[]
  /** Within the agent's own limits, and with what limits in shadow would have refused. */
  readonly decision: D
  readonly taken: readonly Reservation[]
  /** Soft thresholds that taking it crosses. */
  readonly crossed: readonly Crossing[]
  /** Why the agent is paused by this. */
  readonly pause: Reason | undefined
  /** The windows that refused it, when nothing else did: it fits once they open. */
  readonly full: readonly Reservation[]
}

/** What it comes to for somebody to whom nothing happens: a dry run, a question, a rehearsal, a replay. */
export const effectOf = ({ outcome }: Pick<Verdict, 'outcome'>): Effect =>
  EFFECTS[outcome] ?? 'deny'

const EFFECTS: Partial<Record<Verdict['outcome'], Effect>> = {
  execute: 'allow',
  hold: 'require_approval',
}

/** How somebody stands whom the registry does not bound: there is no status, budget or number of instances. */
export const UNBOUNDED: AgentState = Object.freeze({
  id: '',
  status: 'active',
  monthlyBudget: null,
  perActionLimit: null,
  thresholds: [],
  instances: null,
  executing: 0,
})

type Outcome<D extends Judged> = Pick<Verdict<D>, 'outcome' | 'reasons'> & Partial<Verdict<D>>

/** Not a denial: the same action may run when another has ended. */
export const AT_CAPACITY: Reason = Object.freeze({
  code: 'instances_busy',
  message: 'as many actions of this agent are under way as it has instances',
  wire: 'rate_limited',
  effect: 'deny',
  source: 'agent.instances',
})

const NOTHING = Object.freeze({
  taken: Object.freeze([]),
  crossed: Object.freeze([]),
  pause: undefined,
  full: Object.freeze([]),
})

export function admit<D extends Judged>(asking: Asking<D>, standing: Standing): Verdict<D> {
  const { prior, counters } = standing
  if (prior) {
    const outcome = prior.isSame ? ('replay' as const) : ('mismatch' as const)
    return { ...NOTHING, outcome, reasons: [], decision: asking.decision }
  }
  const bounded = withOwnLimits(asking.decision, asking.costMicros, standing.agent)
  const decision = withShadow(bounded, counters)
  const rates = asking.stage === 'approved' ? [] : ofPhase(decision, 'request')
  const tooMany = overdrawn(counters, rates)
  if (tooMany.length > 0) {
    const reasons = tooMany.map(({ exceeded }) => exceeded)
    return { ...NOTHING, outcome: 'rate_limited', reasons, decision, full: tooMany }
  }
  const { taken = [], ...outcome } = judged({ ...asking, decision }, standing)
  const all = asking.stage === 'inquiry' ? [] : [...rates, ...taken]
  return { ...NOTHING, decision, ...outcome, taken: all }
}

function judged<D extends Judged>(asking: Asking<D>, standing: Standing): Outcome<D> {
  const { decision, stage } = asking
  const { counters } = standing
  const killed = killedBy(asking, standing)
  if (killed) {
    const outcome = stage === 'approved' ? ('later' as const) : ('deny' as const)
    return { outcome, reasons: [killed] }
  }
  const inactive = statusOf(standing)
  if (inactive) {
    const waits = stage === 'approved' && standing.agent?.status === 'paused'
    return { outcome: waits ? 'later' : 'deny', reasons: [inactive] }
  }
  if (decision.effect === 'deny') {
    const waits = stage === 'approved' && decision.reasons.every(isPassing)
    return { outcome: waits ? 'later' : 'deny', reasons: decision.reasons }
  }
  const over = overdrawn(counters, ofPhase(decision, 'effect'))
  const denying = over.filter(({ exceeded }) => exceeded.effect === 'deny')
  if (denying.length > 0) return overLimits(asking, counters, denying)
  if (stage !== 'approved' && (over.length > 0 || decision.effect === 'require_approval')) {
    const reasons = [...decision.reasons, ...over.map(({ exceeded }) => exceeded)]
    return { outcome: standing.joinable ? 'join' : 'hold', reasons }
  }
  return executed(asking, standing)
}

function executed<D extends Judged>(
  { decision, stage }: Asking<D>,
  standing: Standing,
): Outcome<D> {
  const { counters, agent } = standing
  const { reasons } = decision
  if (isOnlyAsked(stage)) return { outcome: 'execute', reasons }
  if (stage !== 'accounted' && isAtCapacity(agent)) {
    const outcome = stage === 'approved' ? ('later' as const) : ('rate_limited' as const)
    return { outcome, reasons: [AT_CAPACITY] }
  }
  // A budget that does not fit is in shadow, or a person agreed to go over it: the database would refuse it.
  const taken = ofPhase(decision, 'effect').filter(
    (one) => one.kind !== 'budget' || counters.fits(one),
  )
  const crossed = taken.flatMap((one) => counters.crossings(one))
  return { outcome: 'execute', reasons, taken, crossed }
}

function overLimits<D extends Judged>(
  { decision, stage }: Asking<D>,
  counters: Standing['counters'],
  denying: readonly Reservation[],
): Outcome<D> {
  const reasons = denying.map(({ exceeded }) => exceeded)
  const full = denying.every((one) => Counters.fitsAlone(one)) ? denying : []
  if (isOnlyAsked(stage)) return { outcome: 'deny', reasons, full }
  if (stage === 'approved' && full.length > 0) return { outcome: 'later', reasons }
  const pausing = decision.reservations.find(
    (one) => one.mode === 'enforce' && one.pausesAgent && !counters.fits(one),
  )
  return { outcome: 'deny', reasons, full, pause: pausing?.exceeded }
}

const isOnlyAsked = (stage: Asking['stage']): boolean => stage === 'dry_run' || stage === 'inquiry'

/** What says nothing of the action, but of the moment: a look-up that failed. */
const isPassing = ({ source, code }: Reason): boolean =>
  source === 'gate' && code === 'fact_unavailable'

function killedBy({ target }: Pick<Asking, 'target'>, { switches }: Standing): Reason | undefined {
  const row = switches.find((one) => covers(one, target))
  return row && denial('kill_switch_engaged', `the kill switch is engaged: ${row.reason}`)
}

function statusOf({ agent }: Standing): Reason | undefined {
  if (agent?.status === 'active') return undefined
  return denial('agent_paused', `the agent is ${agent?.status ?? 'not registered'}`)
}

/** `scale` bounds how many of an agent's actions may be under way at once. */
function isAtCapacity(agent: AgentState | undefined): boolean {
  return agent !== undefined && agent.instances !== null && agent.executing >= agent.instances
}

/** The enforced reservations that do not fit. */
function overdrawn(
  counters: Standing['counters'],
  reservations: readonly Reservation[],
): readonly Reservation[] {
  return reservations.filter((one) => one.mode === 'enforce' && !counters.fits(one))
}

// What a shadow limit would have refused is known only where the counters are.
function withShadow<D extends Judged>(decision: D, counters: Standing['counters']): D {
  const over = decision.reservations
    .filter((one) => one.mode === 'shadow' && !counters.fits(one))
    .map((one) => one.exceeded)
  return over.length === 0 ? decision : { ...decision, shadow: [...decision.shadow, ...over] }
}
