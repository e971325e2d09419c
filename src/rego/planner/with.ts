// `with`: documents are replaced in the places of input and data, functions by planning what they affect anew.
import type { Expr, RefTerm, Term } from '../ast/ast.ts'
import { walkTerm } from '../ast/walk.ts'
import type { Block, Local, Operand } from '../ir/ir.ts'
import { isOperator, operatorName } from '../ast/operators.ts'
import { DATA, type Frame, INPUT, namesOf, type Next, planExpr } from './frame.ts'
import { planTerms } from './terms.ts'
import { keepKnown } from './tracing.ts'
import { hasRules, isFunction, type RuleNode } from '../ast/tree.ts'
import { type Mock, MOCKS, shadow, swap, type Variant } from './variant.ts'

/** An expression whose documents or functions are replaced while it runs, and put back for the rest of the body. */
export function planWith(f: Frame, expr: Expr, next: Next): void {
  const values = expr.with
    .filter(({ target, value }) => functionMock(f, target, value) === undefined)
    .map(({ value }) => value)
  planTerms(f, values, 0, [], (operands) => {
    const change = changeOf(f, expr, operands)
    if (change.stores.length === 0) return withFunctions(f, change, next)
    const single = singleSolution(f, change.expr)
    return single ? withOnce(f, change, single.name, next) : withEach(f, change, next)
  })
}

/** What a `with` does, and how things were before it. */
interface Change {
  /** The expression without its `with`. */
  readonly expr: Expr
  readonly variant: Variant
  readonly stores: readonly Store[]
  readonly outer: Variant
  readonly mark: number
  readonly caches: readonly (readonly [string, Operand])[]
  /** Input, data and remembered results as they were. */
  readonly input: Local
  readonly data: Local
  readonly memo: Local
}

interface Store {
  readonly local: Local
  readonly path: readonly number[]
  readonly value: Operand
}

function changeOf(f: Frame, expr: Expr, operands: readonly Operand[]): Change {
  const before = { outer: f.variant, mark: f.vars.mark(), caches: f.vars.caches() }
  const [input, data, memo] = [f.local(), f.local(), f.local()]
  f.assign({ type: 'local', value: INPUT }, input)
  f.assign({ type: 'local', value: DATA }, data)
  let { variant } = f
  const stores: Store[] = []
  for (const { target, value } of expr.with) {
    const mock = functionMock(f, target, value)
    if (mock) {
      variant = swap(variant, mock.name, mock.mock)
      continue
    }
    const place = withTarget(f, target)
    if (place.isBroken) f.emit({ type: 'BadPathStmt' })
    if (place.mock !== undefined) {
      variant = swap(variant, place.mock, { to: 'value', key: place.mock })
    } else if (place.local === DATA && overlaps(f, place.path)) {
      variant = shadow(variant, place.path)
    }
    const path = place.path.map((key) => f.planner.statics.string(key))
    stores.push({ local: place.local, path, value: operands[stores.length] as Operand })
  }
  return { ...before, expr: { ...expr, with: [] }, variant, stores, input, data, memo }
}

function inside(f: Frame, { expr, variant, outer }: Change, then: Next): void {
  f.variant = variant
  f.withDepth++
  f.vars.dropCaches()
  keepKnown(f)
  planExpr(f, expr, then)
  f.withDepth--
  f.variant = outer
}

/** The changes one inside the other; the first keeps what was remembered before. */
function nest(f: Frame, change: Change, i: number, then: Next): void {
  const store = change.stores[i]
  if (!store) return inside(f, change, then)
  const block = f.block(() => nest(f, change, i + 1, then))
  f.emit({ type: 'WithStmt', ...store, block, ...(i === 0 ? { keep: change.memo } : {}) })
}

/** Only functions change; results remembered so far were made without the change, but for other functions. */
function withFunctions(f: Frame, change: Change, next: Next): void {
  inside(f, change, () => {
    const depth = f.withDepth
    f.variant = change.outer
    f.withDepth = depth - 1
    next()
    f.withDepth = depth
    f.variant = change.variant
  })
}

/** One solution at most: the rest of the body comes behind the change instead of inside. */
function withOnce(f: Frame, change: Change, name: string | undefined, next: Next): void {
  const done = f.local()
  let found: Operand | undefined
  f.emit({ type: 'ResetLocalStmt', target: done })
  const block = f.block(() =>
    nest(f, change, 0, () => {
      // The place may be a constant; it stays one outside.
      if (name !== undefined) found = f.vars.get(name)
      f.assign({ type: 'bool', value: true }, done)
    }),
  )
  f.emit({ type: 'BlockStmt', blocks: [block] })
  f.emit({ type: 'IsDefinedStmt', source: done })
  f.vars.reset(change.mark)
  if (name !== undefined && found) f.vars.set(name, found)
  next()
}

/** The rest of the body runs for each solution, with everything put back as it was. */
function withEach(f: Frame, change: Change, next: Next): void {
  nest(f, change, 0, () => {
    const { variant, withDepth } = f
    f.variant = change.outer
    f.vars.dropCaches()
    for (const [key, value] of change.caches) f.vars.set(key, value)
    const rest = f.block(next)
    const restored = f.block(() => putBack(f, DATA, change.data, rest, change.memo))
    putBack(f, INPUT, change.input, restored, change.memo)
    f.withDepth = withDepth
    f.variant = variant
  })
}

function putBack(f: Frame, local: Local, before: Local, block: Block, use: Local): void {
  const value = { type: 'local', value: before } as const
  f.emit({ type: 'WithStmt', local, path: null, value, block, use })
}

/** Whether an expression has at most one solution, and the variable it binds then. */
function singleSolution(f: Frame, expr: Expr): { name: string | undefined } | undefined {
  if (expr.negated) return { name: undefined }
  const { node } = expr
  if (node.kind === 'every' || node.kind === 'body') return { name: undefined }
  const unbound = (term: Term): string[] => {
    const names: string[] = []
    walkTerm(term, (t) => {
      if (t.kind.endsWith('Comprehension')) return false
      if (t.kind === 'var' && t.name !== 'input' && t.name !== 'data' && !f.vars.has(t.name))
        names.push(t.name)
      return true
    })
    return names
  }
  if (node.kind === 'term') return unbound(node.term).length === 0 ? { name: undefined } : undefined
  if (node.kind !== 'call' || isOperator(node.operator, 'walk')) return undefined
  const open = node.args.filter((arg) => unbound(arg).length > 0)
  if (open.length === 0) return { name: undefined }
  const [only] = open
  return open.length === 1 && only?.kind === 'var' ? { name: only.name } : undefined
}

/** Replacing one function by another is known when planning; a value is not. */
function functionMock(
  f: Frame,
  target: Term,
  value: Term,
): { name: string; mock: Mock } | undefined {
  const name = functionName(f, target)
  if (name === undefined || value.kind === 'null') return undefined
  if (value.kind !== 'ref' && value.kind !== 'var') return undefined
  const operator: RefTerm =
    value.kind === 'ref' ? value : { kind: 'ref', terms: [value], loc: value.loc }
  const other = functionName(f, operator)
  return other === undefined ? undefined : { name, mock: { to: 'function', operator } }
}

/** The name of the function that a term refers to: a builtin's, or `data.` and the path. */
function functionName(f: Frame, term: Term): string | undefined {
  if (term.kind === 'var') return f.vars.has(term.name) ? undefined : builtinName(f, term.name)
  if (term.kind !== 'ref') return undefined
  const name = operatorName(term)
  if (name === undefined) return undefined
  const path = name.split('.')
  if (path[0] !== 'data') return path[0] === 'input' ? undefined : builtinName(f, name)
  const node = f.node(namesOf(term).slice(1))
  return node && isFunction(node) ? name : undefined
}

function builtinName(f: Frame, name: string): string | undefined {
  return f.planner.input.arity(name) === undefined ? undefined : name
}

interface Place {
  readonly local: Local
  readonly path: readonly string[]
  readonly mock?: string
  /** It has a key that no document can have, and so ends the evaluation. */
  readonly isBroken: boolean
}

function withTarget(f: Frame, target: Term): Place {
  const mock = functionName(f, target)
  if (mock !== undefined) return { local: DATA, path: [MOCKS, mock], mock, isBroken: false }
  const ref = target.kind === 'ref' ? target.terms : [target]
  const [head, ...rest] = ref
  const path = rest.map((t) => (t.kind === 'string' ? t.value : ''))
  const isBroken = rest.some((t) => t.kind !== 'string')
  return { local: head?.kind === 'var' && head.name === 'input' ? INPUT : DATA, path, isBroken }
}

/** Whether rules stand at, above or below a path. */
function overlaps(f: Frame, path: readonly string[]): boolean {
  let node: RuleNode | undefined = f.planner.input.tree
  for (const key of path) {
    if (node && node.rules.length > 0) return true
    node = node?.children.get(key)
    if (!node) return false
  }
  return node !== undefined && hasRules(node)
}
