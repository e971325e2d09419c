import { setImmediate as breathe } from 'node:timers/promises'
import type { Decision, Effect, Reason, TraceExpression } from '../model/decision.ts'
import type { Findings } from '../sources/diagnostics.ts'
import type { Bundle, PolicyCase, PolicyJudge } from '../bundle/types.ts'

/** What came of a case. */
export interface MatrixResult {
  readonly case: PolicyCase
  readonly passed: boolean
  readonly got: Effect
  /** Who decided, strongest first. */
  readonly decidedBy: readonly Decider[]
  readonly ms: number
}

/** A guard or a Rego rule that carried the decision. */
export interface Decider {
  readonly source: string
  readonly code: string
  readonly message: string
  readonly file?: string
  readonly line?: number
  /** The expressions of the rule, when it is one of Rego. */
  readonly expressions?: readonly TraceExpression[]
}

/** Requests go on while cases are decided: let them in after this many. */
const CASES_AT_ONCE = 50
/** Explaining costs a second evaluation; who has more failures than this looks at the first ones. */
const EXPLAINED_MAX = 20
const UNMET_MAX = 20

/** Decides every case by the bundle: the real guards and modules, nothing counted, nothing called. */
export async function runMatrix(
  cases: readonly PolicyCase[],
  bundle: Bundle,
  judge: PolicyJudge,
): Promise<readonly MatrixResult[]> {
  const results: MatrixResult[] = []
  let failed = 0
  for (const [at, one] of cases.entries()) {
    if (at % CASES_AT_ONCE === CASES_AT_ONCE - 1) await breathe()
    const startedAt = performance.now()
    const decision = await judge.decide(one.request, one.facts, bundle)
    const ms = Math.round((performance.now() - startedAt) * 100) / 100
    const passed = fits(one, decision)
    const isExplained = !passed && failed++ < EXPLAINED_MAX
    const decidedBy = passed ? [] : await deciders(one, decision, bundle, judge, isExplained)
    results.push({ case: one, passed, got: decision.effect, decidedBy, ms })
  }
  return results
}

const fits = ({ effect, reason }: PolicyCase, decision: Decision): boolean =>
  decision.effect === effect &&
  (reason === null || decision.reasons.some(({ code }) => code === reason))

/** Who gave the reasons of a decision; of a module's, the rule and where it stands, where it is explained. */
export async function deciders(
  { request, facts }: Pick<PolicyCase, 'request' | 'facts'>,
  { reasons, trace }: Pick<Decision, 'reasons' | 'trace'>,
  bundle: Bundle,
  judge: PolicyJudge,
  isExplained: boolean,
): Promise<readonly Decider[]> {
  const steps = isExplained ? await judge.explain(trace, request, facts, bundle) : []
  return reasons.map((reason) => {
    const isUnmet = reason.code === 'no_permission'
    const step = steps.find(
      ({ kind, source }) => kind === 'module' && (isUnmet || source === reason.source),
    )
    const expressions = step?.expressions ?? []
    return { ...placeOf(reason), ...(isUnmet ? unmet(expressions) : ruleOf(reason, expressions)) }
  })
}

const placeOf = ({ source, code, message, location }: Reason): Decider => ({
  source,
  code,
  message,
  ...(location ? { file: location.file, line: location.line } : {}),
})

/** The rule of a module that gave a reason: of the effect's name, and the only one that held. */
function ruleOf({ effect }: Reason, all: readonly TraceExpression[]): Partial<Decider> {
  const held = rulesNamed(effect, all).filter((rule) => rule.at(-1)?.outcome === 'true')
  const [rule] = held
  const first = rule?.[0]
  if (!rule || !first || held.length > 1) return {}
  return { file: first.file, line: first.ruleLine, expressions: rule }
}

/** Nothing allowed it: what the rules that might have looked at. */
function unmet(all: readonly TraceExpression[]): Partial<Decider> {
  const expressions = rulesNamed('allow', all).flat().slice(0, UNMET_MAX)
  return expressions.length > 0 ? { expressions } : {}
}

function rulesNamed(name: string, all: readonly TraceExpression[]): TraceExpression[][] {
  const rules = new Map<string, TraceExpression[]>()
  for (const one of all) {
    if (one.rule !== `data.agent.${name}`) continue
    const key = `${one.file}:${one.ruleLine}`
    rules.set(key, [...(rules.get(key) ?? []), one])
  }
  return [...rules.values()]
}

/** Failures as findings that keep a bundle from being swapped in, or that only tell. */
export function reportFailures(
  results: readonly MatrixResult[],
  found: Findings,
  severity: 'error' | 'warning' = 'error',
): void {
  for (const { case: one, passed, got, decidedBy } of results) {
    if (passed) continue
    const [first] = decidedBy
    const hint = first && `decided by ${describeDecider(first)}`
    const message = `${describeCase(one)}: expected ${wanted(one)}, got ${got}`
    if (severity === 'error') found.error(one.place, failureCode(one), message, hint)
    else found.warn(one.place, failureCode(one), message, hint)
  }
}

const failureCode = ({ must, effect }: PolicyCase): string => {
  if (!must) return 'policy_test_failed'
  return effect === 'deny' ? 'must_deny_failed' : 'must_allow_failed'
}

export const describeCase = ({ name, subject, action, resource }: PolicyCase): string =>
  [
    ...(name === '' ? [] : [`${name}:`]),
    subject,
    action,
    ...(resource === null ? [] : [resource]),
  ].join(' ')

export const wanted = ({ effect, reason }: PolicyCase): string =>
  reason === null ? effect : `${effect} (${reason})`

export function describeDecider({ source, code, message, file, line }: Decider): string {
  const place = file === undefined ? '' : ` (${file}:${line})`
  return `\`${source}\`${place}: ${code}: ${message}`
}
