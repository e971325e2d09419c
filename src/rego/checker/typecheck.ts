// Types of rules and expressions, inferred as OPA infers them: rules in the order of their dependencies, each body with
// an environment of its own. A call that no value of its operands' types can satisfy, an equation of types that share no
// value and a reference into what cannot have such a key are errors.
import type { Body, Expr, RefTerm, Rule, Term } from '../ast/ast.ts'
import { mapTerm } from '../ast/walk.ts'
import type { Diagnostics } from '../diagnostics.ts'
import { inputTypeOf, SchemaError } from './schemas.ts'
import { isOperator, operatorName } from '../parser/terms.ts'
import {
  isDynamic,
  isFunction,
  type PlacedRule,
  type RuleNode,
  rulesBelow,
} from '../planner/tree.ts'
import {
  ANY,
  BOOLEAN,
  type FunctionType,
  isAny,
  keyOf,
  keys,
  NULL,
  NUMBER,
  type ObjectType,
  select,
  STRING,
  type Type,
  typeText,
  unifies,
  union,
  values,
} from './types.ts'

/** Reports what does not fit; the answer gives the type of what a rule defines, by where it stands. */
export function checkTypes(
  tree: RuleNode,
  query: Body | undefined,
  typeOf: (name: string) => FunctionType | undefined,
  diagnostics: Diagnostics,
): (rule: Rule) => Type | undefined {
  const checker = new TypeChecker(tree, typeOf, diagnostics)
  const placed = rulesBelow(tree)
  for (const rule of placed) checker.rule(rule)
  if (query) checker.query(query)
  const known = new Map(placed.map((one) => [placeOf(one.rule), one]))
  return (rule) => {
    const one = known.get(placeOf(rule))
    return one && checker.rule(one).value
  }
}

const placeOf = ({ loc }: Rule): string => `${loc.file}:${loc.row}:${loc.col}`

class Env {
  readonly #vars = new Map<string, Type>()
  readonly #outer: Env | undefined
  constructor(outer?: Env) {
    this.#outer = outer
  }
  get(name: string): Type | undefined {
    return this.#vars.get(name) ?? this.#outer?.get(name)
  }
  set(name: string, type: Type): void {
    this.#vars.set(name, type)
  }
}

interface RuleTypes {
  /** Of a function: its operands. */
  readonly args: readonly Type[] | undefined
  readonly value: Type
}

class TypeChecker {
  readonly #tree: RuleNode
  readonly #typeOf: (name: string) => FunctionType | undefined
  readonly #diagnostics: Diagnostics
  readonly #known = new Map<PlacedRule, RuleTypes>()
  readonly #open = new Set<PlacedRule>()
  readonly #nodes = new Map<RuleNode, Type>()

  constructor(
    tree: RuleNode,
    typeOf: (name: string) => FunctionType | undefined,
    diagnostics: Diagnostics,
  ) {
    this.#tree = tree
    this.#typeOf = typeOf
    this.#diagnostics = diagnostics
  }

  query(body: Body): void {
    this.#body(body, new Env())
  }

  rule(placed: PlacedRule): RuleTypes {
    const known = this.#known.get(placed)
    if (known) return known
    const anything: RuleTypes = { args: placed.rule.head.args?.map(() => ANY), value: ANY }
    if (this.#open.has(placed)) return anything
    this.#open.add(placed)
    const found = this.#infer(placed)
    this.#open.delete(placed)
    this.#known.set(placed, found)
    return found
  }

  /** What `input` is in the rule at hand, as its annotations say. */
  #input: Type = ANY

  #infer(placed: PlacedRule): RuleTypes {
    const outer = this.#input
    this.#input = this.#annotated(placed)
    const types = this.#inferWith(placed)
    this.#input = outer
    return types
  }

  #annotated({ module, rule }: PlacedRule): Type {
    if (module.annotations.length === 0) return ANY
    try {
      return inputTypeOf(module, rule) ?? ANY
    } catch (error) {
      if (!(error instanceof SchemaError)) throw error
      this.#error(rule, error.message)
      return ANY
    }
  }

  #inferWith({ rule, suffix }: PlacedRule): RuleTypes {
    const types: Type[] = []
    const args: Type[][] = (rule.head.args ?? []).map(() => [])
    for (let branch: typeof rule | undefined = rule; branch; branch = branch.else) {
      const env = new Env()
      const { head } = branch
      const fine = this.#body(branch.body, env)
      for (const [i, arg] of (head.args ?? []).entries()) {
        args[i]?.push(fine ? this.#argType(arg, env) : ANY)
      }
      if (!fine) types.push(ANY)
      else if (head.key && !head.value)
        types.push({ kind: 'set', of: this.#get(head.key, env) ?? ANY })
      else types.push((head.value && this.#get(head.value, env)) ?? ANY)
      if (suffix.length > 0 && fine) {
        // Keys that are found when the rule runs: an object of such keys at each step.
        let whole = types.pop() ?? ANY
        for (const term of [...suffix].reverse()) {
          const constant = constantKey(term)
          whole =
            constant === undefined
              ? { kind: 'object', fixed: new Map(), rest: [this.#get(term, env) ?? ANY, whole] }
              : { kind: 'object', fixed: new Map([[constant, whole]]), rest: undefined }
        }
        types.push(whole)
      }
    }
    return { args: rule.head.args ? args.map(union) : undefined, value: union(types) }
  }

  #argType(arg: Term, env: Env): Type {
    if (arg.kind === 'var') return env.get(arg.name) ?? ANY
    const filled = (t: Term): void => {
      if (t.kind === 'var' && !env.get(t.name)) env.set(t.name, ANY)
      mapTerm(
        t,
        (x) => (filled(x), x),
        (b) => b,
      )
    }
    filled(arg)
    return this.#get(arg, env) ?? ANY
  }

  // ---- documents of rules

  /** The type of the virtual document at a node; base documents may add to packages, so those are open. */
  #node(node: RuleNode): Type {
    const known = this.#nodes.get(node)
    if (known) return known
    this.#nodes.set(node, ANY)
    const type = this.#nodeType(node)
    this.#nodes.set(node, type)
    return type
  }

  #nodeType(node: RuleNode): Type {
    const own = node.rules.filter(({ rule }) => !rule.head.args)
    if (own.length > 0 && !isDynamic(node)) return union(own.map((r) => this.rule(r).value))
    const fixed = new Map<string, Type>()
    for (const [key, child] of node.children) {
      if (isFunction(child) && child.children.size === 0) continue
      fixed.set(keyOf(key), this.#node(child))
    }
    if (own.length === 0) return { kind: 'object', fixed, rest: [ANY, ANY] }
    const dynamic = own
      .map((r) => this.rule(r).value)
      .filter((t): t is ObjectType => t.kind === 'object')
    const [k, v] = [dynamic.map((t) => keys(t) ?? ANY), dynamic.map((t) => values(t) ?? ANY)]
    return { kind: 'object', fixed, rest: dynamic.length > 0 ? [union(k), union(v)] : [ANY, ANY] }
  }

  #functionType(operator: RefTerm): FunctionType | undefined {
    const name = operatorName(operator)
    if (name === undefined) return undefined
    if (!name.startsWith('data.')) return this.#typeOf(name)
    let node: RuleNode | undefined = this.#tree
    for (const term of operator.terms.slice(1))
      node = term.kind === 'string' ? node?.children.get(term.value) : undefined
    const rules = (node?.rules ?? []).filter(({ rule }) => rule.head.args)
    if (rules.length === 0) return undefined
    const types = rules.map((r) => this.rule(r))
    const count = types[0]?.args?.length ?? 0
    const args = Array.from({ length: count }, (_, i) =>
      union(types.map(({ args: a }) => a?.[i] ?? ANY)),
    )
    return { args, variadic: false, result: union(types.map(({ value }) => value)) }
  }

  // ---- bodies

  /** False when something in the body was wrong. */
  #body(body: Body, env: Env): boolean {
    let fine = true
    for (const expr of body) if (!this.#expr(expr, env)) fine = false
    return fine
  }

  #error(expr: Pick<Expr, 'loc'>, message: string): false {
    this.#diagnostics.add('rego_type_error', expr.loc, message)
    return false
  }

  #expr(expr: Expr, env: Env): boolean {
    const { node } = expr
    if (node.kind === 'every') {
      const fine = this.#refs(node.domain, env)
      const domain = this.#get(node.domain, env)
      const inner = new Env(env)
      if (node.key) inner.set(node.key.name, (domain && keys(domain)) ?? ANY)
      inner.set(node.value.name, (domain && values(domain)) ?? ANY)
      if (
        domain &&
        !isAny(domain) &&
        values(domain) === undefined &&
        keys(domain) === undefined &&
        !isEmptyCollection(domain)
      ) {
        // Nothing to iterate: as OPA, an equation of a reference into a scalar.
        return this.#body(node.body, inner) && fine
      }
      return this.#body(node.body, inner) && fine
    }
    if (node.kind === 'body') return this.#body(node.body, new Env(env))
    const terms = node.kind === 'term' ? [node.term] : node.kind === 'call' ? node.args : []
    let fine = true
    for (const term of terms) if (!this.#closures(term, env)) fine = false
    for (const term of terms) if (!this.#refs(term, env)) fine = false
    for (const { value } of expr.with) {
      if (value.kind === 'ref' && this.#functionType(value)) continue
      if (!this.#closures(value, env) || !this.#refs(value, env)) fine = false
    }
    if (node.kind !== 'call') return fine
    return this.#call(expr, node.operator, node.args, env, fine)
  }

  #call(
    expr: Expr,
    operator: RefTerm,
    args: readonly Term[],
    env: Env,
    refsFine: boolean,
  ): boolean {
    if (isOperator(operator, 'eq') || isOperator(operator, 'equal')) {
      const [a, b, result] = args
      if (!a || !b) return refsFine
      if (result && !this.#one(result, BOOLEAN, env, false)) return this.#error(expr, 'match error')
      const [x, y] = [this.#get(a, env), this.#get(b, env)]
      if (this.#both(a, x, b, y, env)) return refsFine
      // A type is missing because of an error that was reported already.
      if (!refsFine && (!x || !y)) return false
      return this.#error(
        expr,
        `match error\n  left  : ${x ? typeText(x) : '???'}\n  right : ${y ? typeText(y) : '???'}`,
      )
    }
    const type = this.#functionType(operator)
    if (!type) return refsFine
    const name = operatorName(operator) ?? ''
    const wanted = [...type.args, ...(type.result ? [type.result] : [])]
    let fits = true
    for (const [i, arg] of args.entries()) {
      const want = type.variadic ? type.args[0] : wanted[i]
      if (want && !this.#one(arg, want, env, false)) fits = false
    }
    if (fits) return refsFine
    if (!refsFine && args.some((arg) => this.#get(arg, env) === undefined)) return false
    const have = args.slice(0, type.args.length).map((arg) => {
      const t = this.#get(arg, env)
      return t ? typeText(t) : '???'
    })
    return this.#error(
      expr,
      `${name}: invalid argument(s)\n  have: (${have.join(', ')})\n  want: (${type.args.map(typeText).join(', ')})`,
    )
  }

  /** Bodies of comprehensions inside a term. */
  #closures(term: Term, env: Env): boolean {
    let fine = true
    const go = (t: Term): Term => {
      if (
        t.kind === 'arrayComprehension' ||
        t.kind === 'setComprehension' ||
        t.kind === 'objectComprehension'
      ) {
        const inner = new Env(env)
        if (!this.#body(t.body, inner)) fine = false
        const heads = t.kind === 'objectComprehension' ? [t.key, t.value] : [t.term]
        for (const head of heads)
          if (!this.#closures(head, inner) || !this.#refs(head, inner)) fine = false
        return t
      }
      return mapTerm(t, go, (b) => b)
    }
    go(term)
    return fine
  }

  // ---- references

  #refs(term: Term, env: Env): boolean {
    let fine = true
    const go = (t: Term): Term => {
      if (
        t.kind === 'arrayComprehension' ||
        t.kind === 'setComprehension' ||
        t.kind === 'objectComprehension'
      )
        return t
      if (t.kind === 'ref') {
        for (const x of t.terms.slice(1)) go(x)
        if (!this.#ref(t, env)) fine = false
        return t
      }
      return mapTerm(t, go, (b) => b)
    }
    go(term)
    return fine
  }

  #ref(ref: RefTerm, env: Env): boolean {
    const [head, ...rest] = ref.terms
    if (head.kind === 'var' && head.name === 'data')
      return this.#dataRef(ref, this.#tree, rest, env)
    const known = head.kind === 'var' && head.name === 'input' ? this.#input : this.#get(head, env)
    // Nothing is known of it yet, so anything may be behind it.
    if (!known && head.kind === 'var') env.set(head.name, ANY)
    const type = known ?? ANY
    return this.#leaf(ref, type, rest, env)
  }

  #dataRef(ref: RefTerm, node: RuleNode, terms: readonly Term[], env: Env): boolean {
    if (
      node.rules.some(({ rule }) => !rule.head.args) ||
      (node.rules.length > 0 && node.children.size === 0)
    ) {
      if (isFunction(node))
        return this.#error(
          ref,
          `function data.${node.path.join('.')} used as reference, not called`,
        )
      return this.#leaf(ref, this.#node(node), terms, env)
    }
    const [term, ...rest] = terms
    if (!term) return true
    if (term.kind === 'string') {
      const child = node.children.get(term.value)
      return child ? this.#dataRef(ref, child, rest, env) : this.#leaf(ref, ANY, rest, env)
    }
    if (term.kind === 'var' && !env.get(term.name)) env.set(term.name, STRING)
    return this.#leaf(ref, values(this.#node(node)) ?? ANY, rest, env)
  }

  /** Follows a reference through a type, binding the types of its variables. */
  #leaf(ref: RefTerm, type: Type, terms: readonly Term[], env: Env): boolean {
    const [term, ...rest] = terms
    if (!term) return true
    const wanted = keys(type)
    if (!wanted)
      return this.#error(ref, `undefined ref: ${refText(ref)} (has no keys: ${typeText(type)})`)
    const constant = constantKey(term)
    if (constant !== undefined) {
      const child = select(type, constant)
      if (!child)
        return this.#error(
          ref,
          `undefined ref: ${refText(ref)} (no key ${constant} in ${typeText(type)})`,
        )
      return this.#leaf(ref, child, rest, env)
    }
    if (term.kind === 'var') {
      const exist = env.get(term.name)
      if (!exist) env.set(term.name, wanted)
      else if (!unifies(exist, wanted))
        return this.#error(ref, `undefined ref: ${refText(ref)} (key of type ${typeText(exist)})`)
    } else if (term.kind === 'array' || term.kind === 'object' || term.kind === 'set') {
      if (!this.#one(term, wanted, env, false))
        return this.#error(ref, `undefined ref: ${refText(ref)}`)
    } else {
      const exist = this.#get(term, env)
      if (exist && !unifies(exist, wanted))
        return this.#error(ref, `undefined ref: ${refText(ref)} (key of type ${typeText(exist)})`)
    }
    return this.#leaf(ref, values(type) ?? ANY, rest, env)
  }

  #refType(ref: RefTerm, env: Env): Type | undefined {
    const [head, ...rest] = ref.terms
    let type: Type | undefined
    let terms: readonly Term[] = rest
    if (head.kind === 'var' && head.name === 'data') {
      let node = this.#tree
      let i = 0
      for (; i < rest.length; i++) {
        if (node.rules.some(({ rule }) => !rule.head.args)) break
        const term = rest[i]
        const child = term?.kind === 'string' ? node.children.get(term.value) : undefined
        if (!child) {
          if (term?.kind === 'string') return ANY
          break
        }
        node = child
      }
      type = isFunction(node) && node.children.size === 0 ? ANY : this.#node(node)
      terms = rest.slice(i)
    } else if (head.kind === 'var' && head.name === 'input') type = this.#input
    else type = this.#get(head, env)
    for (const term of terms) {
      if (!type) return undefined
      const constant = constantKey(term)
      type = constant === undefined ? values(type) : select(type, constant)
    }
    return type
  }

  // ---- terms

  #get(term: Term, env: Env): Type | undefined {
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
      case 'var':
        return term.name === 'input' || term.name === 'data' ? ANY : env.get(term.name)
      case 'ref':
        return this.#refType(term, env)
      case 'array': {
        const fixed = all(term.items.map((t) => this.#get(t, env)))
        return fixed && { kind: 'array', fixed, rest: fixed.length === 0 ? ANY : undefined }
      }
      case 'set': {
        const items = all(term.items.map((t) => this.#get(t, env)))
        return items && { kind: 'set', of: items.length > 0 ? union(items) : ANY }
      }
      case 'object':
        return this.#objectType(term.pairs, env)
      case 'arrayComprehension': {
        const of = this.#inside(term.body, term.term, env)
        return { kind: 'array', fixed: [], rest: of }
      }
      case 'setComprehension':
        return { kind: 'set', of: this.#inside(term.body, term.term, env) }
      case 'objectComprehension':
        return {
          kind: 'object',
          fixed: new Map(),
          rest: [this.#inside(term.body, term.key, env), this.#inside(term.body, term.value, env)],
        }
      default:
        return undefined
    }
  }

  #inside(body: Body, term: Term, env: Env): Type {
    const inner = new Env(env)
    const quiet = new TypeChecker(this.#tree, this.#typeOf, SILENT)
    // Rules that are known stay known; what is wrong in the body is reported by its own check.
    for (const [rule, types] of this.#known) quiet.#known.set(rule, types)
    for (const rule of this.#open) quiet.#open.add(rule)
    quiet.#input = this.#input
    quiet.#body(body, inner)
    return quiet.#get(term, inner) ?? ANY
  }

  #objectType(pairs: readonly (readonly [Term, Term])[], env: Env): Type | undefined {
    const fixed = new Map<string, Type>()
    const k: Type[] = []
    const v: Type[] = []
    for (const [key, value] of pairs) {
      const type = this.#get(value, env)
      if (!type) return undefined
      const constant = constantKey(key)
      if (constant !== undefined) fixed.set(constant, type)
      else {
        const own = this.#get(key, env)
        if (!own) return undefined
        k.push(own)
        v.push(type)
      }
    }
    if (pairs.length === 0) return { kind: 'object', fixed, rest: [ANY, ANY] }
    return { kind: 'object', fixed, rest: k.length > 0 ? [union(k), union(v)] : undefined }
  }

  /** Whether a term may be of a type; gives that type to its variables. */
  #one(term: Term, type: Type, env: Env, joins: boolean): boolean {
    if (term.kind === 'var') {
      const exist = env.get(term.name)
      if (term.name === 'input' || term.name === 'data') return true
      if (joins) env.set(term.name, exist ? union([exist, type]) : type)
      else if (exist) return unifies(exist, type)
      else env.set(term.name, type)
      return true
    }
    if (term.kind === 'array' || term.kind === 'object' || term.kind === 'set') {
      if (type.kind === 'any') {
        if (isAny(type)) {
          const inner = term.kind === 'object' ? term.pairs.flat() : term.items
          for (const t of inner) this.#one(t, ANY, env, true)
          return true
        }
        let some = false
        for (const t of type.of) if (this.#one(term, t, env, true)) some = true
        return some
      }
      return this.#composite(term, type, env, joins)
    }
    const own = this.#get(term, env)
    return own !== undefined && unifies(own, type)
  }

  #composite(
    term: Extract<Term, { kind: 'array' | 'object' | 'set' }>,
    type: Type,
    env: Env,
    joins: boolean,
  ): boolean {
    if (term.kind === 'array') {
      if (type.kind !== 'array') return false
      if (term.items.length !== type.fixed.length && !type.rest) return false
      if (term.items.length < type.fixed.length) return false
      return term.items
        .map((t, i) => this.#one(t, type.fixed[i] ?? type.rest ?? ANY, env, joins))
        .every(Boolean)
    }
    if (term.kind === 'set') {
      if (type.kind !== 'set') return false
      return term.items.map((t) => this.#one(t, type.of, env, true)).every(Boolean)
    }
    if (type.kind !== 'object') return false
    if (term.pairs.length !== type.fixed.size && !type.rest) return false
    let fine = true
    for (const [k, v] of term.pairs) {
      const constant = constantKey(k)
      const child = constant === undefined ? undefined : select(type, constant)
      if (constant !== undefined) {
        if (!child || !this.#one(v, child, env, joins)) fine = false
      } else {
        const [kt, vt] = [keys(type), values(type)]
        if (!kt || !vt || !this.#one(k, kt, env, joins) || !this.#one(v, vt, env, joins))
          fine = false
      }
    }
    return fine
  }

  #both(a: Term, x: Type | undefined, b: Term, y: Type | undefined, env: Env): boolean {
    if (!x && y) return this.#one(a, y, env, false)
    if (!y && x) return this.#one(b, x, env, false)
    if (x && y) return unifies(x, y)
    if (a.kind === 'array' && b.kind === 'array') {
      return (
        a.items.length === b.items.length &&
        a.items.every((t, i) => this.#pair(t, b.items[i] as Term, env))
      )
    }
    if (a.kind === 'object' && b.kind === 'object') {
      if (a.pairs.length !== b.pairs.length) return false
      return a.pairs.every(([k, v]) => {
        const other = b.pairs.find(([key]) => constantKey(key) === constantKey(k))
        return other === undefined ? constantKey(k) === undefined : this.#pair(v, other[1], env)
      })
    }
    if (a.kind === 'var' || b.kind === 'var') {
      for (const t of [a, b]) if (t.kind === 'var' && !env.get(t.name)) env.set(t.name, ANY)
      return true
    }
    return !(a.kind === 'array' || a.kind === 'object') || a.kind === b.kind
  }
  #pair(a: Term, b: Term, env: Env): boolean {
    return this.#both(a, this.#get(a, env), b, this.#get(b, env), env)
  }
}

const SILENT = { add: () => undefined, any: false, list: [] } as unknown as Diagnostics

function isEmptyCollection(type: Type): boolean {
  return type.kind === 'array' || type.kind === 'object' || type.kind === 'set'
}

function all(types: readonly (Type | undefined)[]): Type[] | undefined {
  const found: Type[] = []
  for (const type of types) {
    if (!type) return undefined
    found.push(type)
  }
  return found
}

/** The text of a constant key, as object types have it. */
function constantKey(term: Term): string | undefined {
  switch (term.kind) {
    case 'string':
      return keyOf(term.value)
    case 'number':
      return keyOf(term.text, true)
    case 'boolean':
      return keyOf(term.value)
    case 'null':
      return 'null'
    default:
      return undefined
  }
}

function refText(ref: RefTerm): string {
  return ref.terms
    .map((t) => (t.kind === 'var' ? t.name : t.kind === 'string' ? t.value : '[…]'))
    .join('.')
}
