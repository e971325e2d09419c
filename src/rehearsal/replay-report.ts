import type { Effect, Reason } from '../model/decision.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { RecordedDecision } from '../record/replay-rows.ts'
import type { Changed, Unplayable } from './replayer.ts'

// What a replay says, however many decisions it read: counts, and of what changed the rule that made the difference,
// agents and tools, each up to a bound, and three examples of each rule.

const GROUPS_MAX = 200
const GROUPS_SHOWN_MAX = 50
const EXAMPLES_MAX = 3
const NAMES_MAX = 10_000
const NAMES_SHOWN_MAX = 100

/** A rule and what it changed. */
export interface ChangeGroup {
  readonly from: Effect
  readonly to: Effect
  readonly made_by: Changed['madeBy']
  /** Whose rule: of the policy that was asked, or, where more is let through, of what decided then. */
  readonly policy: 'candidate' | 'recorded'
  readonly source: string
  readonly code: string
  readonly message: string
  readonly file: string | null
  readonly line: number | null
  readonly count: number
  readonly examples: readonly Example[]
}

export interface Example {
  readonly action_id: string
  readonly agent: string
  readonly tool: string
  readonly at: string
  readonly revision: string
  readonly recorded: { readonly reasons: Json; readonly trace: Json }
  readonly candidate: { readonly reasons: Json; readonly trace: Json }
}

/** What came of a replay, as it is stored and answered. */
export interface ReplayReport {
  readonly revision: string
  readonly decisions: number
  readonly same: number
  readonly new_allow: number
  readonly new_deny: number
  readonly new_hold: number
  readonly errors: number
  readonly by_policy: number
  readonly by_counter: number
  readonly unplayable: Readonly<Partial<Record<Unplayable, number>>>
  readonly rules: readonly ChangeGroup[]
  readonly agents: readonly { readonly name: string; readonly changed: number }[]
  readonly tools: readonly { readonly name: string; readonly changed: number }[]
  /** More rules changed something than are told apart. */
  readonly rules_omitted: number
  /** Counters that the record does not know, by guard: they began at zero. */
  readonly begun_at_zero: readonly string[]
  readonly sampled: boolean
  /** More was asked for than is decided again in one replay. */
  readonly truncated: boolean
}

/** The reason that stands for a change, and whose it is. */
export interface Cause {
  readonly policy: ChangeGroup['policy']
  readonly reason: Reason | undefined
}

type Group = Omit<ChangeGroup, 'count' | 'examples'> & { count: number; examples: Example[] }

export class ReplayTally {
  #decisions = 0
  #same = 0
  #errors = 0
  #rulesOmitted = 0
  readonly #to: Record<Effect, number> = { allow: 0, deny: 0, require_approval: 0 }
  readonly #madeBy: Record<Changed['madeBy'], number> = { policy: 0, counter: 0 }
  readonly #unplayable = new Map<Unplayable, number>()
  readonly #groups = new Map<string, Group>()
  readonly #agents = new Map<string, number>()
  readonly #tools = new Map<string, number>()

  unplayable(why: Unplayable): void {
    this.#decisions++
    count(this.#unplayable, why)
  }

  same(failed: boolean): void {
    this.#decisions++
    this.#same++
    if (failed) this.#errors++
  }

  /** The group that it belongs to, and whether that still wants an example. */
  changed(row: RecordedDecision, { from, to, madeBy, failed }: Changed, { policy, reason }: Cause) {
    this.#decisions++
    if (failed) this.#errors++
    this.#to[to]++
    this.#madeBy[madeBy]++
    count(this.#agents, row.agentName || row.agentId)
    count(this.#tools, row.tool)
    const { source = '', code = '', message = '', location } = reason ?? {}
    const place = location && `${location.file}:${location.line}`
    const key = [from, to, madeBy, policy, source, code, place, location ? '' : message].join('\n')
    const known = this.#groups.get(key)
    if (!known && this.#groups.size >= GROUPS_MAX) {
      this.#rulesOmitted++
      return undefined
    }
    const file = location?.file ?? null
    const line = location?.line ?? null
    const made = { from, to, made_by: madeBy, policy, source, code, message, file, line }
    const group: Group = known ?? { ...made, count: 0, examples: [] }
    group.count++
    this.#groups.set(key, group)
    return group.examples.length < EXAMPLES_MAX ? group : undefined
  }

  report(
    rest: Pick<ReplayReport, 'revision' | 'begun_at_zero' | 'sampled' | 'truncated'>,
  ): ReplayReport {
    const groups = [...this.#groups.values()].toSorted((a, b) => b.count - a.count)
    return {
      ...rest,
      decisions: this.#decisions,
      same: this.#same,
      new_allow: this.#to.allow,
      new_deny: this.#to.deny,
      new_hold: this.#to.require_approval,
      errors: this.#errors,
      by_policy: this.#madeBy.policy,
      by_counter: this.#madeBy.counter,
      unplayable: Object.fromEntries(this.#unplayable),
      rules: groups.slice(0, GROUPS_SHOWN_MAX),
      agents: top(this.#agents),
      tools: top(this.#tools),
      rules_omitted: this.#rulesOmitted + Math.max(0, groups.length - GROUPS_SHOWN_MAX),
    }
  }
}

function count<Name>(counts: Map<Name, number>, name: Name): void {
  const known = counts.get(name)
  if (known !== undefined || counts.size < NAMES_MAX) counts.set(name, (known ?? 0) + 1)
}

const top = (counts: ReadonlyMap<string, number>) =>
  [...counts]
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, NAMES_SHOWN_MAX)
    .map(([name, changed]) => ({ name, changed }))

/** What a summary of it says, for the record. */
export const summaryOf = (report: ReplayReport): JsonObject => {
  const { decisions, same, new_allow, new_deny, new_hold, errors, unplayable, revision } = report
  const left = Object.values(unplayable).reduce((sum, n) => sum + n, 0)
  return { revision, decisions, same, new_allow, new_deny, new_hold, errors, unplayable: left }
}
