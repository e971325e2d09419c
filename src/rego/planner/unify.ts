// Unification: both sides of `=` are made equal, binding the variables that have no value yet.
import type { Term, VarTerm } from '../ast/ast.ts'
import type { Operand } from '../ir/ir.ts'
import { type Frame, type Next, PlanError, planTerm } from './frame.ts'
import { fail, isOpen } from './open.ts'
import { dot } from './steps.ts'
import { constantOf } from './statics.ts'
import { valued } from './tracing.ts'

export function unify(f: Frame, a: Term, b: Term, next: Next): void {
  if (a.kind === 'var' && !f.vars.has(a.name)) {
    return isOpen(f, b) ? unifyOpen(a, b) : planTerm(f, b, (value) => unifyValue(f, value, a, next))
  }
  if (b.kind === 'var' && !f.vars.has(b.name)) return unify(f, b, a, next)
  if (!isOpen(f, a)) return planTerm(f, a, (value) => unifyValue(f, value, b, next))
  if (!isOpen(f, b)) return planTerm(f, b, (value) => unifyValue(f, value, a, next))
  const pairs = partnersOf(a, b)
  if (pairs) unifyAll(f, pairs, 0, next)
  else fail(f)
}

type Partners = readonly (readonly [Term, Term])[]

/** What has to be equal within two composites; undefined when they cannot be. */
function partnersOf(a: Term, b: Term): Partners | undefined {
  if (a.kind === 'array' && b.kind === 'array' && a.items.length === b.items.length) {
    return a.items.map((item, i) => [item, b.items[i] as Term] as const)
  }
  if (a.kind !== 'object' || b.kind !== 'object' || a.pairs.length !== b.pairs.length)
    return undefined
  const found = a.pairs.map(
    ([k, v]) => [v, b.pairs.find(([key]) => sameConstantTerm(key, k))?.[1]] as const,
  )
  return found.every((pair): pair is readonly [Term, Term] => pair[1] !== undefined)
    ? found
    : undefined
}

function unifyAll(f: Frame, pairs: Partners, i: number, next: Next): void {
  const pair = pairs[i]
  if (!pair) return next()
  unify(f, pair[0], pair[1], () => unifyAll(f, pairs, i + 1, next))
}

/** Both sides have unknown variables: `x = [y, 1]` before `y` is known. */
function unifyOpen(a: VarTerm, b: Term): never {
  throw new PlanError(`variables of ${b.kind} for ${a.name} are not known yet`)
}

/** Makes a term equal to a value, binding the variables it has. */
export function unifyValue(f: Frame, value: Operand, term: Term, next: Next): void {
  if (term.kind === 'var') {
    const known = f.vars.get(term.name)
    if (known) equate(f, value, known)
    else f.vars.set(term.name, value)
    return next()
  }
  if (term.kind === 'array' && isOpen(f, term)) return unifyArray(f, value, term.items, next)
  if (term.kind === 'object' && isOpen(f, term)) return unifyObject(f, value, term.pairs, next)
  planTerm(f, term, (other) => {
    equate(f, value, other)
    next()
  })
}

function equate(f: Frame, a: Operand, b: Operand): void {
  valued(f)
  f.emit({ type: 'EqualStmt', a, b })
}

function unifyArray(f: Frame, value: Operand, items: readonly Term[], next: Next): void {
  valued(f)
  f.emit({ type: 'IsArrayStmt', source: value })
  checkLength(f, value, items.length)
  const go = (i: number): void => {
    const item = items[i]
    if (!item) return next()
    if (item.kind === 'var' && item.name.startsWith('$') && !f.vars.has(item.name)) return go(i + 1)
    const index = f.constant({ kind: 'number', text: String(i), loc: item.loc })
    const element = dot(f, value, index as Operand)
    unifyValue(f, element, item, () => go(i + 1))
  }
  go(0)
}

function unifyObject(
  f: Frame,
  value: Operand,
  pairs: readonly (readonly [Term, Term])[],
  next: Next,
): void {
  valued(f)
  f.emit({ type: 'IsObjectStmt', source: value })
  checkLength(f, value, pairs.length)
  const go = (i: number): void => {
    const pair = pairs[i]
    if (!pair) return next()
    planTerm(f, pair[0], (key) => {
      const element = dot(f, value, key)
      unifyValue(f, element, pair[1], () => go(i + 1))
    })
  }
  go(0)
}

function checkLength(f: Frame, value: Operand, n: number): void {
  const length = f.local()
  const want = f.local()
  f.emit({ type: 'LenStmt', source: value, target: length })
  f.emit({ type: 'AssignIntStmt', value: n, target: want })
  f.emit({
    type: 'EqualStmt',
    a: { type: 'local', value: length },
    b: { type: 'local', value: want },
  })
}

function sameConstantTerm(a: Term, b: Term): boolean {
  const [x, y] = [constantOf(a), constantOf(b)]
  return x !== undefined && y !== undefined && JSON.stringify(x) === JSON.stringify(y)
}
