// Terms to values. A constant is interned; everything else leaves its value in a local and hands that on.
import type { Comprehension, Term, VarTerm } from '../ast/ast.ts'
import type { Local, Operand, Stmt } from '../ir/ir.ts'
import { type Frame, planBody, PlanError, planTerm, type WithValue } from './frame.ts'
import { planRef } from './refs.ts'

export function planTerms(
  f: Frame,
  terms: readonly Term[],
  i: number,
  done: readonly Operand[],
  next: (values: readonly Operand[]) => void,
): void {
  const term = terms[i]
  if (!term) return next(done)
  planTerm(f, term, (value) => planTerms(f, terms, i + 1, [...done, value], next))
}

export function termForm(f: Frame, term: Term, next: WithValue): void {
  const constant = f.constant(term)
  if (constant) return next(constant)
  switch (term.kind) {
    case 'var':
      return planVar(f, term, next)
    case 'ref':
      return planRef(f, term, next)
    case 'array':
      return planTerms(f, term.items, 0, [], (items) => next(makeArray(f, items)))
    case 'set':
      return planTerms(f, term.items, 0, [], (items) => next(writtenSet(f, items)))
    case 'object':
      return planTerms(f, term.pairs.flat(), 0, [], (flat) => next(makeObject(f, flat)))
    case 'arrayComprehension':
    case 'setComprehension':
    case 'objectComprehension':
      return planComprehension(f, term, next)
    default:
      throw new PlanError(`cannot plan a ${term.kind} term`)
  }
}

function planVar(f: Frame, term: VarTerm, next: WithValue): void {
  if (term.name === 'input' || term.name === 'data') {
    return planRef(f, { kind: 'ref', terms: [term], loc: term.loc }, next)
  }
  const known = f.vars.get(term.name)
  if (!known) throw new PlanError(`variable ${term.name} has no value here`)
  next(known)
}

function makeArray(f: Frame, items: readonly Operand[]): Operand {
  const array = f.local()
  f.emit({ type: 'MakeArrayStmt', capacity: items.length, target: array })
  for (const value of items) f.emit({ type: 'ArrayAppendStmt', value, array })
  return { type: 'local', value: array }
}

function makeSet(f: Frame, items: readonly Operand[]): Operand {
  const set = f.local()
  f.emit({ type: 'MakeSetStmt', target: set })
  for (const value of items) f.emit({ type: 'SetAddStmt', value, set })
  return { type: 'local', value: set }
}

/** A set as it stands in the source, where iterating it shows what is written. */
function writtenSet(f: Frame, items: readonly Operand[]): Operand {
  const set = makeSet(f, items)
  if (items.length < 2 || set.type !== 'local') return set
  const array = f.toLocal(makeArray(f, items))
  const target = f.local()
  f.emit({ type: 'WrittenSetStmt', source: set.value, array, target })
  f.written.set(target, set)
  f.planner.hasWrittenSets = true
  return { type: 'local', value: target }
}

/** What becomes a member or a value of a collection is a made set, whatever it was written like. */
export function made(f: Frame, operand: Operand): Operand {
  return operand.type === 'local' ? (f.written.get(operand.value) ?? operand) : operand
}

/** Keys and values in turn. */
function makeObject(f: Frame, flat: readonly Operand[]): Operand {
  const object = f.local()
  f.emit({ type: 'MakeObjectStmt', target: object })
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const [key, value] = [flat[i] as Operand, flat[i + 1] as Operand]
    f.emit({ type: 'ObjectInsertStmt', key, value, object })
  }
  return { type: 'local', value: object }
}

function planComprehension(f: Frame, term: Comprehension, next: WithValue): void {
  const target = f.local()
  const isArray = term.kind === 'arrayComprehension'
  f.emit(COLLECTION[term.kind](target))
  const { withDepth, ordered } = f
  f.ordered = isArray
  const block = f.block(() =>
    planBody(f, term.body, 0, () =>
      planTerms(f, partsOf(term), 0, [], (values) => addTo(f, term, values, target)),
    ),
  )
  f.withDepth = withDepth
  f.ordered = ordered
  f.emit({ type: 'BlockStmt', blocks: [block] })
  next({ type: 'local', value: target })
}

const COLLECTION: Readonly<Record<Comprehension['kind'], (target: Local) => Stmt>> = {
  arrayComprehension: (target) => ({ type: 'MakeArrayStmt', capacity: 0, target }),
  setComprehension: (target) => ({ type: 'MakeSetStmt', target }),
  objectComprehension: (target) => ({ type: 'MakeObjectStmt', target }),
}

const partsOf = (term: Comprehension): readonly Term[] =>
  term.kind === 'objectComprehension' ? [term.key, term.value] : [term.term]

function addTo(
  f: Frame,
  { kind }: Comprehension,
  operands: readonly Operand[],
  target: Local,
): void {
  const [first, second] = operands.map((operand) => made(f, operand))
  if (!first) return
  if (kind === 'arrayComprehension') {
    f.emit({ type: 'ArrayAppendStmt', value: first, array: target })
  } else if (kind === 'setComprehension') {
    f.emit({ type: 'SetAddStmt', value: first, set: target })
  } else if (second) {
    f.emit({ type: 'ObjectInsertOnceStmt', key: first, value: second, object: target })
  }
}
