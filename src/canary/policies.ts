import type { Agent } from '../agents/agent.ts'
import type { Caller } from '../agents/keys.ts'
import type { AgentCache } from '../agents/registry.ts'
import type { Bundle } from '../bundle/types.ts'
import { GatewayError } from '../errors.ts'
import type { SecondOpinion } from '../model/canary.ts'
import { hidesAny, type RecordRules, unionOf } from '../model/record-rules.ts'
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

/** How an action is written, while two policies may have a part in it. */
export interface OnRecord {
  /** The canary whose candidate decides; '': the live policy does. */
  readonly canaryId: string
  /** What either of the two hides from the record. */
  readonly rules: RecordRules
  /** Whether contacts are counted under keyed digests: as the live policy does, or the two would not count each other's. */
  readonly keysContacts: boolean
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

  /** All that may decide at the moment, the live one first. */
  inPlay(): readonly Bundle[] {
    return this.#parts.sides.with(this.live())
  }

  /** By which a caller is read and judged; asked again when its body has come in. */
  for(caller: Caller): (() => Bundle) | Promise<() => Bundle> {
    return this.#parts.sides.running === null ? this.live : this.#forOne(caller)
  }

  /** By which an agent is judged that somebody asks about, at a moment when `live` was the policy. */
  about(agent: Agent | undefined, live: Bundle): Bundle {
    return (agent && this.#parts.sides.deciderFor(agent)) ?? live
  }

  /** By which what is held is judged again, shown and voted on: by the canary that it began in, as long as that runs. */
  readonly holding = ({ canaryId }: { readonly canaryId: string }): Bundle =>
    this.#parts.sides.deciderOf(canaryId) ?? this.live()

  /** Whether what is held may be somebody else's than the live policy's. */
  get isShared(): boolean {
    return this.#parts.sides.running?.mode === 'enforce'
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

  /** How an action of an agent is written that one of the two decides. */
  onRecord(decider: Bundle, agent: Agent | undefined): OnRecord {
    const { sides } = this.#parts
    const canaryId = sides.trialOf(decider)
    const live = canaryId === '' ? decider : this.live()
    const other = canaryId === '' ? agent && sides.candidateFor(agent) : live
    const rules = other ? unionOf(decider.record, other.record) : decider.record
    return { canaryId, rules, keysContacts: hidesAny(live.record) }
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
