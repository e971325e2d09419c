import { BUILTIN_NAMES, OUTSIDE, VARYING } from '../rego/index.ts'
import type { Json } from '../model/json.ts'
import type { ModuleSources } from '../bundle/types.ts'

/** The rules of package `agent` that decide. Any other rule is the policy's own affair. */
export const DECIDING = ['allow', 'deny', 'require_approval', 'obligations']
export const PACKAGE = 'agent'

/** What one decision may cost. Counted in the module itself, so the same input always gets as far. */
export const BUDGET = { steps: 5_000_000, pages: 1_024 }

/** No network, no chance, and no clock but the one in the input: the same input gets the same answer. */
export const CAPABILITIES = {
  builtins: BUILTIN_NAMES.filter((name) => !OUTSIDE.has(name) && !VARYING.has(name)),
}

/** Sources that decide, with the documents they read. Plain data, so that it can go to a worker. */
export interface RegoProgram extends ModuleSources {
  /** Names this program where it was compiled. */
  readonly id: number
}

/** One query for all rules, so that the input is read once; a rule that is undefined gives an empty list. */
export const queryFor = (rules: readonly string[]): string =>
  rules.map((rule) => `${rule} = [value | value = data.${PACKAGE}.${rule}]`).join('; ')

/** The rules that have a value, from the answer to that query. */
export function rulesOf(solutions: readonly Record<string, unknown>[]): ReadonlyMap<string, Json> {
  const [found = {}] = solutions
  const rules = new Map<string, Json>()
  for (const [rule, values] of Object.entries(found)) {
    const [value] = values as Json[]
    if (value !== undefined) rules.set(rule, value)
  }
  return rules
}

export const isTestFile = (name: string): boolean => name.endsWith('_test.rego')

export const policiesOf = (sources: ReadonlyMap<string, string>): Record<string, string> =>
  Object.fromEntries([...sources].filter(([name]) => !isTestFile(name)))
