import type { Body, Expr, Rule, Term } from './ast.ts'

/** Called for every term, outermost first; false keeps the walk out of what is inside. */
export type TermVisitor = (term: Term) => boolean | undefined | void
/** Called for every expression before its terms. */
export type ExprVisitor = (expr: Expr) => boolean | undefined | void

export function walkTerm(term: Term, visit: TermVisitor, visitExpr?: ExprVisitor): void {
  if (visit(term) === false) return
  const go = (t: Term) => walkTerm(t, visit, visitExpr)
  switch (term.kind) {
    case 'ref':
      return term.terms.forEach(go)
    case 'array':
    case 'set':
      return term.items.forEach(go)
    case 'object':
      for (const [k, v] of term.pairs) {
        go(k)
        go(v)
      }
      return
    case 'arrayComprehension':
    case 'setComprehension':
      go(term.term)
      return walkBody(term.body, visit, visitExpr)
    case 'objectComprehension':
      go(term.key)
      go(term.value)
      return walkBody(term.body, visit, visitExpr)
    case 'call':
      go(term.operator)
      return term.args.forEach(go)
    case 'template':
      for (const part of term.parts) {
        if (part.kind === 'expr') walkExpr(part, visit, visitExpr)
        else go(part)
      }
      return
    default:
  }
}

export function walkBody(body: Body, visit: TermVisitor, visitExpr?: ExprVisitor): void {
  for (const expr of body) walkExpr(expr, visit, visitExpr)
}

export function walkExpr(expr: Expr, visit: TermVisitor, visitExpr?: ExprVisitor): void {
  if (visitExpr?.(expr) === false) return
  const go = (t: Term) => walkTerm(t, visit, visitExpr)
  const { node } = expr
  switch (node.kind) {
    case 'term':
      go(node.term)
      break
    case 'call':
      go(node.operator)
      node.args.forEach(go)
      break
    case 'some':
      node.vars.forEach(go)
      break
    case 'someIn':
      if (node.key) go(node.key)
      go(node.value)
      go(node.domain)
      break
    case 'every':
      if (node.key) go(node.key)
      go(node.value)
      go(node.domain)
      walkBody(node.body, visit, visitExpr)
      break
    case 'body':
      walkBody(node.body, visit, visitExpr)
      break
    default:
  }
  for (const w of expr.with) {
    go(w.target)
    go(w.value)
  }
}

/** Everything in a rule: head, body and its else branches. */
export function walkRule(rule: Rule, visit: TermVisitor, visitExpr?: ExprVisitor): void {
  const go = (t: Term) => walkTerm(t, visit, visitExpr)
  rule.head.ref.forEach(go)
  rule.head.args?.forEach(go)
  if (rule.head.key) go(rule.head.key)
  if (rule.head.value) go(rule.head.value)
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
