// Tests are rules, and a rule may be written several times: Rego would take the definitions together, and one that
// fails would hide behind another that holds. As OPA does, each definition of a test is a test of its own, so all but
// the first are given another name before anything looks at them.
import type { Head, Loc, Module, Rule, Term } from './ast.ts'

/** One test: the rule to ask for, and how it is shown. */
export interface TestRule {
  /** The document below `data`, with slashes. */
  readonly entrypoint: string
  /** The name in its package, with `#01` and so on for further definitions. */
  readonly name: string
  readonly file: string
  readonly location: Loc
  readonly isTodo: boolean
  /** `test_x[name]`: each name is a case, and the value is an object of those that hold. */
  readonly hasCases: boolean
}

/** The modules with every definition of a test under a name of its own, and the tests. */
export interface SeparateTests {
  readonly modules: readonly Module[]
  readonly tests: readonly TestRule[]
}

/** The name of a test as far as it is constant, and what names its cases. */
export interface TestName {
  readonly path: readonly [string, ...string[]]
  readonly cases: readonly Term[]
  readonly isTodo: boolean
}

const IS_TEST = /^(todo_)?test_/

/** What a rule is called as a test: one element of the constant part of its name begins with `test_`. */
export function testName({ ref: [first, ...rest] }: Head): TestName | undefined {
  const end = rest.findIndex(({ kind }) => kind !== 'string')
  const constant = end < 0 ? rest : rest.slice(0, end)
  const names = constant.flatMap((term) => (term.kind === 'string' ? [term.value] : []))
  const path = [first.name, ...names] as const
  const found = path.map((name) => IS_TEST.exec(name)).find((match) => match !== null)
  if (!found) return undefined
  return { path, cases: rest.slice(constant.length), isTodo: found[1] !== undefined }
}

export function separateTests(modules: readonly Module[]): SeparateTests {
  const tests: TestRule[] = []
  const counts = new Map<string, number>()
  const separate = (rule: Rule, module: Module): Rule => {
    const named = testName(rule.head)
    if (!named) return rule
    const whole = [...module.package.path, ...named.path].join('/')
    const before = counts.get(whole) ?? 0
    counts.set(whole, before + 1)
    const number = before === 0 ? '' : `#${String(before).padStart(2, '0')}`
    const { isTodo, cases, path } = named
    const { file } = module
    const shown = { entrypoint: whole + number, name: path.join('.') + number }
    tests.push({ ...shown, file, location: rule.loc, isTodo, hasCases: cases.length > 0 })
    return number === '' ? rule : renamed(rule, named.path.length - 1, number)
  }
  const apart = modules.map((module) => ({
    ...module,
    rules: module.rules.map((rule) => separate(rule, module)),
  }))
  return { modules: apart, tests }
}

/** With a number behind the last element of its constant name, in its `else` branches too. */
function renamed(rule: Rule, last: number, number: string): Rule {
  const ref = rule.head.ref.map((term, at) => {
    if (at !== last) return term
    if (term.kind === 'var') return { ...term, name: term.name + number }
    return term.kind === 'string' ? { ...term, value: term.value + number } : term
  }) as unknown as Head['ref']
  return {
    ...rule,
    head: { ...rule.head, ref },
    else: rule.else && renamed(rule.else, last, number),
  }
}
