// Trace builds: each expression of the source is a point that counts how often it was reached, had a value to judge and
// held. With values it also keeps what the references and variables in it were. What the expander took out of an
// expression belongs to the point of that expression.
import type { Body, Expr, RefTerm, Term } from '../ast/ast.ts'
import { walkTerm } from '../ast/walk.ts'
import { GENERATED } from '../ast/names.ts'
import { isOperator } from '../ast/operators.ts'
import { type Frame, type Next, planBody, planExpr, planTerm } from './frame.ts'
import { isOpen } from './open.ts'
import type { Kept, TracePoint, Tracing } from './points.ts'

/** More than these in one expression are not kept. */
const VALUES_MAX = 8

/** Plans one expression of a body and goes on to the rest, counting on the way. */
export function planTraced(f: Frame, body: Body, i: number, next: Next, begun?: Tracing): void {
  const expr = body[i] as Expr
  const at = body.findIndex(({ generated }, n) => n >= i && !generated)
  const owner = body[at]
  const tracing =
    begun ?? (owner ? begin(f, body.slice(i, at + 1), 'expression') : begin(f, [expr], 'head'))
  const outer = f.tracing
  if (owner && owner !== expr) {
    f.tracing = tracing
    if (!begun && expr.with.length === 0) keepKnown(f)
    f.tracing = undefined
    planExpr(f, expr, () => {
      f.tracing = outer
      planBody(f, body, i + 1, next, tracing)
    })
    f.tracing = outer
    return
  }
  f.tracing = tracing
  if (expr.with.length === 0) keepKnown(f)
  planExpr(f, expr, () => {
    f.tracing = outer
    hold(f, tracing, expr)
    planBody(f, body, i + 1, next)
    f.tracing = tracing
  })
  f.tracing = outer
}

/** The last expression is the one that was written; those before it were taken out of it. */
function begin(f: Frame, exprs: Body, kind: TracePoint['kind']): Tracing {
  const expr = exprs.at(-1) as Expr
  const kept = f.planner.input.trace === 'values' ? valuesOf(f, exprs) : []
  const point = f.planner.point({
    ...expr.loc,
    rule: f.rule && { path: f.rule.path, row: f.rule.row },
    kind: f.rule?.isBare ? 'generated' : kind,
    values: kept.map(({ slot, loc, name }) => ({ slot, loc, name })),
  })
  for (const { slot } of kept) f.emit({ type: 'TraceValueStmt', point, slot, source: 'unseen' })
  f.emit({ type: 'TraceStmt', point, outcome: 0 })
  return { point, kept }
}

/** Notes that the expression has a value to judge, so that not holding means false. */
export function valued(f: Frame): void {
  if (f.tracing) f.emit({ type: 'TraceStmt', point: f.tracing.point, outcome: 2 })
}

/** Keeps what is known before the expression is judged. Inside its `with`, when it has one. */
export function keepKnown(f: Frame): void {
  if (!f.tracing) return
  keep(f, f.tracing, (one) => {
    if (one.early || isOpen(f, one.term) || !isKnown(f, one.term)) return false
    one.early = true
    return true
  })
}

// What only the expression itself could bind is kept when it holds. References mean something else inside a `with`.
function hold(f: Frame, tracing: Tracing, expr: Expr): void {
  keep(f, tracing, ({ term }) =>
    term.kind === 'var' ? isKnown(f, term) : expr.with.length === 0 && isKnown(f, term),
  )
  f.emit({ type: 'TraceStmt', point: tracing.point, outcome: 1 })
}

function keep(f: Frame, { point, kept }: Tracing, wanted: (one: Kept) => boolean): void {
  for (const one of kept) {
    if (!wanted(one)) continue
    const { slot, term } = one
    f.emit({ type: 'TraceValueStmt', point, slot, source: 'missing' })
    const block = f.block(() =>
      planTerm(f, term, (source) => f.emit({ type: 'TraceValueStmt', point, slot, source })),
    )
    f.emit({ type: 'BlockStmt', blocks: [block] })
  }
}

/** Whether every variable in a term has a value by now. */
function isKnown(f: Frame, term: Term): boolean {
  let known = true
  walkTerm(term, (t) => {
    if (t.kind === 'var' && t.name !== 'input' && t.name !== 'data' && !f.vars.has(t.name)) {
      known = false
    }
    return known
  })
  return known
}

function valuesOf(f: Frame, exprs: Body): Kept[] {
  const found = new Map<string, Kept>()
  const add = (term: Term, name?: string) => {
    const { row, col, length } = term.loc
    const key = name ?? `${row}:${col}:${length}`
    const known = found.get(key)
    // What a made-up variable stands for can be missing, the variable cannot.
    if (known && isMadeUp(known.term) && term.kind === 'ref') found.set(key, { ...known, term })
    if (found.size >= VALUES_MAX || known) return
    found.set(key, { slot: f.planner.slot(), loc: term.loc, name, term })
  }
  const see = (term: Term): void =>
    walkTerm(term, (t) => {
      if (t.kind.endsWith('Comprehension')) return false
      if (t.kind === 'var' && isNamed(t.name)) add(t, f.planner.input.original.get(t.name))
      if (t.kind !== 'ref') return true
      const plain = withoutWildcards(t)
      if (plain) add(plain)
      for (const index of t.terms.slice(1)) see(index)
      return false
    })
  for (const expr of [...exprs].reverse()) partsOf(expr).forEach(see)
  return [...found.values()]
}

/** The terms of an expression that may be shown; a result that merely gets a name is shown under that. */
function partsOf({ node, with: mods, generated }: Expr): readonly Term[] {
  const given = mods.map(({ value }) => value)
  if (generated && node.kind === 'call') return node.args.filter((arg) => !isMadeUp(arg))
  if (node.kind === 'term') return [node.term, ...given]
  if (node.kind === 'every') return [node.domain, ...given]
  if (node.kind !== 'call') return given
  const isNaming = isOperator(node.operator, 'eq') && node.args[0]?.kind === 'var'
  const args = isNaming ? node.args.filter((arg, at) => at === 0 || !isMadeUp(arg)) : node.args
  return [...args, ...given]
}

const isMadeUp = (term: Term): boolean => term.kind === 'var' && term.name.startsWith(GENERATED)

const isNamed = (name: string): boolean =>
  name !== 'input' && name !== 'data' && !name.startsWith('$')

/** A reference up to its first wildcard, as it stands in the source. */
function withoutWildcards(ref: RefTerm): Term | undefined {
  const [head, ...rest] = ref.terms
  const last = rest.at(-1)
  // `some x in xs` reads `xs[_]`, where the index stands nowhere, or before.
  if (last && last.kind !== 'string' && !isBehind(last, ref)) {
    return upTo(ref, rest.length - 1, ref.loc.length)
  }
  const at = rest.findIndex((term) => term.kind === 'var' && term.name.startsWith('$'))
  const wild = rest[at]
  if (!wild) return ref
  // More of `data` than was asked for may hold the rule itself.
  const isWider = head.kind === 'var' && head.name === 'data' && at < rest.length - 1
  if (isWider || wild.loc.row !== ref.loc.row) return undefined
  return upTo(ref, at, wild.loc.col - ref.loc.col - 1)
}

function isBehind({ loc }: Term, { loc: start }: Term): boolean {
  return loc.row > start.row || (loc.row === start.row && loc.col > start.col)
}

function upTo(ref: RefTerm, count: number, length: number): Term | undefined {
  const [head, ...rest] = ref.terms
  const loc = { ...ref.loc, length }
  if (count > 0) return { ...ref, terms: [head, ...rest.slice(0, count)], loc }
  return head.kind === 'var' ? { ...head, loc } : undefined
}
