// The rule index: rules that compare one and the same input path or argument with constants. What is there is looked up
// once in a table of the constants; each rule then only asks for its number before it does anything.
import type { Expr, RefTerm, Rule, Term } from '../ast/ast.ts'
import type { Block, Constant, Local, Operand } from '../ir/ir.ts'
import { isOperator } from '../ast/operators.ts'
import { type Frame, isInputPath, namesOf, planTerm } from './frame.ts'
import { compareConstants, constantOf } from './statics.ts'

/** Fewer rules are tried one by one as fast. */
const RULES_MIN = 4

export interface RuleIndex {
  /** What has to come before the rules. */
  readonly blocks: readonly Block[]
  /** Ends the block of a rule that cannot hold. */
  guard(rule: Rule): void
}

const NONE: RuleIndex = { blocks: [], guard: () => undefined }

/** A rule can only hold when what is at `place` equals the constant. */
interface Key {
  readonly place: string
  readonly source: RefTerm | number
  readonly constant: Constant
}

export function indexRules(f: Frame, rules: readonly Rule[], params: readonly Local[]): RuleIndex {
  // A trace shows what each expression came to.
  if (f.planner.input.trace || rules.length < RULES_MIN) return NONE
  const keys = bestKeys(rules.map((rule) => [rule, keysOf(f, rule, params)]))
  const [first] = keys.values()
  if (!first) return NONE
  const constants = distinct([...keys.values()].map(({ constant }) => constant))
  if (constants.length < 2) return NONE
  const index = f.local()
  const numbers = new Map(constants.map((constant, at) => [JSON.stringify(constant), at]))
  return {
    blocks: lookUp(f, first.source, constants, index),
    guard: (rule) => {
      const key = keys.get(rule)
      const at = key && numbers.get(JSON.stringify(key.constant))
      if (at !== undefined) f.emit({ type: 'CaseStmt', source: index, at })
    },
  }
}

/** The place that most rules look at, with the key of each that does. */
function bestKeys(all: readonly (readonly [Rule, readonly Key[]])[]): Map<Rule, Key> {
  const places = new Map<string, Map<Rule, Key>>()
  for (const [rule, keys] of all) {
    for (const key of keys) {
      const found = places.get(key.place) ?? new Map<Rule, Key>()
      places.set(key.place, found)
      if (!found.has(rule)) found.set(rule, key)
    }
  }
  let best = new Map<Rule, Key>()
  for (const found of places.values()) if (found.size > best.size) best = found
  return best.size >= RULES_MIN ? best : new Map<Rule, Key>()
}

function keysOf(f: Frame, { head, body }: Rule, params: readonly Local[]): Key[] {
  const keys: Key[] = []
  for (const [i, arg] of (head.args ?? []).entries()) {
    const constant = scalar(arg)
    const param = params[i]
    if (constant && param !== undefined) keys.push({ place: `${i}`, source: param, constant })
  }
  for (const expr of body) {
    const key = keyOf(f, expr)
    if (key) keys.push(key)
  }
  return keys
}

function keyOf(f: Frame, { node, negated, with: mods }: Expr): Key | undefined {
  if (negated || mods.length > 0 || node.kind !== 'call' || node.args.length !== 2) return undefined
  const name = ['eq', 'equal'].find((one) => isOperator(node.operator, one))
  if (name === undefined || f.variant.mocks.has(name)) return undefined
  const [a, b] = node.args as [Term, Term]
  const [path, value] = a.kind === 'ref' ? [a, b] : [b, a]
  const constant = scalar(value)
  if (path.kind !== 'ref' || !constant || !isInputPath(path)) return undefined
  return { place: namesOf(path).join('\u0000'), source: path, constant }
}

function scalar(term: Term): Constant | undefined {
  const constant = constantOf(term)
  const isComposite = constant && ['array', 'object', 'set'].includes(constant.kind)
  return isComposite ? undefined : constant
}

function distinct(constants: Constant[]): Constant[] {
  const sorted = constants.sort(compareConstants)
  const isNew = (one: Constant, i: number) => {
    const before = sorted[i - 1]
    return !before || compareConstants(before, one) !== 0
  }
  return sorted.filter(isNew)
}

/** Leaves in `index` which of the constants is there; -1 when none is. */
function lookUp(
  f: Frame,
  source: RefTerm | number,
  constants: readonly Constant[],
  index: Local,
): Block[] {
  const pairs = constants.map(
    (constant, at) => [constant, { kind: 'number', text: String(at) }] as const,
  )
  const table = f.planner.statics.constant({ kind: 'object', pairs })
  const found = (value: Operand) =>
    f.emit({ type: 'IndexStmt', source: value, table, target: index })
  return [
    { stmts: [{ type: 'IndexStmt', source: undefined, table, target: index }] },
    f.block(() =>
      typeof source === 'number'
        ? found({ type: 'local', value: source })
        : planTerm(f, source, found),
    ),
  ]
}
