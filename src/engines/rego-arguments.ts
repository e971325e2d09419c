// A function that is given `input` or `data`, or a part of one, reads members of it under another name. So each parameter is followed
// from the rules that decide through every call: what it can be there, by which a member that cannot exist is found as
// well. One that is also given something else, which nobody can know, is not judged.
import type { Call, Reference, RuleSurvey, Step } from '../rego/index.ts'

/** A document or a part of it. */
type Path = Pick<Reference, 'root' | 'steps'>

/** What a parameter is given by those who call: `data` and the gate's own `input`, or `unknown` somewhere. */
interface Given {
  readonly paths: Map<string, Path>
  unknown: boolean
}

/** References through parameters, each as every caller would write it. */
export function readsThroughParameters(
  rules: Iterable<RuleSurvey>,
  functionsAt: (steps: readonly Step[]) => readonly RuleSurvey[],
): Reference[][] {
  const arguments_ = new Arguments(functionsAt)
  const reached = [...rules]
  for (const rule of reached) arguments_.callsOf(rule)
  return reached.flatMap((rule) => arguments_.readsOf(rule))
}

class Arguments {
  readonly #functionsAt: (steps: readonly Step[]) => readonly RuleSurvey[]
  readonly #given = new Map<RuleSurvey, Map<number, Given>>()

  constructor(functionsAt: (steps: readonly Step[]) => readonly RuleSurvey[]) {
    this.#functionsAt = functionsAt
  }

  /** What a rule gives to the functions that it calls, as far as it does not hand on what it was given. */
  callsOf(rule: RuleSurvey): void {
    for (const call of rule.calls) {
      for (const [at, argument] of call.args.entries()) {
        if (typeof argument?.root === 'number') continue
        this.#give(call, at, argument && pathOf(argument.root, argument.steps, call))
      }
    }
  }

  readsOf(rule: RuleSurvey): Reference[][] {
    return rule.parameterReads.flatMap(({ parameter, steps, ...place }) => {
      const given = this.#given.get(rule)?.get(parameter)
      if (!given || given.unknown || given.paths.size === 0) return []
      const read = (path: Path): Reference => ({ ...further(path, steps), ...place })
      return [[...given.paths.values()].map(read)]
    })
  }

  #give(call: Call, at: number, path: Path | undefined): void {
    for (const callee of this.#functionsAt(call.steps)) {
      if (!this.#note(callee, at, path)) continue
      for (const inner of callee.calls) this.#handOn(inner, at, path)
    }
  }

  // Functions do not call themselves in Rego, so this ends.
  #handOn(call: Call, parameter: number, path: Path | undefined): void {
    for (const [at, argument] of call.args.entries()) {
      if (argument?.root === parameter) this.#give(call, at, path && further(path, argument.steps))
    }
  }

  /** Answers whether that was new. */
  #note(callee: RuleSurvey, at: number, path: Path | undefined): boolean {
    const parameters = this.#given.get(callee) ?? new Map<number, Given>()
    this.#given.set(callee, parameters)
    const given = parameters.get(at) ?? { paths: new Map(), unknown: false }
    parameters.set(at, given)
    if (given.unknown) return false
    if (path === undefined) {
      given.unknown = true
      return true
    }
    const key = JSON.stringify([path.root, ...path.steps.map((step) => step.key ?? null)])
    if (given.paths.has(key)) return false
    given.paths.set(key, path)
    return true
  }
}

function pathOf(
  root: Path['root'],
  steps: readonly Step[],
  { otherInput }: Call,
): Path | undefined {
  return root === 'input' && otherInput ? undefined : { root, steps }
}

const further = ({ root, steps }: Path, more: readonly Step[]): Path => ({
  root,
  steps: [...steps, ...more],
})
