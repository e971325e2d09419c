import type { Expr, Loc, Term } from './ast.ts'

/** `true` where nobody wrote it: the value of a rule without one. */
export const trueTerm = (loc: Loc): Term => ({ kind: 'boolean', value: true, loc })

/** The same as an expression: what is left of a body without one. */
export const trueExpr = (loc: Loc): Expr => ({
  kind: 'expr',
  node: { kind: 'term', term: trueTerm(loc) },
  negated: false,
  with: [],
  loc,
  generated: true,
})
