import { setImmediate as breathe } from 'node:timers/promises'
import type { Agent } from '../agents/agent.ts'
import { Counters } from '../agents/counters.ts'
import type { AgentState } from '../agents/registry.ts'
import { MICROS, microsFromJson } from '../lib/money.ts'
import type { Decision, Effect, Reason } from '../model/decision.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { ActionRequest, AskedAction } from '../model/request.ts'
import type { Bundle } from '../bundle/types.ts'
import { admit, effectOf, type Verdict } from '../pipeline/admission.ts'
import { costIn, decisionOn, judgementOn } from '../pipeline/judge.ts'
import { withOwnLimits } from '../agents/own-limits.ts'

/** Actions to be played for an agent, with what is expected of each. */
export interface Scenario {
  readonly name?: string
  /** When it plays, ISO 8601; now, unless it says. */
  readonly at?: string
  /** Look-ups, by name, for actions that do not bring their own. */
  readonly facts?: JsonObject
  /** What counters stand at to begin with, by guard id: a count, or money as text. Others: zero. */
  readonly state?: Readonly<Record<string, number | string>>
  readonly actions: readonly ScenarioAction[]
}

export interface ScenarioAction extends AskedAction {
  readonly facts?: JsonObject
  readonly expect?: {
    readonly effect?: Effect
    /** The same, in the word of `POST /act`. */
    readonly decision?: Effect
    /** A code that must be among the reasons. */
    readonly reason?: string
  }
}

/** How one action was judged. */
export interface Step {
  readonly tool: string
  readonly effect: Effect
  readonly reasons: readonly Reason[]
  readonly shadow: readonly Reason[]
  /** Null: nothing was expected. */
  readonly met: boolean | null
}

/**
 * Plays a scenario through the real decision path: the agent's roles, the live guards and modules, its
 * own limits, and counters that live as long as the run. Nothing is sent, looked up or written.
 */
export class Rehearsal {
  readonly #agent: Agent
  #state: AgentState
  readonly #bundle: Bundle
  readonly #scenario: Scenario
  readonly #nowMs: number
  readonly #counters: Counters

  constructor(agent: Agent, state: AgentState, bundle: Bundle, scenario: Scenario, nowMs: number) {
    // Whether it may act at the moment is not the question; what it may do when it does, is.
    this.#agent = { ...agent, status: 'active' }
    this.#state = { ...state, status: 'active', instances: null }
    this.#bundle = bundle
    this.#scenario = scenario
    this.#nowMs = scenario.at === undefined ? nowMs : Date.parse(scenario.at)
    this.#counters = Counters.simulated(this.#nowMs, startOf(scenario.state ?? {}))
  }

  /** Plays all actions in order; stops without a result when `isOver` says so. */
  async play(isOver: () => boolean): Promise<readonly Step[] | undefined> {
    const steps: Step[] = []
    for (const action of this.#scenario.actions) {
      if (isOver()) return undefined
      steps.push(await this.#step(action))
      await breathe()
    }
    return steps
  }

  async #step(action: ScenarioAction): Promise<Step> {
    const request = this.#request(action)
    const played = await this.#decide(request, { ...this.#scenario.facts, ...action.facts })
    const { effect, verdict } = this.#count(request, played)
    const { reasons, decision } = verdict
    return {
      tool: action.tool,
      effect,
      reasons,
      shadow: decision.shadow,
      met: met(action, effect, reasons),
    }
  }

  #request({ tool, args, resource, context, reason, cost }: ScenarioAction): ActionRequest {
    return {
      subject: { type: 'agent', id: this.#agent.id },
      action: { name: tool, properties: args ?? {} },
      resource: resource ?? null,
      context: context ?? {},
      reason: reason ?? null,
      costMicros: cost === undefined ? null : (microsFromJson(cost) ?? null),
    }
  }

  async #decide(request: ActionRequest, lookups: Readonly<Record<string, Json>>): Promise<Played> {
    const bundle = this.#bundle
    const facts = { nowMs: this.#nowMs, agent: this.#agent, lookups, unavailable: {} }
    const asked = { request, facts, bundle }
    const judgement = judgementOn(asked, await decisionOn({ ...asked, mayBeHeld: true }))
    const { decision, upstream } = judgement
    return { decision, costMicros: costIn(judgement, request), upstream: upstream?.name ?? '' }
  }

  #count(
    { action: { name: tool } }: ActionRequest,
    { decision, costMicros, upstream }: Played,
  ): { effect: Effect; verdict: Verdict } {
    const counters = this.#counters
    const { id: agentId, name: agentName } = this.#agent
    counters.prepare(withOwnLimits(decision, costMicros, this.#state).reservations)
    const verdict = admit(
      { decision, costMicros, target: { agentId, agentName, tool, upstream }, stage: 'action' },
      { switches: [], agent: this.#state, counters },
    )
    counters.takeAll(verdict.taken)
    if (verdict.pause) this.#state = { ...this.#state, status: 'paused' }
    return { effect: effectOf(verdict), verdict }
  }
}

/** An action as it was decided, before anything is counted. */
interface Played {
  readonly decision: Decision
  readonly costMicros: bigint
  readonly upstream: string
}

function met(
  { expect }: ScenarioAction,
  effect: Effect,
  reasons: readonly Reason[],
): boolean | null {
  if (!expect) return null
  const wanted = expect.effect ?? expect.decision
  const isEffect = wanted === undefined || wanted === effect
  const isReason = expect.reason === undefined || reasons.some(({ code }) => code === expect.reason)
  return isEffect && isReason
}

// Counter keys begin with the guard's id: `<id>:<what>:<scope>:<whose>`.
function startOf(state: NonNullable<Scenario['state']>): (key: string, isMoney: boolean) => bigint {
  return (key, isMoney) => {
    const id = Object.keys(state).find((one) => key.startsWith(`${one}:`))
    const value = id === undefined ? undefined : state[id]
    const micros = value === undefined ? 0n : (microsFromJson(value) ?? 0n)
    return isMoney ? micros : micros / MICROS
  }
}
