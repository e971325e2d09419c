import type { Body, Expr, Rule, Term } from './ast.ts'

/** Called for every term, outermost first; false keeps the walk out of what is inside. */
export type TermVisitor = (term: Term) => boolean | undefined | void
/** Called for every expression before its terms. */
export type ExprVisitor = (expr: Expr) => boolean | undefined | void

export function walkTerm(term: Term, visit: TermVisitor, visitExpr?: ExprVisitor): void {
  if (visit(term) === false) return
  switch (term.kind) {
    case 'ref':
      return walkTerms(term.terms, visit, visitExpr)
    case 'array':
    case 'set':
      return walkTerms(term.items, visit, visitExpr)
    case 'object':
      for (const [k, v] of term.pairs) {
        walkTerm(k, visit, visitExpr)
        walkTerm(v, visit, visitExpr)
      }
      return
    case 'arrayComprehension':
    case 'setComprehension':
      walkTerm(term.term, visit, visitExpr)
      return walkBody(term.body, visit, visitExpr)
    case 'objectComprehension':
      walkTerm(term.key, visit, visitExpr)
      walkTerm(term.value, visit, visitExpr)
      return walkBody(term.body, visit, visitExpr)
    case 'call':
      walkTerm(term.operator, visit, visitExpr)
      return walkTerms(term.args, visit, visitExpr)
    case 'template':
      for (const part of term.parts) {
        if (part.kind === 'expr') walkExpr(part, visit, visitExpr)
        else walkTerm(part, visit, visitExpr)
      }
      return
    default:
  }
}

function walkTerms(terms: readonly Term[], visit: TermVisitor, visitExpr?: ExprVisitor): void {
  for (const term of terms) walkTerm(term, visit, visitExpr)
}

export function walkBody(body: Body, visit: TermVisitor, visitExpr?: ExprVisitor): void {
  for (const expr of body) walkExpr(expr, visit, visitExpr)
}

export function walkExpr(expr: Expr, visit: TermVisitor, visitExpr?: ExprVisitor): void {
  if (visitExpr?.(expr) === false) return
  const { node } = expr
  switch (node.kind) {
    case 'term':
      walkTerm(node.term, visit, visitExpr)
      break
    case 'call':
      walkTerm(node.operator, visit, visitExpr)
      walkTerms(node.args, visit, visitExpr)
      break
    case 'some':
      walkTerms(node.vars, visit, visitExpr)
      break
    case 'someIn':
    case 'every':
      if (node.key) walkTerm(node.key, visit, visitExpr)
      walkTerm(node.value, visit, visitExpr)
      walkTerm(node.domain, visit, visitExpr)
      if (node.kind === 'every') walkBody(node.body, visit, visitExpr)
      break
    case 'body':
      walkBody(node.body, visit, visitExpr)
      break
    default:
  }
  for (const w of expr.with) {
    walkTerm(w.target, visit, visitExpr)
    walkTerm(w.value, visit, visitExpr)
  }
}

/** Everything in a rule: head, body and its else branches. */
export function walkRule(rule: Rule, visit: TermVisitor, visitExpr?: ExprVisitor): void {
  const { ref, args, key, value } = rule.head
  walkTerms(ref, visit, visitExpr)
  if (args) walkTerms(args, visit, visitExpr)
  if (key) walkTerm(key, visit, visitExpr)
  if (value) walkTerm(value, visit, visitExpr)
  walkBody(rule.body, visit, visitExpr)
  if (rule.else) walkRule(rule.else, visit, visitExpr)
}

/** Rebuilds a term from its direct parts; one whose parts stay the same stays the same. */
export function mapTerm(term: Term, f: (t: Term) => Term, body: (b: Body) => Body): Term {
  switch (term.kind) {
    case 'ref': {
      const terms = mapList(term.terms, f)
      const [head, ...rest] = terms
      return terms === term.terms || !head ? term : { ...term, terms: [head, ...rest] }
    }
    case 'array':
    case 'set': {
      const items = mapList(term.items, f)
      return items === term.items ? term : { ...term, items }
    }
    case 'object':
      return { ...term, pairs: term.pairs.map(([k, v]) => [f(k), f(v)] as const) }
    case 'arrayComprehension':
    case 'setComprehension':
      return { ...term, term: f(term.term), body: body(term.body) }
    case 'objectComprehension':
      return { ...term, key: f(term.key), value: f(term.value), body: body(term.body) }
    case 'call': {
      const args = mapList(term.args, f)
      return args === term.args ? term : { ...term, args }
    }
    case 'template':
      return {
        ...term,
        parts: term.parts.map((part) =>
          part.kind === 'expr' ? (body([part])[0] ?? part) : f(part),
        ),
      }
    default:
      return term
  }
}

function mapList(terms: readonly Term[], f: (t: Term) => Term): readonly Term[] {
  let changed: Term[] | undefined
  for (const [i, term] of terms.entries()) {
    const made = f(term)
    if (made !== term) changed ??= [...terms]
    if (changed) changed[i] = made
  }
  return changed ?? terms
}

export function isGround(term: Term): boolean {
  let ground = true
  walkTerm(term, (t) => {
    if (t.kind === 'var') ground = false
    // A ref's head (data, input, a rule) is a name, not a variable to be found.
    if (t.kind === 'ref') {
      if (t.terms.slice(1).some((x) => !isGround(x))) ground = false
      return false
    }
    if (t.kind === 'call') {
      if (t.args.some((x) => !isGround(x))) ground = false
      return false
    }
    if (t.kind.endsWith('Comprehension')) {
      return false
    }
    return ground
  })
  return ground
}
