import type { TraceExpression } from '../model/decision.ts'
import type { Json, JsonObject } from '../model/json.ts'
import {
  type Compiled,
  compile,
  EvalError,
  type Expression,
  expressionsOf,
  load,
  type Loaded,
} from '../rego/index.ts'
import { readRules } from './opa-module.ts'
import {
  BUDGET,
  CAPABILITIES,
  policiesOf,
  queryFor,
  type RegoProgram,
  rulesOf,
} from './rego-program.ts'
import { parsed } from './rego-sources.ts'
import type { ModuleExplanation } from '../bundle/types.ts'

/** Reading every value twice costs steps; what could be decided can be explained. */
const STEPS = BUDGET.steps * 4
/** A policy of a thousand rules reaches thousands; those of the rules that held come first. */
const EXPRESSIONS_MAX = 200

interface Traced {
  readonly id: number
  readonly compiled: Compiled
  readonly loaded: Loaded
  readonly sources: Readonly<Record<string, string>>
}

// Compiled when somebody asks, and kept for the next who does.
let traced: Traced | undefined

/** Evaluates an input once more in a trace build and says which expressions made the answer. */
export function explainInput(
  program: RegoProgram,
  rules: readonly string[],
  input: JsonObject,
): ModuleExplanation {
  try {
    const { compiled, loaded, sources } = tracedBuild(program, rules)
    loaded.resetTrace()
    const answer = readRules(rulesOf(loaded.solutions(input)))
    const all = expressionsOf(compiled, loaded, sources).filter(({ rule }) => rule !== undefined)
    const shown = mostTelling(all)
    return {
      ok: true,
      answer,
      expressions: shown.map(toTrace),
      omitted: all.length - shown.length,
    }
  } catch (error) {
    if (!(error instanceof EvalError)) throw error
    return { ok: false, message: `the evaluation failed: ${error.message}` }
  }
}

function tracedBuild(program: RegoProgram, rules: readonly string[]): Traced {
  if (traced?.id === program.id) return traced
  traced?.loaded.close()
  const sources = policiesOf(program.sources)
  const compiled = compile({
    modules: sources,
    entrypoints: [],
    query: queryFor(rules),
    budget: { ...BUDGET, steps: STEPS },
    capabilities: CAPABILITIES,
    trace: 'values',
    parsed,
  })
  if (!compiled.ok) throw new EvalError('eval_internal_error', 'it does not compile any more')
  const loaded = load(compiled, { data: program.data })
  traced = { id: program.id, compiled, loaded, sources }
  return traced
}

function mostTelling(all: readonly Expression[]): readonly Expression[] {
  if (all.length <= EXPRESSIONS_MAX) return all
  // A rule held when the last of its expressions did.
  const last = new Map(all.map((one) => [ruleKey(one), one.outcome]))
  const held = all.filter((one) => last.get(ruleKey(one)) === 'true')
  const rest = all.filter((one) => last.get(ruleKey(one)) !== 'true')
  const chosen = new Set([...held, ...rest].slice(0, EXPRESSIONS_MAX))
  return all.filter((one) => chosen.has(one))
}

const ruleKey = ({ file, rule }: Expression): string => `${file}:${rule?.row}`

const toTrace = (one: Expression): TraceExpression => ({
  file: one.file,
  line: one.row,
  col: one.col,
  rule: one.rule?.path ?? '',
  ruleLine: one.rule?.row ?? 0,
  text: one.text,
  outcome: one.outcome,
  reached: one.reached,
  held: one.held,
  values: one.values as Readonly<Record<string, Json>>,
  shortened: one.cut,
  missing: one.missing,
})
