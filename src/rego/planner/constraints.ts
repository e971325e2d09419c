// What OPA's rule index knows of a rule before it evaluates it: references into the input and base documents that have to
// be there, or be equal to a value. A rule that cannot hold is not begun, so what fails in it does not fail; and rules of
// one value are begun in the order of the index, so that the first of equal ones is the same.
import type { Expr, RefTerm, Rule, Term } from '../ast/ast.ts'
import { termKey } from '../ast/distinct.ts'
import { walkExpr } from '../ast/walk.ts'
import { isOperator, operatorName } from '../ast/operators.ts'
import type { Frame } from './frame.ts'
import { constantOf } from './statics.ts'
import type { PlacedRule, RuleNode } from '../ast/tree.ts'

export interface Constraint {
  /** A reference, or a variable among the arguments of a function. */
  readonly subject: Term
  /** What it has to match; undefined when it only has to be there. */
  readonly pattern: Term | undefined
  /** Whether an element of it has to be that. */
  readonly isMember: boolean
}

/** For each expression of a body what it asks of references, if anything. */
export function constraintsOf(f: Frame, { head, body }: Rule): readonly (Constraint | undefined)[] {
  const reader = new Reader(f, head.args ?? [])
  return body.map((expr) => reader.expr(expr))
}

class Reader {
  readonly #f: Frame
  /** Variables that are a reference or an argument. */
  readonly #names = new Map<string, Term>()
  readonly #constants = new Map<string, Term>()

  constructor(f: Frame, args: readonly Term[]) {
    this.#f = f
    for (const arg of args) if (arg.kind === 'var') this.#names.set(arg.name, arg)
  }

  expr({ node, negated, with: mods }: Expr): Constraint | undefined {
    if (negated || mods.length > 0) return undefined
    if (node.kind === 'term') return this.#defined(node.term)
    if (node.kind !== 'call' || node.args.length !== 2) return undefined
    const [a, b] = node.args as [Term, Term]
    if (isOperator(node.operator, 'eq') || isOperator(node.operator, 'equal'))
      return (
        this.#element(a, b) ?? this.#element(b, a) ?? this.#equation(a, b) ?? this.#equation(b, a)
      )
    return operatorName(node.operator) === 'internal.member_2' ? this.#memberOf(a, b) : undefined
  }

  #defined(term: Term): Constraint | undefined {
    if (term.kind !== 'ref' || !isIndexable(this.#f, term)) return undefined
    return { subject: term, pattern: undefined, isMember: false }
  }

  /** `ref[_] = value`: what is at the reference has the value as an element. */
  #element(ref: Term, value: Term): Constraint | undefined {
    if (ref.kind !== 'ref') return undefined
    const [head, ...rest] = ref.terms
    const last = rest.at(-1)
    if (!last || constantOf(last)) return undefined
    const prefix: RefTerm = { ...ref, terms: [head, ...rest.slice(0, -1)] }
    const known = value.kind === 'var' ? this.#constants.get(value.name) : value
    if (!known || !isScalar(known) || !isIndexable(this.#f, prefix)) return undefined
    return { subject: prefix, pattern: known, isMember: true }
  }

  #equation(a: Term, b: Term): Constraint | undefined {
    if (a.kind === 'var') {
      if (constantOf(b)) this.#constants.set(a.name, b)
      const subject = this.#names.get(a.name)
      const pattern = patternOf(b)
      return subject && pattern ? { subject, pattern, isMember: false } : undefined
    }
    if (a.kind !== 'ref' || !isIndexable(this.#f, a)) return undefined
    if (b.kind === 'var') {
      const pattern = this.#constants.get(b.name)
      if (!pattern) this.#names.set(b.name, a)
      const fits = pattern && patternOf(pattern)
      return { subject: a, pattern: fits, isMember: false }
    }
    const pattern = patternOf(b)
    return pattern && { subject: a, pattern, isMember: false }
  }

  #memberOf(a: Term, b: Term): Constraint | undefined {
    const subject = a.kind === 'var' ? this.#names.get(a.name) : undefined
    if (subject) {
      const among = b.kind === 'var' ? this.#constants.get(b.name) : b
      return among && constantOf(among)
        ? { subject: among, pattern: subject, isMember: true }
        : undefined
    }
    const value = a.kind === 'var' ? this.#constants.get(a.name) : a
    const collection = b.kind === 'var' ? this.#names.get(b.name) : b
    if (!value || !isScalar(value) || !collection) return undefined
    if (collection.kind === 'ref' && !isIndexable(this.#f, collection)) return undefined
    if (collection.kind !== 'ref' && collection.kind !== 'var') return undefined
    return { subject: collection, pattern: value, isMember: true }
  }
}

function isScalar({ kind }: Term): boolean {
  return kind === 'null' || kind === 'boolean' || kind === 'number' || kind === 'string'
}

/** A scalar, or an array of scalars in which variables stand for anything. */
function patternOf(term: Term): Term | undefined {
  if (isScalar(term)) return term
  if (term.kind !== 'array') return undefined
  const items = term.items.map((item) => {
    if (item.kind === 'var') return { ...item, name: `$any ${item.name}` }
    return isScalar(item) ? item : undefined
  })
  const known = items.filter((item) => item !== undefined)
  return known.length === items.length ? { ...term, items: known } : undefined
}

/** A constant path into the input, or into `data` where no rules are. */
export function isIndexable(f: Frame, { terms: [head, ...rest] }: RefTerm): boolean {
  if (head.kind !== 'var' || !rest.every(isScalar)) return false
  if (head.name === 'input') return true
  return head.name === 'data' && rest.length > 0 && !isVirtual(f.planner.input.tree, rest)
}

function isVirtual(root: RuleNode, path: readonly Term[]): boolean {
  let node = root
  for (const term of path) {
    const child = term.kind === 'string' ? node.children.get(term.value) : undefined
    if (!child) return false
    if (child.rules.length > 0) return true
    node = child
  }
  return true
}

/** Whether evaluating an expression may end the evaluation: rules may conflict, builtins fail where errors are strict. */
export function mayFail(f: Frame, expr: Expr): boolean {
  const known = f.planner.failing.get(expr)
  if (known !== undefined) return known
  const found = canFail(f, expr)
  f.planner.failing.set(expr, found)
  return found
}

function canFail(f: Frame, expr: Expr): boolean {
  let found = false
  walkExpr(
    expr,
    (term) => {
      const [head] = term.kind === 'ref' ? term.terms : []
      const isRule = term.kind === 'ref' && head?.kind === 'var' && head.name === 'data'
      if (term.kind === 'objectComprehension' || (isRule && !isIndexable(f, term))) found = true
      return !found
    },
    ({ node }) => {
      if (node.kind !== 'call') return true
      const name = operatorName(node.operator) ?? ''
      if (name.startsWith('data.')) found = true
      else if (f.planner.input.strictErrors && !SAFE.has(name)) found = true
      return !found
    },
  )
  return found
}

const SAFE: ReadonlySet<string> = new Set([
  ...['eq', 'equal', 'neq', 'lt', 'lte', 'gt', 'gte'],
  ...['internal.member_2', 'internal.member_3', 'count'],
])

/** Rules in the order in which OPA's index finds them. */
export function indexOrder(f: Frame, rules: readonly PlacedRule[]): readonly PlacedRule[] {
  const constraints = rules.map(({ rule }) =>
    constraintsOf(f, rule).filter((one) => one !== undefined),
  )
  const subjects = subjectsOf(constraints.flat())
  if (subjects.length === 0) return rules
  const ranks = constraints.map((own) => subjects.map((subject) => rankOf(own, subject)))
  return rules
    .map((rule, i) => ({ rule, i }))
    .sort((x, y) => {
      for (const [at, rank] of (ranks[x.i] ?? []).entries()) {
        const order = rank - (ranks[y.i]?.[at] ?? 0)
        if (order !== 0) return order
      }
      return x.i - y.i
    })
    .map(({ rule }) => rule)
}

/** What is asked most often first, and then what stands first. */
function subjectsOf(constraints: readonly Constraint[]): string[] {
  const found = new Map<string, { count: number; row: number; col: number }>()
  for (const { subject } of constraints) {
    const key = termKey(subject)
    const head = subject.kind === 'ref' ? subject.terms[0] : subject
    const { row, col } = (head.kind === 'var' ? head.lastUse?.loc : undefined) ?? head.loc
    const known = found.get(key)
    if (known) known.count++
    else found.set(key, { count: 1, row, col })
  }
  return [...found]
    .sort(([, a], [, b]) => b.count - a.count || a.row - b.row || a.col - b.col)
    .map(([key]) => key)
}

/** Those that do not ask are found first, then those that only want it to be there. */
function rankOf(own: readonly Constraint[], subject: string): number {
  const asked = own.filter((one) => termKey(one.subject) === subject)
  if (asked.length === 0) return 0
  return asked.every(({ pattern }) => pattern === undefined) ? 1 : 2
}
