import type { Bundle } from '../bundle/types.ts'
import type { Change, SecondOpinion, Side } from '../model/canary.ts'
import { isMeant, type Member, type Population } from './share.ts'
import { Tally } from './tally.ts'

// The one place that knows of two policies at once. Whoever is about to decide asks here which of them does, and which is
// asked beside it; while there is no canary, both answers are null, and that is all it costs. What runs is told from
// outside (`lifecycle/canary`), and is the same on every replica.

/** A canary that runs here, with the policy it tries. */
export interface Running extends Population {
  readonly id: string
  /** `enforce`: the candidate decides for those who are meant; `compare`: it is only asked. */
  readonly mode: 'compare' | 'enforce'
  readonly candidate: Bundle
}

/** The policy that is asked beside the one that decides. */
export interface Beside {
  readonly canaryId: string
  readonly side: Side
  readonly bundle: Bundle
}

/** Who decides for whom, while a canary runs. */
export class Sides {
  readonly #noted: (change: Change) => void
  #running: Running | null = null
  #tally = new Tally()
  /** Which canary a policy was on trial in, for as long as anything is decided by it. */
  readonly #trials = new WeakMap<Bundle, string>()

  /** `noted` is told of each decision that both were asked about. */
  constructor(noted: (change: Change) => void) {
    this.#noted = noted
  }

  get running(): Running | null {
    return this.#running
  }

  /** Counts of what runs. */
  get tally(): Tally {
    return this.#tally
  }

  begin(running: Running): void {
    this.#running = running
    this.#trials.set(running.candidate, running.id)
    this.#tally = new Tally()
  }

  end(): void {
    this.#running = null
  }

  /** All that may decide at the moment: the live policy, and what is on trial beside it. */
  with(live: Bundle): readonly [Bundle, ...Bundle[]] {
    return this.#running === null ? [live] : [live, this.#running.candidate]
  }

  /** What decides for an agent; null: the live policy, as ever. */
  deciderFor(agent: Member): Bundle | null {
    const running = this.#running
    if (running === null || running.mode === 'compare') return null
    return isMeant(running.id, running, agent) ? running.candidate : null
  }

  /** What decides for whom this very canary decided before; null: the live policy, also when another one tries the same. */
  deciderOf(canaryId: string): Bundle | null {
    const running = this.#running
    if (running === null || running.mode === 'compare') return null
    return running.id === canaryId ? running.candidate : null
  }

  /** The canary that a policy decides in; '': it is, or was, the live one. A policy that is loaded again is another bundle. */
  trialOf(bundle: Bundle): string {
    return this.#trials.get(bundle) ?? ''
  }

  /** The other policy that an agent is decided for by, or compared with; null: there is none. */
  candidateFor(agent: Member): Bundle | null {
    const running = this.#running
    return running !== null && isMeant(running.id, running, agent) ? running.candidate : null
  }

  /** What is asked beside the one that decides for an agent; null: nobody. */
  besideOf(decider: Bundle, live: Bundle, agent: Member): Beside | null {
    const running = this.#running
    if (running === null || !isMeant(running.id, running, agent)) return null
    const { id: canaryId, candidate, mode } = running
    if (mode === 'compare') return { canaryId, side: 'candidate', bundle: candidate }
    return decider === candidate ? { canaryId, side: 'live', bundle: live } : null
  }

  /** Counts a decision that both were asked about. */
  note(opinion: SecondOpinion): void {
    if (opinion.canaryId !== this.#running?.id) return
    this.#tally.add(opinion)
    this.#noted(opinion.change)
  }
}
