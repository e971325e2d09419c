// Which locals of a function live in which of its outermost blocks. A local whose last block is over gives its place to
// another: V8's first compiler takes time in proportion to blocks times locals, and a set of a thousand rules has
// thousands of both.
import type { Block, Local, Operand, Stmt } from '../ir/ir.ts'

export interface Lifetime {
  readonly first: number
  last: number
  /** Whether it is asked if it has a value, so that it must not have an old one. */
  isTested: boolean
}

/** Fields that hold a local as a plain number. */
const LOCAL_FIELDS: ReadonlySet<string> = new Set([
  ...['a', 'array', 'b', 'keep', 'key', 'local', 'object', 'result', 'set', 'source', 'target'],
  ...['use', 'value'],
])
/** Statements whose `value` is a number of another kind. */
const PLAIN_VALUE: ReadonlySet<string> = new Set(['AssignIntStmt', 'MakeNumberIntStmt'])
const TESTS: ReadonlySet<string> = new Set([
  'IsDefinedStmt',
  'IsUndefinedStmt',
  'AssignVarOnceStmt',
])

export function lifetimes(blocks: readonly Block[]): ReadonlyMap<Local, Lifetime> {
  const found = new Map<Local, Lifetime>()
  for (const [at, block] of blocks.entries()) visitBlock(block, at, found)
  return found
}

function visitBlock({ stmts }: Block, at: number, found: Map<Local, Lifetime>): void {
  for (const stmt of stmts) visitStmt(stmt, at, found)
}

function visitStmt(stmt: Stmt, at: number, found: Map<Local, Lifetime>): void {
  const isTest = TESTS.has(stmt.type)
  const fields = stmt as unknown as Readonly<Record<string, unknown>>
  // A plain loop: this runs for every statement, and entries would be thrown away at once.
  for (const field in fields) {
    const value = fields[field]
    if (typeof value === 'number') {
      const isLocal = LOCAL_FIELDS.has(field) && !(field === 'value' && PLAIN_VALUE.has(stmt.type))
      if (isLocal && value >= 0) use(value, at, isTest, found)
    } else if (Array.isArray(value)) {
      for (const one of value) visitPart(one, stmt, at, found)
    } else visitPart(value, stmt, at, found)
  }
}

/** An operand, a block, or an argument that is a local. */
function visitPart(part: unknown, stmt: Stmt, at: number, found: Map<Local, Lifetime>): void {
  if (typeof part === 'number') {
    if (stmt.type === 'CallDynamicStmt') use(part, at, false, found)
    return
  }
  if (part === null || typeof part !== 'object') return
  if ('stmts' in part) visitBlock(part as Block, at, found)
  else {
    const operand = part as Operand
    if (operand.type === 'local') use(operand.value, at, false, found)
  }
}

function use(local: Local, at: number, isTested: boolean, found: Map<Local, Lifetime>): void {
  const known = found.get(local)
  if (!known) {
    found.set(local, { first: at, last: at, isTested })
    return
  }
  known.last = at
  known.isTested ||= isTested
}
