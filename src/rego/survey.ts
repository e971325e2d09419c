// What the rules of a policy are, and which documents each of them refers to. For an embedder that knows which documents
// there are and which rules it asks for: with that it can tell a rule that nothing reads, or a name that means nothing,
// which Rego itself takes for undefined and passes over in silence.
import type { Checked } from './checker/check.ts'
import { importName } from './checker/imports.ts'
import type { Type } from './builtins/types.ts'
import type { CallTerm, Expr, Loc, Module, Rule, Term, With } from './ast/ast.ts'
import { walkExpr, walkRule, walkTerm } from './ast/walk.ts'
import { scalarText } from './ast/scalar-text.ts'
import { isOperator, operatorName } from './ast/operators.ts'
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
  /** What is read where there is nothing was said: `object.get(data.limits, "day", 5)`. */
  readonly hasDefault: boolean
}

/** A reference into what a function is called with: the place of the parameter, and the steps from there on. */
export interface ParameterReference extends Omit<Reference, 'root'> {
  readonly parameter: number
}

/** A call of a function of the policy, and which of its arguments are documents or parts of them. */
export interface Call {
  readonly steps: readonly Step[]
  readonly args: readonly (Argument | undefined)[]
  readonly otherInput: boolean
}

/** `root` is the place of a parameter where the caller hands on what it was given. */
export interface Argument {
  readonly root: Reference['root'] | number
  readonly steps: readonly Step[]
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
  /** Of `p := input.action`: the document that each value is; undefined for one that is none. */
  readonly documents: readonly (Pick<Reference, 'root' | 'steps'> | undefined)[]
  readonly type: Type | undefined
  readonly reads: readonly Reference[]
  readonly parameterReads: readonly ParameterReference[]
  readonly calls: readonly Call[]
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
    documents: branches(rule).map(({ head }) => head.value && reader.documentOf(head.value)),
    type,
    reads: reader.reads,
    parameterReads: reader.parameterReads,
    calls: reader.calls,
    replaces: reader.replaces,
  }
}

const branches = (rule: Rule): Rule[] => [rule, ...(rule.else ? branches(rule.else) : [])]

class Reader {
  readonly reads: Reference[] = []
  readonly parameterReads: ParameterReference[] = []
  readonly calls: Call[] = []
  readonly replaces: Reference[] = []
  /** Variables that stand for a document, such as `action := input.action`, or for a parameter. */
  readonly #aliases = new Map<string, Argument>()
  #otherInput = false

  constructor(rule: Rule) {
    for (const [parameter, term] of (rule.head.args ?? []).entries()) {
      if (term.kind === 'var') this.#aliases.set(term.name, { root: parameter, steps: [] })
    }
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

  #alias(expr: Expr): void {
    if (expr.with.length > 0) return
    for (const [pattern, document] of this.#matched(expr)) this.#bind(pattern, document)
  }

  /** What an expression takes apart or goes through, and by which pattern. */
  #matched({ node }: Expr): (readonly [Term, Argument])[] {
    if (node.kind === 'someIn' || node.kind === 'every') {
      const all = this.#argument(node.domain)
      return all ? [[node.value, inside(all, anyOf(node.value))]] : []
    }
    if (node.kind !== 'call' || !isOperator(node.operator, 'eq')) return []
    const [a, b] = node.args
    if (!a || !b) return []
    return (
      [
        [a, b],
        [b, a],
      ] as const
    ).flatMap(([pattern, term]) => {
      const document = this.#argument(term)
      return document ? [[pattern, document] as const] : []
    })
  }

  #bind(pattern: Term, document: Argument): void {
    if (pattern.kind === 'var') {
      if (ROOTS.has(pattern.name) || this.#aliases.has(pattern.name)) return
      this.#aliases.set(pattern.name, document)
    }
    for (const [inner, step] of partsOf(pattern)) this.#bind(inner, inside(document, step))
  }

  /** The members that a pattern names are read. */
  #pattern(pattern: Term, document: Argument): void {
    for (const [inner, step] of partsOf(pattern)) {
      const member = inside(document, step)
      if (step.key !== undefined) this.#read(member, step.location)
      this.#pattern(inner, member)
    }
  }

  #expr(expr: Expr): boolean | undefined {
    if (expr.with.length === 0) {
      this.#own(expr)
      return undefined
    }
    for (const one of expr.with) this.#replacement(one)
    const outer = this.#otherInput
    this.#otherInput ||= expr.with.some(({ target }) => this.#document(target)?.root === 'input')
    this.#own(expr)
    walkExpr(
      { ...expr, with: [] },
      (term) => this.#term(term),
      (inner) => this.#expr(inner),
    )
    this.#otherInput = outer
    return false
  }

  #own(expr: Expr): void {
    if (expr.node.kind === 'call') this.#call(expr.node)
    for (const [pattern, document] of this.#matched(expr)) this.#pattern(pattern, document)
  }

  #replacement({ target, value }: With): void {
    const document = this.#document(target)
    if (document && isDocument(document)) {
      const { loc: location } = target
      const here = { location, otherInput: this.#otherInput, hasDefault: false }
      this.replaces.push({ ...document, ...here })
    }
    walkTerm(
      value,
      (term) => this.#term(term),
      (expr) => this.#expr(expr),
    )
  }

  #term(term: Term): boolean | undefined {
    const document = this.#document(term)
    if (document) this.#read(document, term.loc)
    if (term.kind === 'call') this.#call(term)
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

  #read({ root, steps }: Argument, location: Loc, hasDefault = false): void {
    const read = { steps, location, otherInput: this.#otherInput, hasDefault }
    if (typeof root === 'number') this.parameterReads.push({ ...read, parameter: root })
    else this.reads.push({ ...read, root })
  }

  // `object.get(input, ["action", "name"], "")` reads a path that stands in the text as well.
  #call({ operator, args }: Pick<CallTerm, 'operator' | 'args'>): void {
    if (operatorName(operator) === 'object.get') {
      const [from, path] = args
      const document = from && this.#argument(from)
      const steps = path?.kind === 'array' ? path.items.map(toStep) : path ? [toStep(path)] : []
      if (document) {
        this.#read({ ...document, steps: [...document.steps, ...steps] }, operator.loc, true)
      }
    }
    const callee = this.#document(operator)
    if (callee?.root !== 'data') return
    const given = args.map((one) => this.#argument(one))
    this.calls.push({ steps: callee.steps, args: given, otherInput: this.#otherInput })
  }

  /** The document that a term is, if it is one whatever the rule is called with. */
  documentOf(term: Term): Pick<Reference, 'root' | 'steps'> | undefined {
    const document = this.#argument(term)
    return document && isDocument(document) ? document : undefined
  }

  #document(term: Term): Argument | undefined {
    const isWhole = term.kind === 'var' && !isRoot(term.name)
    return isWhole ? undefined : this.#argument(term)
  }

  /** What a term stands for; a variable alone is a document where it is an alias of one. */
  #argument(term: Term): Argument | undefined {
    const terms = term.kind === 'ref' ? term.terms : term.kind === 'var' ? [term] : []
    const [head, ...rest] = terms as readonly Term[]
    if (head?.kind !== 'var') return undefined
    const steps = rest.map(toStep)
    if (isRoot(head.name)) return { root: head.name, steps }
    const alias = this.#aliases.get(head.name)
    return alias && { root: alias.root, steps: [...alias.steps, ...steps] }
  }
}

const inside = ({ root, steps }: Argument, step: Step): Argument => ({
  root,
  steps: [...steps, step],
})

const anyOf = ({ loc }: Term): Step => ({ key: undefined, location: loc })

/** The members that a pattern takes apart, each with its key. */
function partsOf(pattern: Term): (readonly [Term, Step])[] {
  if (pattern.kind === 'object') {
    return pattern.pairs.map(([key, value]) => [value, toStep(key)] as const)
  }
  if (pattern.kind !== 'array') return []
  return pattern.items.map((item) => [item, anyOf(item)] as const)
}

const isDocument = (one: Argument): one is Argument & Pick<Reference, 'root'> =>
  typeof one.root !== 'number'

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
