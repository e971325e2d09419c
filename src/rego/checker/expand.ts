// Brings expressions into the form that safety and planning work on, in OPA's steps: calls stand alone, with plain terms as
// operands and their result in a variable; what a head or a comprehension gives is computed at the end of its body, and
// what feeds a `with` before its expression; `some ... in` is a reference that is iterated; template strings are calls.
import type {
  Body,
  Expr,
  ExprNode,
  Head,
  RefTerm,
  Rule,
  SetComprehension,
  Term,
  VarTerm,
  With,
} from '../ast/ast.ts'
import { mapTerm, walkTerm } from '../ast/walk.ts'
import { operatorRef } from '../ast/operators.ts'
import type { NameSource } from './scope.ts'

/** Whether the value of a `with` stands for a function, and so is not evaluated. */
export type StandsForFunction = (mod: With) => boolean

export class Expander {
  readonly #names: NameSource
  readonly #isFunction: StandsForFunction
  /** Expressions with `with` so far. */
  #withs = 0

  constructor(names: NameSource, isFunction: StandsForFunction) {
    this.#names = names
    this.#isFunction = isFunction
  }

  rule(rule: Rule): Rule {
    const { head } = rule
    this.#withs = 0
    const [name, ...rest] = head.ref
    let body: Expr[] = [...rule.body]
    const path = rest.map((term) => {
      if (term.kind === 'var' || isScalar(term)) return term
      const [variable, equation] = this.#equate(term)
      body = appended(body, [equation])
      return variable
    })
    const expand = (term: Term): Term => {
      const support: Expr[] = []
      const made = this.#term(term, support)
      body = appended(body, support)
      return made
    }
    const expanded = mapHead({ ...head, ref: [name, ...path] }, expand)
    body = this.body(body)
    const bound = mapHead(expanded, (term) => {
      if (!requiresEval(term)) return term
      const [variable, equation] = this.#equate(term)
      body = appended(body, [equation])
      return variable
    })
    return {
      ...rule,
      head: bound,
      body: this.#withs > 0 ? this.#withValues(body) : body,
      else: rule.else && this.rule(rule.else),
    }
  }

  /** The body of a query. */
  query(body: Body): Body {
    this.#withs = 0
    return this.#withValues(this.body(body))
  }

  /** Values of `with` that have to be computed are, before the expression: what was taken out of that has them too. */
  #withValues(body: Body): Body {
    const out: Expr[] = []
    const known = new Map<Expr['with'], Expr['with']>()
    const inner = (term: Term): Term => mapTerm(term, inner, (b) => this.#withValues(b))
    for (const expr of body) {
      const made = mapClosures(expr, inner, (b) => this.#withValues(b))
      const mods = known.get(expr.with) ?? expr.with.map((mod) => this.#withValue(mod, out))
      known.set(expr.with, mods)
      out.push(expr.with.length === 0 ? made : { ...made, with: mods })
    }
    return out
  }

  #withValue(mod: With, out: Expr[]): With {
    if (!requiresEval(mod.value) || this.#isFunction(mod)) return mod
    return { ...mod, value: this.#bind(mod.value, out) }
  }

  body(body: Body): Expr[] {
    const found: Expr[] = []
    for (const expr of body) this.#expr(expr, found)
    return found
  }

  #variable(like: Term): VarTerm {
    return { kind: 'var', name: this.#names.fresh(), loc: like.loc }
  }

  /** A variable that nobody asks for, so its values need not be made. */
  #wildcard(like: Term): VarTerm {
    return { kind: 'var', name: `$${this.#names.fresh()}`, loc: like.loc }
  }

  /** A variable for a term, and the equation that gives it its value. */
  #equate(term: Term): [VarTerm, Expr] {
    const { loc } = term
    const variable: VarTerm = { kind: 'var', name: this.#names.standIn(term), loc }
    const operator = operatorRef('eq', loc)
    return [
      variable,
      generated(term, { kind: 'call', operator, args: [variable, term], infix: true }),
    ]
  }

  #bind(term: Term, out: Expr[]): VarTerm {
    const [variable, equation] = this.#equate(term)
    out.push(equation)
    return variable
  }

  #expr(expr: Expr, out: Expr[]): void {
    const support: Expr[] = []
    // What feeds a `with` is computed outside of it.
    const mods = expr.with.map((w) => ({ ...w, value: this.#term(w.value, out) }))
    if (mods.length > 0) this.#withs++
    const node = this.#node(expr, support)
    for (const extra of support) out.push(mods.length > 0 ? { ...extra, with: mods } : extra)
    out.push({ ...expr, node, with: mods })
  }

  // oxlint-disable-next-line typescript/consistent-return -- the switch is exhaustive
  #node(expr: Expr, support: Expr[]): ExprNode {
    const { node } = expr
    switch (node.kind) {
      case 'term':
        return { ...node, term: this.#term(node.term, support) }
      case 'call':
        return { ...node, args: node.args.map((arg) => this.#term(arg, support)) }
      case 'some':
        return node
      case 'someIn': {
        const { domain, value } = node
        const key = node.key ?? this.#wildcard(domain)
        const terms: RefTerm['terms'] =
          domain.kind === 'ref' ? [...domain.terms, key] : [domain, key]
        const args: Term[] = [value, { kind: 'ref', terms, loc: domain.loc }]
        return {
          kind: 'call',
          operator: operatorRef('eq', expr.loc),
          args: args.map((arg) => this.#term(arg, support)),
          infix: true,
        }
      }
      case 'every': {
        const domain = this.#bind(this.#term(node.domain, support), support)
        return { ...node, domain, body: this.body(node.body) }
      }
      case 'body':
        return { ...node, body: this.body(node.body) }
    }
  }

  #term(term: Term, out: Expr[]): Term {
    const go = (t: Term) => this.#term(t, out)
    switch (term.kind) {
      case 'call': {
        const args = term.args.map(go)
        const result: VarTerm = {
          kind: 'var',
          name: this.#names.standIn(term),
          loc: term.loc,
        }
        out.push(
          generated(term, { kind: 'call', operator: term.operator, args: [...args, result] }),
        )
        return result
      }
      case 'ref': {
        const [head, ...rest] = term.terms
        let first = go(head)
        const steps = rest.map(go)
        // What is written before a bracket is a value of its own.
        if (first.kind !== 'var' && first.kind !== 'ref' && !isScalar(first))
          first = this.#bind(first, out)
        return { ...term, terms: [first, ...steps] }
      }
      case 'array':
      case 'set':
        return { ...term, items: term.items.map(go) }
      case 'object':
        return { ...term, pairs: term.pairs.map(([k, v]) => [go(k), go(v)] as const) }
      case 'arrayComprehension':
      case 'setComprehension': {
        const support: Expr[] = []
        const value = this.#term(term.term, support)
        const body = this.body(appended(term.body, support))
        return { ...term, ...this.#given(body, { term: value }) }
      }
      case 'objectComprehension': {
        const before: Expr[] = []
        const key = this.#term(term.key, before)
        const behind: Expr[] = []
        const value = this.#term(term.value, behind)
        const body = this.body(appended(appended(term.body, before), behind))
        return { ...term, ...this.#given(body, { key, value }) }
      }
      case 'template': {
        const parts = term.parts.map((part) => (part.kind === 'expr' ? go(this.#part(part)) : part))
        const result = this.#variable(term)
        const args: Term[] = [{ kind: 'array', items: parts, loc: term.loc }, result]
        const operator = operatorRef('internal.template_string', term.loc)
        out.push(generated(term, { kind: 'call', operator, args }))
        return result
      }
      default:
        return term
    }
  }

  /** What a comprehension gives, computed at the end of its body where it has to be. */
  #given<Parts extends Readonly<Record<string, Term>>>(
    start: Body,
    parts: Parts,
  ): Parts & { body: Body } {
    let body = start
    const found = Object.entries(parts).map(([name, term]) => {
      if (!requiresEval(term)) return [name, term] as const
      const [variable, equation] = this.#equate(term)
      body = appended(body, [equation])
      return [name, variable] as const
    })
    return { ...(Object.fromEntries(found) as Parts), body }
  }

  /** A template's expression as the set of its values, so that undefined is a value too. */
  #part(part: Expr): SetComprehension {
    const value = this.#variable({ kind: 'null', loc: part.loc })
    const { node, loc } = part
    const term: Term =
      node.kind === 'term'
        ? node.term
        : node.kind === 'call'
          ? { kind: 'call', operator: node.operator, args: node.args, loc }
          : { kind: 'null', loc }
    const expr: Expr = {
      ...part,
      node: { kind: 'call', operator: operatorRef('eq', loc), args: [value, term], infix: true },
    }
    return { kind: 'setComprehension', term: value, body: [expr], loc }
  }
}

/** An expression with what is inside its terms and its own bodies mapped. */
function mapClosures(expr: Expr, f: (term: Term) => Term, body: (body: Body) => Body): Expr {
  const { node } = expr
  switch (node.kind) {
    case 'term':
      return { ...expr, node: { ...node, term: f(node.term) } }
    case 'call':
      return { ...expr, node: { ...node, args: node.args.map(f) } }
    case 'every':
    case 'body':
      return { ...expr, node: { ...node, body: body(node.body) } }
    default:
      return expr
  }
}

/** The terms of a head, in the order in which OPA takes them out. */
function mapHead(head: Head, f: (term: Term) => Term): Head {
  const [name, ...rest] = head.ref
  const args = head.args?.map(f)
  const key = head.key && f(head.key)
  const value = head.value && f(head.value)
  return { ...head, ref: [name, ...rest], args, key, value }
}

/**
 * A body and what follows it. One that is just the term `true` is dropped, whatever `not` or `with` it has: so
 * `p := count(x) if not true` is defined in OPA, and decisions must agree.
 */
function appended(body: Body, more: readonly Expr[]): Expr[] {
  if (more.length === 0) return [...body]
  const [only] = body
  const isTrue =
    body.length === 1 &&
    only?.node.kind === 'term' &&
    only.node.term.kind === 'boolean' &&
    only.node.term.value
  return isTrue ? [...more] : [...body, ...more]
}

function generated(like: Term, node: ExprNode): Expr {
  return { kind: 'expr', node, negated: false, with: [], loc: like.loc, generated: true }
}

function isScalar({ kind }: Term): boolean {
  return kind === 'null' || kind === 'boolean' || kind === 'number' || kind === 'string'
}

/** Whether a term reads a document or is or has a comprehension. */
export function requiresEval(term: Term): boolean {
  let found = false
  walkTerm(term, (t) => {
    if (t.kind === 'ref' || t.kind.endsWith('Comprehension')) found = true
    return !found
  })
  return found
}
