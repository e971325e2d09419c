// Bodies and expressions: each goes on to the rest when it holds.
import type { Body, EveryNode, Expr, Rule, Term } from '../ast/ast.ts'
import type { Local } from '../ir/ir.ts'
import { operatorRef } from '../ast/operators.ts'
import { planCallExpr } from './calls.ts'
import { planCase } from './cases.ts'
import { type Constraint, constraintsOf, mayFail } from './constraints.ts'
import {
  type Frame,
  isInputPath,
  type Next,
  planBody,
  PlanError,
  planExpr,
  planTerm,
} from './frame.ts'
import type { Tracing } from './points.ts'
import { scan } from './steps.ts'
import { planTraced, valued } from './tracing.ts'
import { unifyValue } from './unify.ts'
import { planWith } from './with.ts'

export function bodyForm(f: Frame, body: Body, i: number, next: Next, begun?: Tracing): void {
  if (i === 0) hoist(f, body)
  planCase(f, body, i, () => {
    const expr = body[i]
    if (!expr) return next()
    f.loc = expr.loc
    if (f.planner.input.trace) return planTraced(f, body, i, next, begun)
    planExpr(f, expr, () => planBody(f, body, i + 1, next))
  })
}

/** The body of a rule: not begun when what OPA's index knows of it says that it cannot hold. */
export function planRuleBody(f: Frame, rule: Rule, next: Next): void {
  const { body } = rule
  // What is named has begun, whether it can hold or not.
  const isLong = body.length >= 2 && !f.planner.input.trace && !f.testCase
  const first = isLong ? body.findIndex((expr) => mayFail(f, expr)) : -1
  const constraints = first < 0 ? [] : constraintsOf(f, rule)
  for (const [i, constraint] of constraints.entries())
    if (constraint && i > first) guard(f, constraint)
  planBody(f, body, 0, next)
}

function guard(f: Frame, { subject, pattern, isMember }: Constraint): void {
  if (isMember && pattern) {
    const { loc } = subject
    const operator = operatorRef('internal.member_2', loc)
    return planCallExpr(f, operator, [pattern, subject], () => undefined)
  }
  planTerm(f, subject, (value) => {
    if (pattern) unifyValue(f, value, pattern, () => undefined)
  })
}

/** Reads constant paths into `input` before the first loop: if one is undefined, so is the body. */
function hoist(f: Frame, body: Body): void {
  // A trace shows expressions in the order in which they stand.
  if (body.length < 2 || f.planner.input.trace || f.testCase) return
  for (const expr of body) {
    // What may fail does so before what comes behind it is looked at.
    if (mayFail(f, expr)) return
    const { node } = expr
    if (expr.negated || expr.with.length > 0) continue
    if (node.kind !== 'call' && node.kind !== 'term') continue
    for (const term of node.kind === 'call' ? node.args : [node.term]) {
      if (term.kind === 'ref' && isInputPath(term)) planTerm(f, term, () => undefined)
    }
  }
}

export function exprForm(f: Frame, expr: Expr, next: Next): void {
  if (expr.with.length > 0) return planWith(f, expr, next)
  if (expr.negated) return planNot(f, expr, next)
  const { node } = expr
  switch (node.kind) {
    case 'term':
      return planTermExpr(f, node.term, next)
    case 'call':
      return planCallExpr(f, node.operator, node.args, next)
    case 'every':
      return planEvery(f, node, next)
    case 'body':
      return planSome(f, node.body, next)
    default:
      throw new PlanError(`cannot plan a ${node.kind} expression`)
  }
}

/** A body as one expression: holds when it has a solution. */
function planSome(f: Frame, body: Body, next: Next): void {
  const source = exists(f, (found) => planBody(f, body, 0, found))
  valued(f)
  f.emit({ type: 'IsDefinedStmt', source })
  next()
}

/** A term holds unless it is undefined or false. */
function planTermExpr(f: Frame, term: Term, next: Next): void {
  planTerm(f, term, (value) => {
    valued(f)
    if (value.type === 'bool' && value.value) return next()
    if (!alwaysTrue(term)) {
      f.emit({ type: 'NotEqualStmt', a: value, b: { type: 'bool', value: false } })
    }
    next()
  })
}

/** Every element passes when none is found whose body has no solution. */
function planEvery(f: Frame, { domain, key, value, body }: EveryNode, next: Next): void {
  planTerm(f, domain, (operand) => {
    const source = f.toLocal(operand)
    f.emit({ type: 'IsCollectionStmt', source: operand })
    const failed = exists(f, (found) =>
      scan(f, source, key !== undefined, true, (atKey, atValue) => {
        if (key && atKey) f.vars.set(key.name, atKey)
        if (atValue) f.vars.set(value.name, atValue)
        const passed = exists(f, (passes) => planBody(f, body, 0, passes))
        f.emit({ type: 'IsUndefinedStmt', source: passed })
        found()
      }),
    )
    valued(f)
    f.emit({ type: 'IsUndefinedStmt', source: failed })
    next()
  })
}

/** Looks for one solution and leaves it at that; the local is defined when there is one. */
function exists(f: Frame, search: (found: Next) => void): Local {
  const done = f.local()
  const withDepth = f.withDepth
  f.emit({ type: 'ResetLocalStmt', target: done })
  const block = f.block(() => {
    const depth = f.depth
    search(() => {
      f.assign({ type: 'bool', value: true }, done)
      // A break must not skip what a `with` has to put back.
      if (f.withDepth === withDepth) f.emit({ type: 'BreakStmt', index: f.depth - depth })
    })
  })
  f.emit({ type: 'BlockStmt', blocks: [block] })
  return done
}

function planNot(f: Frame, expr: Expr, next: Next): void {
  const { node } = expr
  const none = (search: (found: Next) => void) => {
    const source = exists(f, search)
    valued(f)
    f.emit({ type: 'IsUndefinedStmt', source })
    next()
  }
  if (node.kind === 'body') return none((found) => planBody(f, node.body, 0, found))
  return none((found) => planExpr(f, { ...expr, negated: false }, found))
}

function alwaysTrue(term: Term): boolean {
  return (
    term.kind !== 'ref' && term.kind !== 'var' && term.kind !== 'boolean' && term.kind !== 'call'
  )
}
