// Calls: comparisons and equations become statements, `walk` is iterated, everything else is called.
import type { RefTerm, Term } from '../ast/ast.ts'
import type { Local, Location, Operand, Stmt } from '../ir/ir.ts'
import { operatorName } from '../ast/operators.ts'
import { DATA, type Frame, INPUT, namesOf, type Next, PlanError, planTerm } from './frame.ts'
import { nodeValue } from './documents.ts'
import { dot, scan } from './steps.ts'
import { made, planTerms } from './terms.ts'
import { valued } from './tracing.ts'
import { isFunction } from '../ast/tree.ts'
import { unify, unifyValue } from './unify.ts'
import { keyed, MOCKS } from './variant.ts'

export function planCallExpr(f: Frame, operator: RefTerm, args: readonly Term[], next: Next): void {
  const name = operatorName(operator)
  if (name === undefined) throw new PlanError('a call of something that has no name')
  const [a, b] = args
  if (f.variant.mocks.has(name) || !a) return planCall(f, operator, name, args, next)
  if (name === 'walk') return planWalk(f, a, b, next)
  if (!b || args.length > 2) return planCall(f, operator, name, args, next)
  if (name === 'eq' || name === 'equal') return unify(f, a, b, next)
  const compared = COMPARED[name]
  if (!compared) return planCall(f, operator, name, args, next)
  planTerms(f, [a, b], 0, [], ([x, y]) => {
    valued(f)
    if (x && y) f.emit(compared(x, y))
    next()
  })
}

function isRule(name: string): boolean {
  return name.startsWith('data.')
}

function planWalk(f: Frame, value: Term, pattern: Term | undefined, next: Next): void {
  f.planner.builtin('walk')
  planTerm(f, value, (operand) => {
    const result = f.local()
    f.emit({ type: 'CallStmt', func: 'walk', args: [operand], result })
    scan(f, result, false, true, (_, pair) => {
      if (pattern && pair) unifyValue(f, pair, pattern, next)
      else next()
    })
  })
}

function planCall(
  f: Frame,
  operator: RefTerm,
  name: string,
  args: readonly Term[],
  next: Next,
): void {
  const arity = arityOf(f, operator, name)
  const output = args[arity]
  planTerms(f, args.slice(0, arity), 0, [], (given) => {
    const operands = isRule(name) ? given : given.map((operand) => made(f, operand))
    const value = called(f, operator, name, operands)
    if (output) return unifyValue(f, value, output, next)
    valued(f)
    f.emit({ type: 'NotEqualStmt', a: value, b: { type: 'bool', value: false } })
    next()
  })
}

/** The value of a call, or of what stands in for it. */
function called(f: Frame, operator: RefTerm, name: string, operands: readonly Operand[]): Operand {
  const result = f.local()
  const mock = f.variant.mocks.get(name)
  if (mock?.to === 'value') {
    const mocks = dot(f, { type: 'local', value: DATA }, f.string(MOCKS))
    return dot(f, mocks, f.string(mock.key))
  }
  if (mock) {
    // What stands in for a function may call it: inside, nothing stands in for it.
    const before = f.variant
    f.variant = keyed({ ...before, mocks: new Map() })
    emitCall(f, mock.operator, operatorName(mock.operator) ?? '', operands, result)
    f.variant = before
  } else emitCall(f, operator, name, operands, result)
  return { type: 'local', value: result }
}

function arityOf(f: Frame, operator: RefTerm, name: string): number {
  if (!isRule(name)) return f.planner.input.arity(name) ?? 0
  const node = f.node(namesOf(operator).slice(1))
  return node?.rules.find(({ rule }) => rule.head.args)?.rule.head.args?.length ?? 0
}

/** Where a builtin is called, for its messages. */
function placeOf({ loc, planner }: Frame): Partial<Location> {
  if (!loc || loc.file === '') return {}
  return { file: planner.statics.file(loc.file), row: loc.row, col: loc.col }
}

function emitCall(
  f: Frame,
  operator: RefTerm,
  name: string,
  operands: readonly Operand[],
  result: Local,
): void {
  if (!isRule(name)) {
    f.planner.builtin(name)
    f.emit({ type: 'CallStmt', func: name, args: operands, result, ...placeOf(f) })
    return
  }
  const node = f.node(namesOf(operator).slice(1))
  if (node && node.rules.length > 0 && !isFunction(node)) {
    // A rule of one value, called like a function without arguments.
    f.assign(nodeValue(f, node), result)
    return
  }
  if (!node || !isFunction(node)) throw new PlanError(`undefined function ${name}`)
  const func = f.planner.rules(node, f.variant)
  const documents: Operand[] = [INPUT, DATA].map((value) => ({ type: 'local', value }))
  f.emit({ type: 'CallStmt', func, args: [...documents, ...operands], result })
}

const COMPARED: Readonly<Record<string, (a: Operand, b: Operand) => Stmt>> = {
  neq: (a, b) => ({ type: 'NotEqualStmt', a, b }),
  lt: (a, b) => ({ type: 'CompareStmt', op: 'lt', a, b }),
  lte: (a, b) => ({ type: 'CompareStmt', op: 'lte', a, b }),
  gt: (a, b) => ({ type: 'CompareStmt', op: 'gt', a, b }),
  gte: (a, b) => ({ type: 'CompareStmt', op: 'gte', a, b }),
}
