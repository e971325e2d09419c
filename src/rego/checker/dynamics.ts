// Takes dynamic terms out of expressions: a reference or comprehension inside an operand or a literal gets an expression of
// its own before the one it stands in, as in OPA. So `not [input.x]` is undefined when `input.x` is: what a negated
// expression is made of is read before the negation. The sides of an equation and a term that is a whole expression stay.
import type { Body, Expr, ExprNode, Rule, Term } from '../ast/ast.ts'
import { isOperator, operatorRef } from '../ast/operators.ts'
import { compareTerms } from '../ast/term-order.ts'
import type { NameSource } from './scope.ts'

export class Dynamics {
  readonly #names: NameSource

  constructor(names: NameSource) {
    this.#names = names
  }

  /** Bodies in which `==` is an equation. */
  rule(rule: Rule): Rule {
    return {
      ...rule,
      body: this.body(rule.body, true),
      else: rule.else && this.rule(rule.else),
    }
  }

  body(body: Body, equal: boolean): Body {
    const out: Expr[] = []
    for (const expr of body) out.push(new Lift(this.#names, expr, equal, out).expr())
    return out
  }
}

/** One expression, and where what is taken out of it goes. */
class Lift {
  readonly #names: NameSource
  readonly #expr: Expr
  readonly #equal: boolean
  readonly #out: Expr[]

  constructor(names: NameSource, expr: Expr, equal: boolean, out: Expr[]) {
    this.#names = names
    this.#expr = expr
    this.#equal = equal
    this.#out = out
  }

  expr(): Expr {
    const node = this.#node(this.#expr.node)
    return node === this.#expr.node ? this.#expr : { ...this.#expr, node }
  }

  // oxlint-disable-next-line typescript/consistent-return -- the switch is exhaustive
  #node(node: ExprNode): ExprNode {
    switch (node.kind) {
      case 'term': {
        const term = this.#outer(node.term)
        return term === node.term ? node : { ...node, term }
      }
      case 'call': {
        const isEqual = this.#equal && node.args.length === 2 && isOperator(node.operator, 'equal')
        const operator = isEqual ? operatorRef('eq', node.operator.loc) : node.operator
        const args = isOperator(operator, 'eq')
          ? each(node.args, (arg) => this.#outer(arg))
          : each(node.args, (arg) => this.#inner(arg))
        return args === node.args && !isEqual ? node : { ...node, operator, args }
      }
      case 'every':
        return { ...node, domain: this.#inner(node.domain), body: this.#body(node.body) }
      case 'body':
        return { ...node, body: this.#body(node.body) }
      case 'some':
      case 'someIn':
        return node
    }
  }

  #body(body: Body): Body {
    return new Dynamics(this.#names).body(body, this.#equal)
  }

  /** A term that may stay where it is; what is inside it may not. */
  #outer(term: Term): Term {
    switch (term.kind) {
      case 'ref':
        return this.#ref(term)
      case 'arrayComprehension':
      case 'setComprehension':
      case 'objectComprehension':
        return { ...term, body: this.#body(term.body) }
      default:
        return this.#inner(term)
    }
  }

  #inner(term: Term): Term {
    switch (term.kind) {
      case 'ref':
        return this.#lift(this.#ref(term))
      case 'array': {
        const items = each(term.items, (t) => this.#inner(t))
        return items === term.items ? term : { ...term, items }
      }
      case 'set': {
        const items = each(term.items.toSorted(compareTerms), (t) => this.#inner(t))
        return { ...term, items }
      }
      case 'object': {
        const sorted = term.pairs.toSorted(([a], [b]) => compareTerms(a, b))
        return { ...term, pairs: sorted.map(([k, v]) => [this.#inner(k), this.#inner(v)] as const) }
      }
      case 'arrayComprehension':
      case 'setComprehension':
      case 'objectComprehension':
        return this.#lift({ ...term, body: this.#body(term.body) })
      default:
        return term
    }
  }

  #ref(ref: Extract<Term, { kind: 'ref' }>): Extract<Term, { kind: 'ref' }> {
    const [head, ...rest] = ref.terms
    const terms = each(rest, (t) => this.#inner(t))
    return terms === rest ? ref : { ...ref, terms: [head, ...terms] }
  }

  #lift(term: Term): Term {
    const { loc } = term
    const variable = { kind: 'var', name: this.#names.standIn(term), loc } as const
    const operator = operatorRef('eq', loc)
    const node = { kind: 'call', operator, args: [variable, term], infix: true } as const
    const { with: mods } = this.#expr
    this.#out.push({ kind: 'expr', node, negated: false, with: mods, loc, generated: true })
    return variable
  }
}

function each(terms: readonly Term[], f: (t: Term) => Term): readonly Term[] {
  let changed = false
  const made = terms.map((term) => {
    const one = f(term)
    if (one !== term) changed = true
    return one
  })
  return changed ? made : terms
}
