import type { AgentState } from '../agents/registry.ts'
import type { Decision, Effect, Reason } from '../model/decision.ts'
import type { Facts } from '../model/facts.ts'
import type { ActionRequest } from '../model/request.ts'
import type { Bundle } from '../bundle/types.ts'
import { admit, type Asking, effectOf, UNBOUNDED } from '../pipeline/admission.ts'
import { maskingOf } from '../pipeline/claim.ts'
import { costIn, decisionOn, judgementOn } from '../pipeline/judge.ts'
import { fromStored } from '../pipeline/requests.ts'
import { type DecisionFacts, readFacts } from '../record/decision-facts.ts'
import type { RecordMask } from '../record/mask.ts'
import type { RecordedDecision } from '../record/replay-rows.ts'
import { ReplayedCounters } from './replayed-counters.ts'

// One recorded decision, decided again by another policy with what was known then. The same `decide` and the same
// `admit` say what becomes of it, so there is no second opinion to keep in step. What people and the kill switch did
// stays done: an action that was refused because the switch was engaged or its agent was paused is refused again.

/** Why a recorded decision cannot be decided again. */
export type Unplayable =
  | 'facts_not_recorded'
  | 'facts_too_large'
  | 'masked'
  | 'files_not_recorded'
  | 'look_up_missing'

/** What became of one. */
export type Replayed =
  | { readonly kind: 'unplayable'; readonly why: Unplayable }
  | { readonly kind: 'same'; readonly failed: boolean }
  | Changed

/** One that comes out otherwise. */
export interface Changed {
  readonly kind: 'changed'
  readonly from: Effect
  readonly to: Effect
  /** Of the policy alone, or only because other decisions of the replay moved a counter. */
  readonly madeBy: 'policy' | 'counter'
  readonly reasons: readonly Reason[]
  readonly decision: Decision
  readonly request: ActionRequest
  readonly facts: Facts
  /** A guard or module failed. */
  readonly failed: boolean
}

const AS_THEY_WERE: ReadonlySet<string> = new Set(['kill_switch_engaged', 'agent_paused'])

export class Replayer {
  readonly counters = new ReplayedCounters()
  readonly #bundle: Bundle
  readonly #mask: RecordMask

  constructor(bundle: Bundle, mask: RecordMask) {
    this.#bundle = bundle
    this.#mask = mask
  }

  /** Asked in the order of the record. */
  async play(row: RecordedDecision): Promise<Replayed> {
    const known = readFacts(row.facts)
    if (known === 'not_recorded') return { kind: 'unplayable', why: 'facts_not_recorded' }
    if (known === 'too_large') return { kind: 'unplayable', why: 'facts_too_large' }
    this.counters.at(row.createdAt.getTime(), known.counters)
    const why = this.#hindrance(row, known)
    if (why) return { kind: 'unplayable', why }
    if (AS_THEY_WERE.has(row.errorCode)) return { kind: 'same', failed: false }
    return this.#again(row, known)
  }

  #hindrance(
    row: RecordedDecision,
    { facts, hasFiles, isMasked }: DecisionFacts,
  ): Unplayable | undefined {
    if (isMasked) return 'masked'
    if (hasFiles) return 'files_not_recorded'
    if (AS_THEY_WERE.has(row.errorCode)) return undefined
    const wanted = this.#bundle.tools.get(row.tool)?.facts ?? []
    const isThere = (name: string) =>
      Object.hasOwn(facts.lookups, name) || Object.hasOwn(facts.unavailable, name)
    return wanted.every(({ name }) => isThere(name)) ? undefined : 'look_up_missing'
  }

  async #again(row: RecordedDecision, known: DecisionFacts): Promise<Replayed> {
    const request = fromStored(row)
    const { facts } = known
    const { decision, costMicros, upstream } = await this.#decided(request, known)
    const { agent } = facts
    const target = { agentId: agent.id, agentName: agent.name, tool: row.tool, upstream }
    const asking: Asking = { decision, costMicros, target, stage: 'action' }
    const { counters } = this
    const standing = { switches: [], agent: stateOf(known), counters }
    const verdict = admit(asking, standing)
    const to = effectOf(verdict)
    counters.settle({
      atMs: row.createdAt.getTime(),
      stands: known.counters,
      taken: verdict.taken,
      resumedMs: row.effect === 'require_approval' ? (row.startedAt?.getTime() ?? null) : null,
      isHeld: to === 'require_approval',
      isReleased: row.state === 'failed',
    })
    const failed = verdict.decision.trace.some(({ outcome }) => outcome === 'error')
    if (to === row.effect) return { kind: 'same', failed }
    const alone = counters.asRecorded(() => effectOf(admit(asking, standing)))
    return {
      kind: 'changed',
      from: row.effect,
      to,
      madeBy: alone === row.effect ? 'counter' : 'policy',
      reasons: verdict.reasons,
      decision: verdict.decision,
      ...{ request, facts, failed },
    }
  }

  async #decided(request: ActionRequest, { facts, cannotBeHeld }: DecisionFacts) {
    const bundle = this.#bundle
    const asked = { request, facts, bundle }
    const said = await decisionOn({ ...asked, mayBeHeld: !cannotBeHeld })
    const judgement = judgementOn(asked, said)
    // Counters of recipients are kept under keyed digests where a policy masks.
    const { decision, upstream } = judgement
    return {
      decision: maskingOf(this.#mask, bundle)?.decision(decision, facts) ?? decision,
      costMicros: costIn(judgement, request),
      upstream: upstream?.name ?? '',
    }
  }
}

// Whether it was active is on record; how many of its actions were under way is not, and refuses none for good.
function stateOf({ facts, limits }: DecisionFacts): AgentState | undefined {
  if (!limits) return undefined
  const { monthly: monthlyBudget, perAction: perActionLimit } = limits
  return { ...UNBOUNDED, id: facts.agent.id, monthlyBudget, perActionLimit }
}
