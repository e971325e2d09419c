// Brings expressions into the form that safety and planning work on: calls stand alone, with plain terms as operands and
// their result in a variable; `some ... in` is a reference that is iterated; template strings are calls.
import type {
  Body,
  Expr,
  ExprNode,
  RefTerm,
  Rule,
  SetComprehension,
  Term,
  VarTerm,
} from '../ast/ast.ts'
import { operatorRef } from '../parser/terms.ts'
import type { NameSource } from './scope.ts'

export class Expander {
  readonly #names: NameSource

  constructor(names: NameSource) {
    this.#names = names
  }

  rule(rule: Rule): Rule {
    const extra: Expr[] = []
    const { head } = rule
    // Calls and references of the head are computed at the end of the body.
    const lift = (term: Term): Term => {
      const made = this.#term(term, extra)
      return needsBody(made) ? this.#bind(made, extra) : made
    }
    const [name, ...rest] = head.ref
    const ref: Rule['head']['ref'] = [name, ...rest.map(lift)]
    const key = head.key && lift(head.key)
    const value = head.value && lift(head.value)
    // A pattern that has to be computed is compared in the body.
    const before: Expr[] = []
    const args = head.args?.map((arg) => {
      if (arg.kind !== 'template') return arg
      const variable = this.#variable(arg)
      this.#expr(
        generated(arg, {
          kind: 'call',
          operator: operatorRef('eq', arg.loc),
          args: [variable, arg],
          infix: true,
        }),
        before,
      )
      return variable
    })
    // OPA drops a body that is just the term `true` when the head adds to it, and looks at neither `not` nor `with`:
    // `p := count(x) if not true` is defined there. Evaluated policies must agree, so it is here too.
    const [only] = rule.body
    const trivial =
      rule.body.length === 1 &&
      only?.node.kind === 'term' &&
      only.node.term.kind === 'boolean' &&
      only.node.term.value
    const own = trivial && extra.length > 0 ? [] : this.body(rule.body)
    const body = [...before, ...own, ...extra]
    return {
      ...rule,
      head: { ...head, ref, args, key, value },
      body,
      else: rule.else && this.rule(rule.else),
    }
  }

  body(body: Body): Body {
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

  #bind(term: Term, out: Expr[]): VarTerm {
    const variable = this.#variable(term)
    out.push(
      generated(term, {
        kind: 'call',
        operator: operatorRef('eq', term.loc),
        args: [variable, term],
        infix: true,
      }),
    )
    return variable
  }

  #expr(expr: Expr, out: Expr[]): void {
    const support: Expr[] = []
    // What feeds a `with` is computed outside of it.
    const mods = expr.with.map((w) => ({ ...w, value: this.#term(w.value, out) }))
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
        const key = node.key ? this.#term(node.key, support) : this.#wildcard(node.domain)
        const value = this.#term(node.value, support)
        let domain = this.#term(node.domain, support)
        if (domain.kind !== 'ref' && domain.kind !== 'var' && domain.kind !== 'set')
          domain = this.#bind(domain, support)
        const terms: RefTerm['terms'] =
          domain.kind === 'ref' ? [...domain.terms, key] : [domain, key]
        const ref: RefTerm = { kind: 'ref', terms, loc: node.domain.loc }
        return {
          kind: 'call',
          operator: operatorRef('eq', expr.loc),
          args: [value, ref],
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
        const result = this.#variable(term)
        out.push(
          generated(term, { kind: 'call', operator: term.operator, args: [...args, result] }),
        )
        return result
      }
      case 'ref': {
        const [head, ...rest] = term.terms
        let first = go(head)
        // Only variables and composites may be iterated in place.
        if (first.kind !== 'var' && first !== head) first = this.#bind(first, out)
        return { ...term, terms: [first, ...rest.map(go)] }
      }
      case 'array':
      case 'set':
        return { ...term, items: term.items.map(go) }
      case 'object':
        return { ...term, pairs: term.pairs.map(([k, v]) => [go(k), go(v)] as const) }
      case 'arrayComprehension':
      case 'setComprehension': {
        const extra: Expr[] = []
        const body = this.body(term.body)
        const value = this.#term(term.term, extra)
        return { ...term, term: value, body: [...body, ...extra] }
      }
      case 'objectComprehension': {
        const extra: Expr[] = []
        const body = this.body(term.body)
        const key = this.#term(term.key, extra)
        const value = this.#term(term.value, extra)
        return { ...term, key, value, body: [...body, ...extra] }
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

function generated(like: Term, node: ExprNode): Expr {
  return { kind: 'expr', node, negated: false, with: [], loc: like.loc, generated: true }
}

/** Whether a head term has to be computed: it reads a document or is a comprehension. */
function needsBody(term: Term): boolean {
  switch (term.kind) {
    case 'ref':
    case 'arrayComprehension':
    case 'setComprehension':
    case 'objectComprehension':
      return true
    case 'array':
    case 'set':
      return term.items.some(needsBody)
    case 'object':
      return term.pairs.some(([k, v]) => needsBody(k) || needsBody(v))
    default:
      return false
  }
}
