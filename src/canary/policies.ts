import type { Agent } from '../agents/agent.ts'
import type { Caller } from '../agents/keys.ts'
import type { AgentCache } from '../agents/registry.ts'
import type { Bundle } from '../bundle/types.ts'
import { GatewayError } from '../errors.ts'
import type { SecondOpinion } from '../model/canary.ts'
import type { Action } from '../record/actions.ts'
import type { AskedBeside } from './second-opinion.ts'
import type { Sides } from './sides.ts'

export interface PoliciesParts {
  readonly agents: AgentCache
  /** The live policy, or undefined when none ever loaded. */
  readonly bundle: () => Bundle | undefined
  /** Whom another policy than the live one decides for. */
  readonly sides: Sides
}

/** A decision that both may have been asked about. */
interface Judged {
  readonly beside?: SecondOpinion | undefined
  readonly dryRun: boolean
  /** Set for a question that ends with its answer. */
  readonly inquiry?: object | undefined
}

/** By which policy an action is read and judged: the live one, but for those whom a canary is for. */
export class Policies {
  readonly #parts: PoliciesParts

  constructor(parts: PoliciesParts) {
    this.#parts = parts
  }

  /** @throws GatewayError `no_policy` */
  readonly live = (): Bundle => {
    const bundle = this.#parts.bundle()
    if (!bundle) throw new GatewayError('no_policy', 'no policy is loaded')
    return bundle
  }

  /** By which a caller is read and judged; asked again when its body has come in. */
  for(caller: Caller): (() => Bundle) | Promise<() => Bundle> {
    return this.#parts.sides.running === null ? this.live : this.#forOne(caller)
  }

  /** By which an agent is judged that somebody asks about, at a moment when `live` was the policy. */
  about(agent: Agent | undefined, live: Bundle): Bundle {
    return (agent && this.#parts.sides.deciderFor(agent)) ?? live
  }

  /** By which an action is judged again: by the side that it began on, as long as there is one. */
  again({ revision }: Pick<Action, 'revision'>): Bundle {
    return this.#parts.sides.begunUnder(revision) ?? this.live()
  }

  /** What is asked beside it; `isAlike`: whether both read the same of a call as it was sent. */
  beside(
    decider: Bundle,
    agent: Agent,
    isAlike: (one: Bundle, other: Bundle) => boolean = () => true,
  ): AskedBeside | null {
    const { sides } = this.#parts
    if (sides.running === null) return null
    const beside = sides.besideOf(decider, this.live(), agent)
    if (beside === null) return null
    return { ...beside, isNamedAlike: isAlike(decider, beside.bundle) }
  }

  /** Counts what both were asked about, once it is a decision: what is sent again is answered by the first. */
  note({ beside, inquiry, dryRun }: Judged, type: string): void {
    if (!beside) return
    const isDecided = dryRun ? inquiry !== undefined && type === 'dry_run' : DECIDED.has(type)
    if (isDecided) this.#parts.sides.note(beside)
  }

  async #forOne(caller: Caller): Promise<() => Bundle> {
    const { sides, agents } = this.#parts
    const agent = await agents.acting(caller)
    return () => sides.deciderFor(agent) ?? this.live()
  }
}

/** Results of a claim or a resumption that are decisions of their own. */
const DECIDED: ReadonlySet<string> = new Set(['execute', 'held', 'denied', 'refused'])
