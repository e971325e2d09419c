// Types of rules and expressions, inferred as OPA infers them: rules in the order of their dependencies, each body with
// an environment of its own. A call that no value of its operands' types can satisfy, an equation of types that share no
// value and a reference into what cannot have such a key are errors. Bodies are checked as they are evaluated, with
// dynamic terms taken out; the bodies of `every`, `not { }`, `and` and `or` are looked at for references only.
import type { Body, Comprehension, Expr, RefTerm, Rule, Term } from '../ast/ast.ts'
import { walkExpr, walkTerm } from '../ast/walk.ts'
import type { Diagnostics } from '../diagnostics.ts'
import { isOperator, operatorName } from '../ast/operators.ts'
import { type PlacedRule, type RuleNode, rulesBelow } from '../ast/tree.ts'
import { type Needs, rulesOf } from './recursion.ts'
import { inputTypeOf, SchemaError } from './schemas.ts'
import { RefChecker } from './reference-types.ts'
import { hasClosures } from './safety.ts'
import {
  constantKey,
  isComprehension,
  isRoot,
  nodeKey,
  type Show,
  TypeEnv,
  TypeNode,
  type TypeOf,
  type Types,
} from './type-env.ts'
import {
  ANY,
  BOOLEAN,
  isAny,
  isUnknown,
  NULL,
  NUMBER,
  or,
  STRING,
  type Type,
  typeText,
  unifies,
} from '../builtins/types.ts'
import { unify, unifyTerm } from './type-unify.ts'

/** Reports what does not fit; the answer gives the type of what a rule defines, by where it stands. */
export function checkTypes(
  tree: RuleNode,
  query: Body | undefined,
  typeOf: TypeOf,
  diagnostics: Diagnostics,
  show: Show,
  needs: Needs,
): (rule: Rule) => Type | undefined {
  const checker = new TypeChecker(tree, typeOf, diagnostics, show, needs)
  checker.rules()
  if (query) checker.query(query)
  return (rule) => checker.defined(rule)
}

const placeOf = ({ loc }: Rule): string => `${loc.file}:${loc.row}:${loc.col}`

/** A mistake, and whether it may only follow from another one. */
interface Problem {
  readonly loc: Expr['loc']
  readonly message: string
  readonly follows?: boolean
  readonly hints?: readonly string[]
}

class TypeChecker implements Types {
  readonly #tree: RuleNode
  readonly #diagnostics: Diagnostics
  readonly #show: Show
  readonly #documents: TypeEnv
  /** Types of comprehensions whose bodies were checked. */
  readonly #comprehensions = new Map<Term, Type | undefined>()
  /** What depends on what a `with` replaces, by the text of its target. */
  readonly #relaxed = new Map<string, TypeNode | undefined>()
  /** Types of what rules define, by where they stand. */
  readonly #defined = new Map<string, Type>()
  readonly #needs: Needs
  #dependents: Map<PlacedRule, PlacedRule[]> | undefined

  constructor(tree: RuleNode, typeOf: TypeOf, diagnostics: Diagnostics, show: Show, needs: Needs) {
    this.#tree = tree
    this.#needs = needs
    this.#diagnostics = diagnostics
    this.#show = show
    this.#documents = new TypeEnv(typeOf).wrap()
  }

  query(body: Body): void {
    this.#report(this.#body(body, this.#documents.wrap()))
  }

  #report(problems: readonly Problem[]): boolean {
    for (const { loc, message, hints } of problems)
      this.#diagnostics.add('rego_type_error', loc, message, hints)
    return problems.length > 0
  }

  /** Every rule behind those it needs. */
  rules(): void {
    const all = rulesBelow(this.#tree)
    const done = all.map(() => false)
    const visit = (at: number): void => {
      const rule = all[at]
      if (!rule || done[at] === true) return
      done[at] = true
      for (const needed of this.#needs[at] ?? []) visit(needed)
      for (let branch: Rule | undefined = rule.rule; branch; branch = branch.else) {
        this.#rule(rule, branch)
      }
    }
    for (const at of all.keys()) visit(at)
  }

  #rule(placed: PlacedRule, branch: Rule): void {
    const tree = (this.#documents.tree ??= new TypeNode())
    const path = ['data', ...placed.path.map((key) => JSON.stringify(key))]
    const outer = this.#documents.wrap()
    const input = this.#annotated(placed)
    if (input) {
      outer.tree = new TypeNode()
      outer.tree.put(['input'], input)
    }
    const env = outer.wrap()
    if (this.#report(this.#body(branch.body, env))) {
      // What reads this rule is not to blame.
      tree.put([...path, ...placed.suffix.map((term) => nodeKey(term) ?? 'v')], ANY)
      return
    }
    const type = this.#ruleType(placed, branch, env)
    if (!type) return
    tree.insert(path, type)
    const value = type.kind === 'function' ? type.result : type
    const place = placeOf(placed.rule)
    this.#defined.set(place, or(this.#defined.get(place), value) ?? ANY)
  }

  /** The type of what a rule defines, all its branches together; undefined where that is not known. */
  defined(rule: Rule): Type | undefined {
    return this.#defined.get(placeOf(rule))
  }

  #annotated({ module, rule }: PlacedRule): Type | undefined {
    if (module.annotations.length === 0) return undefined
    try {
      return inputTypeOf(module, rule)
    } catch (error) {
      if (!(error instanceof SchemaError)) throw error
      this.#report([{ loc: rule.loc, message: error.message }])
      return undefined
    }
  }

  #ruleType({ suffix }: PlacedRule, { head }: Rule, env: TypeEnv): Type | undefined {
    if (head.args && head.args.length > 0) {
      for (const arg of head.args) {
        walkTerm(arg, (t) => {
          if (t.kind === 'var' && !env.variable(t.name)) env.set(t.name, ANY)
        })
      }
      const args = head.args.map((arg) => this.of(arg, env))
      const result = head.value && this.of(head.value, env)
      return { kind: 'function', args, variadic: false, result }
    }
    let type = head.value && this.of(head.value, env)
    if (head.key && !head.value) {
      const of = this.of(head.key, env)
      type = of && { kind: 'set', of }
    }
    // Keys that are found when the rule runs: an object of such keys at each step.
    for (const term of [...suffix].reverse()) {
      const key = this.of(term, env)
      type = type && key && { kind: 'object', fixed: new Map(), rest: [key, type] }
    }
    return type
  }

  // ---- bodies

  #body(body: Body, env: TypeEnv): Problem[] {
    const problems: Problem[] = []
    for (const expr of body) {
      const own = expr.with.length > 0 ? this.#replaced(expr, env) : env
      const inner = this.#closures(expr, own)
      const refs = new RefChecker(this, own, this.#show)
      refs.expr(expr)
      problems.push(...inner, ...refs.problems)
      const problem = this.#expr(expr, own)
      if (!problem) continue
      const isSecond = problem.follows === true && (inner.length > 0 || refs.problems.length > 0)
      if (!isSecond) problems.push(problem)
    }
    return problems
  }

  #expr(expr: Expr, env: TypeEnv): Problem | undefined {
    for (const { target, value, loc } of expr.with) {
      const [wanted, type] = [this.of(target, env), this.of(value, env)]
      if (wanted?.kind !== 'function' || type?.kind !== 'function') continue
      if (!unifies(wanted, type)) return { loc, message: `${this.#show(target)}: arity mismatch` }
    }
    const { node } = expr
    if (node.kind !== 'call') return undefined
    if (isOperator(node.operator, 'eq')) return this.#equation(expr, node.args, env)
    return this.#call(expr, node.operator, node.args, env)
  }

  #equation({ loc }: Expr, [a, b]: readonly Term[], env: TypeEnv): Problem | undefined {
    if (!a || !b) return undefined
    const [left, right] = [this.of(a, env), this.of(b, env)]
    if (unify(this, env, a, left, b, right)) return undefined
    const message = `match error\n  left  : ${typeText(left)}\n  right : ${typeText(right)}`
    return { loc, message, follows: isUnknown(left) || isUnknown(right) }
  }

  #call(
    { loc }: Expr,
    operator: RefTerm,
    args: readonly Term[],
    env: TypeEnv,
  ): Problem | undefined {
    const type = env.ref(operator)
    const name = operatorName(operator) ?? ''
    if (type?.kind === 'any' && type.of.length === 0) return undefined
    if (type?.kind !== 'function') return { loc, message: `undefined function ${name}` }
    const wanted = type.result ? [...type.args, type.result] : type.args
    const before = args.map((arg) => this.of(arg, env))
    const bad = (have: readonly (Type | undefined)[]): Problem => ({
      loc,
      message: `${name}: invalid argument(s)\n  have: (${have.map(typeText).join(', ')})\n  want: (${wanted.map(typeText).join(', ')})`,
      follows: have.some(isUnknown),
    })
    for (const [i, arg] of args.entries()) {
      const want = type.variadic ? type.args[0] : wanted[i]
      const have = before[i]
      if (have && !isUnknown(have) && !unifies(have, want)) return bad(before)
      if (!unifyTerm(this, env, arg, want, false)) return bad(args.map((t) => this.of(t, env)))
    }
    return undefined
  }

  /** Bodies of comprehensions inside an expression. */
  #closures(expr: Expr, env: TypeEnv): Problem[] {
    let problems: Problem[] = []
    if (!hasClosures(expr)) return problems
    walkExpr(expr, (term) => {
      if (!isComprehension(term)) return true
      const inner = env.wrap()
      const found = this.#body(term.body, inner)
      if (found.length > 0) problems = found
      this.#comprehensions.set(
        term,
        found.length > 0 ? undefined : comprehensionType(this, term, inner),
      )
      return false
    })
    return problems
  }

  // ---- with

  /** The documents that a `with` replaces may also be of its value's type; what depends on them may be anything. */
  #replaced(expr: Expr, env: TypeEnv): TypeEnv {
    let layer = env
    const put: [readonly string[], Type][] = []
    for (const { target, value } of expr.with) {
      const ref = asRef(target)
      if (!ref) continue
      const type = env.ref(ref)
      const isFunction = type?.kind === 'function'
      const relaxed = this.#relaxedBy(ref, isFunction)
      if (relaxed) layer = layer.wrapWith(relaxed)
      if (isFunction) continue
      const [root] = ref.terms
      if (!isRoot(root)) continue
      const path = [root.name, ...ref.terms.slice(1).map(nodeKey)]
      const end = ref.terms.findIndex((t, i) => i > 0 && constantKey(t) === undefined)
      const isGround = end < 0
      // Nothing is known of the document around it, which may stay so.
      if (type && isAny(type)) continue
      const own = isGround && type ? this.of(value, env) : undefined
      const ground = (isGround ? path : path.slice(0, end)).map((key) => key ?? 'v')
      put.push([ground, (own && or(type, own)) ?? ANY])
    }
    if (put.length === 0) return layer
    const tree = new TypeNode()
    for (const [path, type] of put) tree.put(path, type)
    return layer.wrapWith(tree)
  }

  #relaxedBy(target: RefTerm, isFunction: boolean): TypeNode | undefined {
    const [head] = target.terms
    if (head.kind !== 'var' || head.name !== 'data') return undefined
    const key = `${isFunction ? 'f:' : ''}${target.terms.map((t) => nodeKey(t) ?? '').join('.')}`
    if (this.#relaxed.has(key)) return this.#relaxed.get(key)
    const replaced = rulesOf(this.#tree, target)
    let tree: TypeNode | undefined
    for (const { path } of this.#needing(replaced)) {
      if (isFunction && path.length === target.terms.length - 1 && isPathOf(target, path)) continue
      tree ??= new TypeNode()
      tree.put(['data', ...path.map((name) => JSON.stringify(name))], ANY)
    }
    this.#relaxed.set(key, tree)
    return tree
  }

  /** Rules, and all that need them. */
  #needing(rules: Iterable<PlacedRule>): Set<PlacedRule> {
    if (!this.#dependents) {
      this.#dependents = new Map()
      const all = rulesBelow(this.#tree)
      for (const [at, rule] of all.entries()) {
        for (const place of this.#needs[at] ?? []) {
          const needed = all[place] as PlacedRule
          const list = this.#dependents.get(needed)
          if (list) list.push(rule)
          else this.#dependents.set(needed, [rule])
        }
      }
    }
    const found = new Set(rules)
    for (const rule of found) for (const other of this.#dependents.get(rule) ?? []) found.add(other)
    return found
  }

  // ---- terms

  /** The type of a term; undefined, or with undefined parts, where it is not known. */
  of(term: Term, env: TypeEnv): Type | undefined {
    switch (term.kind) {
      case 'null':
        return NULL
      case 'boolean':
        return BOOLEAN
      case 'number':
        return NUMBER
      case 'string':
      case 'template':
        return STRING
      case 'var': {
        if (term.name === 'input' || term.name === 'data')
          return env.ref({ kind: 'ref', terms: [term], loc: term.loc })
        return env.variable(term.name)
      }
      case 'ref':
        return env.ref(term)
      case 'array': {
        const fixed = term.items.map((t) => this.of(t, env))
        return { kind: 'array', fixed, rest: fixed.length === 0 ? ANY : undefined }
      }
      case 'set': {
        let of: Type | undefined
        for (const item of term.items) of = or(of, this.of(item, env))
        return { kind: 'set', of: of ?? ANY }
      }
      case 'object':
        return this.#object(term.pairs, env)
      case 'arrayComprehension':
      case 'setComprehension':
      case 'objectComprehension':
        return this.#comprehension(term, env)
      default:
        return undefined
    }
  }

  #comprehension(term: Comprehension, env: TypeEnv): Type | undefined {
    if (this.#comprehensions.has(term)) return this.#comprehensions.get(term)
    const inner = env.wrap()
    const type =
      this.#body(term.body, inner).length > 0 ? undefined : comprehensionType(this, term, inner)
    this.#comprehensions.set(term, type)
    return type
  }

  #object(pairs: readonly (readonly [Term, Term])[], env: TypeEnv): Type {
    const fixed = new Map<string, Type | undefined>()
    let rest: readonly [Type | undefined, Type | undefined] | undefined
    for (const [key, value] of pairs) {
      const constant = constantKey(key)
      if (constant === undefined) rest = [this.of(key, env), this.of(value, env)]
      else fixed.set(constant, this.of(value, env))
    }
    if (pairs.length === 0) rest = [ANY, ANY]
    return { kind: 'object', fixed, rest }
  }
}

function comprehensionType(
  checker: TypeChecker,
  term: Comprehension,
  env: TypeEnv,
): Type | undefined {
  switch (term.kind) {
    case 'arrayComprehension':
      return { kind: 'array', fixed: [], rest: checker.of(term.term, env) }
    case 'setComprehension':
      return { kind: 'set', of: checker.of(term.term, env) }
    default:
      return {
        kind: 'object',
        fixed: new Map(),
        rest: [checker.of(term.key, env), checker.of(term.value, env)],
      }
  }
}

function asRef(term: Term): RefTerm | undefined {
  if (term.kind === 'ref') return term
  return term.kind === 'var' ? { kind: 'ref', terms: [term], loc: term.loc } : undefined
}

function isPathOf(target: RefTerm, path: readonly string[]): boolean {
  return path.every((name, i) => {
    const term = target.terms[i + 1]
    return term?.kind === 'string' && term.value === name
  })
}
