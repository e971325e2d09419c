// Every variable must get its values from somewhere. Expressions are put in an order in which they do; those that find no
// place name variables that are unsafe. The order is OPA's, so that what it accepts is accepted.
import type { Body, Expr, Loc, RefTerm, Rule, Term } from '../ast/ast.ts'
import { sameTerm } from '../ast/distinct.ts'
import { mapTerm, walkExpr, walkTerm } from '../ast/walk.ts'
import type { Diagnostics } from '../diagnostics.ts'
import { isOperator, operatorName } from '../ast/operators.ts'
import { isBuiltin } from '../builtins/builtins.ts'

/** The number of operands of a function, or undefined for an unknown one. */
export type Arity = (operator: RefTerm) => number | undefined
type Vars = Set<string>

const ROOTS = ['data', 'input']

interface Unsafe {
  readonly name: string
  /** Of the expression. */
  readonly loc: Loc
  /** Of the variable itself. */
  readonly own?: Loc | undefined
}

export class SafetyChecker {
  readonly #arity: Arity
  readonly #diagnostics: Diagnostics
  readonly #original: ReadonlyMap<string, string>

  constructor(arity: Arity, diagnostics: Diagnostics, original: ReadonlyMap<string, string>) {
    this.#arity = arity
    this.#diagnostics = diagnostics
    this.#original = original
  }

  /** Variables of the head must stand in the body. */
  head(rule: Rule): void {
    const { head } = rule
    const safe = new Set<string>()
    for (const expr of rule.body) addAll(safe, varsOf(expr))
    for (const arg of head.args ?? []) addAll(safe, termVars(arg))
    for (const term of [...head.ref.slice(1), head.key, head.value]) {
      if (!term) continue
      for (const name of termVars(term)) {
        if (!safe.has(name) && !ROOTS.includes(name)) this.#report({ name, loc: rule.loc })
      }
    }
    if (rule.else) this.head(rule.else)
  }

  /** The rule with its bodies in a safe order. */
  rule(rule: Rule): Rule {
    const globals = new Set(ROOTS)
    for (const arg of rule.head.args ?? []) addAll(globals, termVars(arg))
    const body = this.body(rule.body, globals)
    return { ...rule, body, else: rule.else && this.rule(rule.else) }
  }

  /** What a body binds, its expressions in the order in which they stand. */
  bound(body: Body, globals: ReadonlySet<string>): Vars {
    const safe = new Set(globals)
    for (const expr of body) addAll(safe, this.#outputs(expr, safe))
    return safe
  }

  body(body: Body, globals: ReadonlySet<string>): Body {
    const unsafe: Unsafe[] = []
    const ordered = this.#order(body, globals, unsafe)
    const first = new Map<string, Unsafe>()
    for (const one of unsafe) {
      const known = first.get(one.name)
      if (!known || before(one.loc, known.loc)) first.set(one.name, one)
    }
    const found = [...first.values()].sort((a, b) => (before(a.loc, b.loc) ? -1 : 1))
    const named = found.filter(({ name }) => !this.#isMade(name))
    for (const one of named) this.#report(one)
    // Names that nobody wrote mean nothing to the reader, so then the expressions are named: one for each such name.
    const seen = new Set<string>()
    const exprs = unsafe.toSorted((a, b) => (before(a.loc, b.loc) ? -1 : 1))
    for (const { name, loc } of named.length > 0 ? [] : exprs) {
      if (!seen.has(name)) this.#report({ name, loc })
      for (const other of exprs) if (other.loc === loc) seen.add(other.name)
    }
    return ordered
  }

  #isMade(name: string): boolean {
    return (this.#original.get(name) ?? name).startsWith('%')
  }

  #report({ name, loc, own = loc }: Unsafe): void {
    const shown = this.#original.get(name) ?? name
    const what = shown.startsWith('$')
      ? 'var _ is unsafe'
      : shown.startsWith('%')
        ? 'expression is unsafe'
        : `var ${shown} is unsafe`
    this.#diagnostics.add('rego_unsafe_var_error', own, what)
  }

  #order(body: Body, globals: ReadonlySet<string>, unsafe: Unsafe[]): Body {
    const bodyVars = new Set<string>()
    const vars = body.map(varsOf)
    for (const own of vars) addAll(bodyVars, own)
    const safe = new Set<string>()
    const needs = vars.map((own) => new Set([...own].filter((name) => !globals.has(name))))
    // What a closure shares with its body must be known before its expression runs.
    const closed = body.map((expr) =>
      [...closureVars(expr)].filter((name) => bodyVars.has(name) && !globals.has(name)),
    )
    for (const name of globals) safe.add(name)
    const ordered: (readonly [number, Expr])[] = []
    const done = new Set<number>()
    for (let progress = true; progress; ) {
      progress = false
      for (const [i, expr] of body.entries()) {
        if (done.has(i)) continue
        const outputs = this.#outputs(expr, safe)
        const need = needs[i] ?? new Set()
        const waits = (closed[i] ?? []).filter((name) => !safe.has(name))
        for (const name of waits) need.add(name)
        for (const name of need)
          if (safe.has(name) || (outputs.has(name) && !waits.includes(name))) need.delete(name)
        if (need.size > 0) continue
        addAll(safe, outputs)
        done.add(i)
        ordered.push([i, expr])
        progress = true
      }
    }
    for (const [i, expr] of body.entries()) {
      for (const name of done.has(i) ? [] : (needs[i] ?? [])) {
        unsafe.push({ name, loc: expr.loc, own: placeIn(expr, name) })
      }
    }
    const around = new Set(globals)
    const result = ordered.map(([i, expr]) => {
      const inner = this.#closures(expr, around, unsafe)
      addAll(around, vars[i] ?? [])
      return inner
    })
    // Keep what found no place: later stages see the whole body.
    for (const [i, expr] of body.entries()) if (!done.has(i)) result.push(expr)
    return result
  }

  #closures(expr: Expr, around: ReadonlySet<string>, unsafe: Unsafe[]): Expr {
    if (!hasClosures(expr)) return expr
    const own = varsOf(expr)
    const globals = new Set([...around, ...own])
    const f = (term: Term): Term => {
      switch (term.kind) {
        case 'arrayComprehension':
        case 'setComprehension': {
          const body = this.#closure(term.body, [term.term], globals, unsafe)
          return { ...term, body, term: f(term.term) }
        }
        case 'objectComprehension': {
          const body = this.#closure(term.body, [term.key, term.value], globals, unsafe)
          return { ...term, body, key: f(term.key), value: f(term.value) }
        }
        default:
          return mapTerm(term, f, (b) => b)
      }
    }
    const { node } = expr
    const mods = expr.with.map((w) => ({ ...w, value: f(w.value) }))
    if (node.kind === 'term') return { ...expr, with: mods, node: { ...node, term: f(node.term) } }
    if (node.kind === 'call')
      return { ...expr, with: mods, node: { ...node, args: node.args.map(f) } }
    if (node.kind === 'every') {
      const inner = new Set([...globals, node.value.name, ...(node.key ? [node.key.name] : [])])
      return { ...expr, with: mods, node: { ...node, body: this.#order(node.body, inner, unsafe) } }
    }
    if (node.kind === 'body') {
      return {
        ...expr,
        with: mods,
        node: { ...node, body: this.#order(node.body, globals, unsafe) },
      }
    }
    return expr
  }

  #closure(
    body: Body,
    heads: readonly Term[],
    globals: ReadonlySet<string>,
    unsafe: Unsafe[],
  ): Body {
    const safe = new Set(globals)
    for (const expr of body) addAll(safe, varsOf(expr))
    for (const head of heads) {
      for (const name of termVars(head)) if (!safe.has(name)) unsafe.push({ name, loc: head.loc })
    }
    return this.#order(body, globals, unsafe)
  }

  #outputs(expr: Expr, safe: ReadonlySet<string>): Vars {
    const none: Vars = new Set()
    if (expr.negated) return none
    for (const w of expr.with) {
      for (const name of withVars(w)) if (!safe.has(name)) return none
    }
    const { node } = expr
    if (node.kind === 'term') return refOutputs([node.term], safe)
    if (node.kind === 'every') return refOutputs([node.domain], safe)
    if (node.kind === 'someIn') {
      const { domain, value, loc } = { ...node, loc: expr.loc }
      const key: Term = node.key ?? { kind: 'var', name: '$', loc }
      const terms: RefTerm['terms'] = domain.kind === 'ref' ? [...domain.terms, key] : [domain, key]
      return this.#equality([value, { kind: 'ref', terms, loc }], safe)
    }
    if (node.kind !== 'call') return none
    if (isOperator(node.operator, 'eq')) return this.#equality(node.args, safe)
    const arity = this.#arity(node.operator)
    if (arity === undefined) return none
    const output = refOutputs(node.args, safe)
    if (node.args.length <= arity) return output
    for (const arg of node.args.slice(0, arity)) {
      for (const name of bindable(arg)) if (!output.has(name) && !safe.has(name)) return none
    }
    for (const arg of node.args.slice(arity)) addAll(output, bindable(arg))
    return output
  }

  #equality(args: readonly Term[], safe: ReadonlySet<string>): Vars {
    const [a, b] = args
    if (!a || !b || args.length !== 2) return new Set(safe)
    const output = refOutputs(args, safe)
    const known = new Set([...safe, ...output])
    return new Set([...output, ...unify(known, a, b)])
  }
}

function before(a: Loc, b: Loc): boolean {
  return a.row - b.row < 0 || (a.row === b.row && a.col < b.col)
}

function addAll(to: Vars, from: Iterable<string>): void {
  for (const name of from) to.add(name)
}

interface VarOptions {
  readonly refHeads: boolean
  readonly objectKeys: boolean
  readonly sets: boolean
}

function collect(term: Term, options: VarOptions, out: Vars): void {
  const go = (t: Term) => collect(t, options, out)
  switch (term.kind) {
    case 'var':
      out.add(term.name)
      return
    case 'ref': {
      const [head, ...rest] = term.terms
      if (options.refHeads || head.kind !== 'var') go(head)
      return rest.forEach(go)
    }
    case 'array':
      return term.items.forEach(go)
    case 'set':
      if (options.sets) term.items.forEach(go)
      return
    case 'object':
      for (const [k, v] of term.pairs) {
        if (options.objectKeys) go(k)
        go(v)
      }
      return
    case 'call':
      return term.args.forEach(go)
    default:
  }
}

/** Variables of a term outside its closures. */
export function termVars(term: Term): Vars {
  const out: Vars = new Set()
  collect(term, { refHeads: true, objectKeys: true, sets: true }, out)
  return out
}
/** Variables that a term in an output position binds. */
function bindable(term: Term): Vars {
  const out: Vars = new Set()
  collect(term, { refHeads: false, objectKeys: false, sets: false }, out)
  return out
}
function patternVars(term: Term): Vars {
  const out: Vars = new Set()
  collect(term, { refHeads: false, objectKeys: false, sets: true }, out)
  return out
}

export function varsOf(expr: Expr): Vars {
  const out: Vars = new Set()
  const options = { refHeads: true, objectKeys: true, sets: true }
  const { node } = expr
  if (node.kind === 'term') collect(node.term, options, out)
  else if (node.kind === 'call') {
    for (const arg of node.args) collect(arg, options, out)
    // A local variable is no function; naming it as one must not hide that it is unsafe.
    const [head, ...rest] = node.operator.terms
    if (head.kind !== 'var') collect(head, options, out)
    for (const term of rest) collect(term, options, out)
  } else if (node.kind === 'every') collect(node.domain, options, out)
  for (const w of expr.with) addAll(out, withVars(w))
  return out
}

/** Variables of a \`with\`; names of functions, on either side, are none. */
function withVars({ target, value }: Expr['with'][number]): Vars {
  const out: Vars = new Set()
  const options = { refHeads: true, objectKeys: true, sets: true }
  if (target.kind === 'ref') for (const term of target.terms.slice(1)) collect(term, options, out)
  if (!isFunctionName(value)) collect(value, options, out)
  return out
}
function isFunctionName(term: Term): boolean {
  if (term.kind === 'var') return isBuiltin(term.name)
  return term.kind === 'ref' && isBuiltin(operatorName(term) ?? '')
}

/** Whether an expression has bodies of its own or comprehensions. */
export function hasClosures(expr: Expr): boolean {
  const { node } = expr
  if (node.kind === 'every' || node.kind === 'body') return true
  if (node.kind === 'term' && hasComprehension(node.term)) return true
  if (node.kind === 'call' && node.args.some(hasComprehension)) return true
  return expr.with.some(({ value }) => hasComprehension(value))
}

// One of the checks that see every term, so without a visitor.
function hasComprehension(term: Term): boolean {
  switch (term.kind) {
    case 'ref':
      return term.terms.some(hasComprehension)
    case 'array':
    case 'set':
      return term.items.some(hasComprehension)
    case 'object':
      return term.pairs.some(([k, v]) => hasComprehension(k) || hasComprehension(v))
    case 'call':
      return term.args.some(hasComprehension)
    case 'template':
      return true
    default:
      return term.kind.endsWith('Comprehension')
  }
}

/** Variables inside the closures of an expression. */
function closureVars(expr: Expr): Vars {
  const out: Vars = new Set()
  const body = (b: Body) => {
    for (const e of b) {
      addAll(out, varsOf(e))
      addAll(out, closureVars(e))
    }
  }
  const term = (t: Term) =>
    walkTerm(t, (x) => {
      if (x.kind === 'arrayComprehension' || x.kind === 'setComprehension') {
        addAll(out, termVars(x.term))
        term(x.term)
        body(x.body)
        return false
      }
      if (x.kind === 'objectComprehension') {
        addAll(out, termVars(x.key))
        addAll(out, termVars(x.value))
        term(x.key)
        term(x.value)
        body(x.body)
        return false
      }
      return true
    })
  const { node } = expr
  if (node.kind === 'term') term(node.term)
  else if (node.kind === 'call') node.args.forEach(term)
  else if (node.kind === 'every') {
    term(node.domain)
    body(node.body)
    out.delete(node.value.name)
    if (node.key) out.delete(node.key.name)
  } else if (node.kind === 'body') body(node.body)
  for (const w of expr.with) term(w.value)
  return out
}

/** Variables that references in the terms bind: those behind a head that is known. */
function refOutputs(terms: readonly Term[], safe: ReadonlySet<string>): Vars {
  const out: Vars = new Set()
  const go = (term: Term): void => {
    switch (term.kind) {
      case 'ref': {
        const [head, ...rest] = term.terms
        const known =
          head.kind === 'var'
            ? safe.has(head.name)
            : [...termVars(head)].every((name) => safe.has(name))
        if (!known) return
        if (head.kind !== 'var') go(head)
        for (const t of rest) {
          if (t.kind === 'var') out.add(t.name)
          else {
            addAll(out, patternVars(t))
            go(t)
          }
        }
        return
      }
      case 'array':
      case 'set':
        return term.items.forEach(go)
      case 'object':
        for (const [k, v] of term.pairs) {
          go(k)
          go(v)
        }
        return
      case 'call':
        return term.args.forEach(go)
      default:
    }
  }
  terms.forEach(go)
  return out
}

/** The parts of two composites that are made equal with them. */
function pairsOf(x: Term, y: Term): readonly (readonly [Term, Term])[] {
  if (x.kind === 'array' && y.kind === 'array') {
    if (x.items.length !== y.items.length) return []
    return x.items.map((item, i) => [item, y.items[i] as Term] as const)
  }
  if (x.kind !== 'object' || y.kind !== 'object') return []
  return x.pairs.flatMap(([k, v]) => {
    const other = y.pairs.find(([key]) => sameTerm(key, k))
    return other ? [[v, other[1]] as const] : []
  })
}

/** Variables that become known when two terms are made equal. */
function unify(safe: ReadonlySet<string>, a: Term, b: Term): Vars {
  const found: Vars = new Set()
  const waits: { name: string; on: Vars }[] = []
  const isSafe = (name: string) => safe.has(name) || found.has(name)
  const mark = (name: string) => {
    if (isSafe(name)) return
    found.add(name)
    for (const wait of waits) {
      wait.on.delete(name)
      if (wait.on.size === 0) mark(wait.name)
    }
  }
  const markAll = (term: Term) => patternVars(term).forEach(mark)
  const headSafe = (ref: RefTerm) => {
    const [head] = ref.terms
    return head.kind === 'var' ? isSafe(head.name) : [...termVars(head)].every(isSafe)
  }
  const varWith = (name: string, composite: Term) => {
    if (isSafe(name)) return markAll(composite)
    const unknown = new Set([...patternVars(composite)].filter((v) => !isSafe(v)))
    if (unknown.size === 0) return mark(name)
    waits.push({ name, on: unknown })
    for (const other of unknown) waits.push({ name: other, on: new Set([name]) })
  }
  const isComposite = (t: Term) => t.kind === 'array' || t.kind === 'object'
  const go = (x: Term, y: Term): void => {
    if (x.kind === 'var') {
      if (y.kind === 'var') {
        if (isSafe(y.name)) mark(x.name)
        else if (isSafe(x.name)) mark(y.name)
        else
          waits.push(
            { name: x.name, on: new Set([y.name]) },
            { name: y.name, on: new Set([x.name]) },
          )
      } else if (isComposite(y)) varWith(x.name, y)
      else if (y.kind === 'ref') {
        if (headSafe(y)) mark(x.name)
      } else mark(x.name)
      return
    }
    if (y.kind === 'var') return go(y, x)
    if (x.kind === 'ref' || x.kind === 'arrayComprehension' || x.kind === 'objectComprehension') {
      if (isComposite(y) && (x.kind !== 'ref' || headSafe(x))) markAll(y)
      return
    }
    if (y.kind === 'ref' || y.kind === 'arrayComprehension' || y.kind === 'objectComprehension')
      return go(y, x)
    for (const [one, other] of pairsOf(x, y)) go(one, other)
  }
  go(a, b)
  return found
}

/** Where a variable stands in an expression, if in its first line, by which such findings are known. */
function placeIn(expr: Expr, name: string): Loc | undefined {
  let place: Loc | undefined
  walkExpr(expr, (term) => {
    if (term.kind === 'var' && term.name === name) place ??= term.loc
    return place === undefined
  })
  return place?.row === expr.loc.row && place.length > 0 ? place : undefined
}
