// What the rules of a policy are, and which documents each of them refers to. For an embedder that knows which documents
// there are and which rules it asks for: with that it can tell a rule that nothing reads, or a name that means nothing,
// which Rego itself takes for undefined and passes over in silence.
import type { Checked } from './checker/check.ts'
import { importName } from './checker/imports.ts'
import type { Type } from './builtins/types.ts'
import type { Expr, Loc, Module, Rule, Term, With } from './ast/ast.ts'
import { walkExpr, walkRule, walkTerm } from './ast/walk.ts'
import { scalarText } from './ast/scalar-text.ts'
import { isOperator } from './ast/operators.ts'
import { splitRef } from './ast/tree.ts'

/** One step of a reference: its key, or undefined when that is only known when the rule runs. */
export interface Step {
  readonly key: string | undefined
  readonly location: Loc
}

/** A reference into `input` or `data`, names of imports and of rules resolved. */
export interface Reference {
  readonly root: 'input' | 'data'
  readonly steps: readonly Step[]
  readonly location: Loc
  /** Stands under `with input ...`: what it reads sees another input than its rule does. */
  readonly otherInput: boolean
}

/** One definition of a rule, its else branches included. */
export interface RuleSurvey {
  readonly package: readonly string[]
  /** Below `data`, as far as it is constant. */
  readonly path: readonly string[]
  readonly file: string
  readonly location: Loc
  readonly isDefault: boolean
  readonly isFunction: boolean
  /** `p := v` has one value, `p contains v` makes a set, `p[k] := v` an object. */
  readonly makes: 'value' | 'set' | 'object'
  /** Of `p := v`: the text of each value it may have; undefined for one that is worked out. */
  readonly constants: readonly (string | undefined)[]
  readonly type: Type | undefined
  readonly reads: readonly Reference[]
  /** Targets of `with`. */
  readonly replaces: readonly Reference[]
}

export function surveyOf({ resolved, types }: Checked): RuleSurvey[] {
  return resolved.flatMap((module) =>
    module.rules.map((rule) => surveyRule(module, rule, types(rule))),
  )
}

function surveyRule(module: Module, rule: Rule, type: Type | undefined): RuleSurvey {
  const { path, suffix } = splitRef(module, rule)
  const reader = new Reader(rule)
  const { key, value, args } = rule.head
  return {
    package: module.package.path,
    path,
    file: module.file,
    location: rule.loc,
    isDefault: rule.isDefault,
    isFunction: args !== undefined,
    makes: key && !value ? 'set' : suffix.length > 0 || key ? 'object' : 'value',
    constants: branches(rule).map(({ head }) => head.value && scalarText(head.value)),
    type,
    reads: reader.reads,
    replaces: reader.replaces,
  }
}

const branches = (rule: Rule): Rule[] => [rule, ...(rule.else ? branches(rule.else) : [])]

interface Alias {
  readonly root: Reference['root']
  readonly steps: readonly Step[]
}

class Reader {
  readonly reads: Reference[] = []
  readonly replaces: Reference[] = []
  /** Variables that stand for a document: `action := input.action`. */
  readonly #aliases = new Map<string, Alias>()
  #otherInput = false

  constructor(rule: Rule) {
    walkRule(
      rule,
      () => undefined,
      (expr) => this.#alias(expr),
    )
    walkRule(
      rule,
      (term) => this.#term(term),
      (expr) => this.#expr(expr),
    )
  }

  #alias({ node, with: replaced }: Expr): void {
    if (node.kind !== 'call' || replaced.length > 0 || !isOperator(node.operator, 'eq')) return
    const [a, b] = node.args
    if (!a || !b) return
    for (const [variable, term] of [
      [a, b],
      [b, a],
    ] as const) {
      const stands = variable.kind === 'var' ? this.#document(term) : undefined
      if (variable.kind !== 'var' || !stands || this.#aliases.has(variable.name)) continue
      if (!ROOTS.has(variable.name)) this.#aliases.set(variable.name, stands)
    }
  }

  #expr(expr: Expr): boolean | undefined {
    if (expr.with.length === 0) return undefined
    for (const one of expr.with) this.#replacement(one)
    const outer = this.#otherInput
    this.#otherInput ||= expr.with.some(({ target }) => this.#document(target)?.root === 'input')
    walkExpr(
      { ...expr, with: [] },
      (term) => this.#term(term),
      (inner) => this.#expr(inner),
    )
    this.#otherInput = outer
    return false
  }

  #replacement({ target, value }: With): void {
    const document = this.#document(target)
    if (document) {
      this.replaces.push({ ...document, location: target.loc, otherInput: this.#otherInput })
    }
    walkTerm(
      value,
      (term) => this.#term(term),
      (expr) => this.#expr(expr),
    )
  }

  #term(term: Term): boolean | undefined {
    const document = this.#document(term)
    if (document) {
      this.reads.push({ ...document, location: term.loc, otherInput: this.#otherInput })
    }
    if (term.kind !== 'ref') return undefined
    // The head is a name and was seen with the whole; what stands in brackets may refer to more.
    const [head, ...rest] = term.terms
    for (const inner of head.kind === 'var' ? rest : term.terms) {
      walkTerm(
        inner,
        (one) => this.#term(one),
        (expr) => this.#expr(expr),
      )
    }
    return false
  }

  #document(term: Term): Alias | undefined {
    const terms = term.kind === 'ref' ? term.terms : term.kind === 'var' ? [term] : []
    const [head, ...rest] = terms as readonly Term[]
    if (head?.kind !== 'var') return undefined
    const steps = rest.map(toStep)
    if (isRoot(head.name)) return { root: head.name, steps }
    const alias = rest.length > 0 ? this.#aliases.get(head.name) : undefined
    return alias && { root: alias.root, steps: [...alias.steps, ...steps] }
  }
}

const ROOTS: ReadonlySet<string> = new Set(['input', 'data'])
const isRoot = (name: string): name is Reference['root'] => ROOTS.has(name)

const toStep = (term: Term): Step => ({
  key: term.kind === 'string' ? term.value : undefined,
  location: term.loc,
})

/** Every name that a module gives to something: imports, arguments and variables. */
export function namesIn(module: Module): ReadonlySet<string> {
  const names = new Set<string>()
  for (const one of module.imports) {
    const name = importName(one)
    if (name !== undefined) names.add(name)
  }
  for (const rule of module.rules) {
    walkRule(rule, (term) => {
      if (term.kind === 'var' && /^[A-Za-z_]/.test(term.name)) names.add(term.name)
    })
  }
  return names
}
