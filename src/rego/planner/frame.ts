// What is known while one function is planned. Bodies are planned in continuation-passing style: each expression emits its
// statements and then asks for the rest, so that the rest of a body lies inside the loops of what comes before it.
import type { Body, Expr, Loc, RefTerm, Term } from '../ast/ast.ts'
import type { Block, Local, Operand, Stmt } from '../ir/ir.ts'
import { Bindings } from './bindings.ts'
import type { PlannerInput } from './input.ts'
import type { TracePoint, Tracing } from './points.ts'
import { constantOf, type Statics } from './statics.ts'
import type { RuleNode } from '../ast/tree.ts'
import type { Variant } from './variant.ts'

export const INPUT: Local = 0
export const DATA: Local = 1

export type Next = () => void
export type WithValue = (value: Operand) => void

export class PlanError extends Error {}

export interface PlannedRule {
  readonly path: string
  readonly row: number
  /** It has no body of its own. */
  readonly isBare: boolean
}

/** Forms that contain one another, however they are nested: each file that needs them asks here. */
export interface Forms {
  term(f: Frame, term: Term, next: WithValue): void
  body(f: Frame, body: Body, i: number, next: Next, begun?: Tracing): void
  expr(f: Frame, expr: Expr, next: Next): void
}

/** The case of a parameterized test: its path below `data`, known somewhere in the body. */
export interface PendingCase {
  readonly body: Body
  readonly name: Term
}

/** What the functions of one policy share. */
export interface Whole {
  readonly input: PlannerInput
  readonly statics: Statics
  readonly forms: Forms
  /** Expressions that may end the evaluation. */
  readonly failing: WeakMap<Expr, boolean>
  hasWrittenSets: boolean
  /** The function of the rules at a node; planned when first asked for. */
  rules(node: RuleNode, under: Variant): string
  /** The function of the document at a node without rules of its own. */
  document(node: RuleNode, under: Variant): string
  builtin(name: string): void
  point(point: TracePoint): number
  slot(): number
}

/** State of a function under way; a fresh one for each. */
export class Frame {
  readonly planner: Whole
  variant: Variant
  next: Local
  stmts: Stmt[] = []
  /** Variables that have a value, and constant references already read. */
  readonly vars = new Bindings()
  withDepth = 0
  /** Inside an array comprehension, where the order of solutions is the order of elements. */
  ordered = false
  /** References read before the rules: undefined ones are left without a value. */
  readonly shared = new Map<string, Local>()
  /** The rule under way, and the expression of it that a trace build looks at. */
  rule: PlannedRule | undefined
  tracing: Tracing | undefined
  /** The case of a test that is under way, until it is named. */
  testCase: PendingCase | undefined
  /** Where the expression stands that is planned. */
  loc: Loc | undefined
  /** How many blocks are open; a break counts from the innermost. */
  depth = 0
  /** Sets as they were written -> the same ones made. */
  readonly written = new Map<Local, Operand>()

  constructor(planner: Whole, variant: Variant, params: number) {
    this.planner = planner
    this.variant = variant
    this.next = params
  }

  local(): Local {
    return this.next++
  }

  emit(stmt: Stmt): void {
    this.stmts.push(stmt)
  }

  /** Runs with statements going to a new block; what it binds is forgotten afterwards. */
  block(fill: Next): Block {
    const outer = this.stmts
    const mark = this.vars.mark()
    const stmts: Stmt[] = []
    this.stmts = stmts
    this.depth++
    fill()
    this.depth--
    this.stmts = outer
    this.vars.reset(mark)
    return { stmts }
  }

  string(text: string): Operand {
    return { type: 'string_index', value: this.planner.statics.string(text) }
  }

  constant(term: Term): Operand | undefined {
    const constant = constantOf(term)
    if (!constant) return undefined
    if (constant.kind === 'boolean') return { type: 'bool', value: constant.value }
    if (constant.kind === 'string') return this.string(constant.value)
    return { type: 'const_index', value: this.planner.statics.constant(constant) }
  }

  assign(source: Operand, target: Local): void {
    this.emit({ type: 'AssignVarStmt', source, target })
  }

  toLocal(operand: Operand): Local {
    if (operand.type === 'local') return operand.value
    const target = this.local()
    this.assign(operand, target)
    return target
  }

  shadowed(path: readonly string[]): boolean {
    return this.variant.shadows.includes(path.join('\u0000'))
  }

  node(path: readonly string[]): RuleNode | undefined {
    let node: RuleNode | undefined = this.planner.input.tree
    for (const key of path) node = node?.children.get(key)
    return node
  }
}

/** Plans a term and goes on with its value. */
export function planTerm(f: Frame, term: Term, next: WithValue): void {
  f.planner.forms.term(f, term, next)
}

/** Plans a body from its `i`-th expression on. */
export function planBody(f: Frame, body: Body, i: number, next: Next, begun?: Tracing): void {
  f.planner.forms.body(f, body, i, next, begun)
}

/** Plans one expression and goes on where it holds. */
export function planExpr(f: Frame, expr: Expr, next: Next): void {
  f.planner.forms.expr(f, expr, next)
}

/** A reference to a document below `data`. */
export function dataPath(path: readonly string[]): RefTerm {
  return {
    kind: 'ref',
    loc: NOWHERE,
    terms: [{ kind: 'var', name: 'data', loc: NOWHERE }, ...pathTerms(path)],
  }
}

/** A constant path as the terms of a reference. */
export function pathTerms(path: readonly string[], loc = NOWHERE): Term[] {
  return path.map((value) => ({ kind: 'string', value, loc }) as const)
}

const NOWHERE = { file: '', row: 0, col: 0, length: 0 }

export function namesOf(ref: RefTerm): string[] {
  return ref.terms.map((t) => (t.kind === 'var' ? t.name : t.kind === 'string' ? t.value : ''))
}

/** Whether a reference is a constant path into the input. */
export function isInputPath(ref: RefTerm): boolean {
  const [head, ...rest] = ref.terms
  return (
    head.kind === 'var' &&
    head.name === 'input' &&
    rest.length > 0 &&
    rest.every((t) => t.kind === 'string')
  )
}
