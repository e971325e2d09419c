// The functions of rules: of one value, of a set, or of an object with keys that are found when they run.
import type { Rule, Term } from '../ast/ast.ts'
import type { Block, Func, Local, Operand } from '../ir/ir.ts'
import { planRuleBody } from './bodies.ts'
import { hasCases, pendingCase } from './cases.ts'
import { indexOrder } from './constraints.ts'
import { DATA, type Frame, INPUT, type Next, pathTerms, planTerm } from './frame.ts'
import { indexRules, type RuleIndex } from './rule-index.ts'
import { readShared } from './shared.ts'
import { constantOf } from './statics.ts'
import { made, planTerms } from './terms.ts'
import { isDynamic, isFunction, type PlacedRule, type RuleNode, rulesBelow } from '../ast/tree.ts'
import { unifyValue } from './unify.ts'

type Base = Pick<Func, 'name' | 'path'>

export function planRules(f: Frame, name: string, node: RuleNode): Func {
  const base = { name, path: ['g0', ...node.path] }
  if (isDynamic(node)) return objectFunc(f, base, node)
  const [first] = node.rules
  if (first?.rule.head.key && !first.rule.head.value) return setFunc(f, base, node)
  return valueFunc(f, base, node)
}

/** Rules that give one value: several may, if they agree. */
function valueFunc(f: Frame, base: Base, node: RuleNode): Func {
  const result = f.local()
  const params = paramsOf(node)
  const given = node.rules.filter(({ rule }) => !rule.isDefault)
  const fallback = node.rules.find(({ rule }) => rule.isDefault)
  const early = sameConstant(given)
  const rules = early && given.length > 1 ? indexOrder(f, given) : given
  const index = indexRules(f, allBranches(rules), params)
  const value = { params, result, early, index }
  const shared = readShared(
    f,
    rules.map(({ rule }) => rule),
  )
  const blocks = [
    ...index.blocks,
    ...shared,
    ...rules.flatMap(({ rule }) => valueBlocks(f, node, rule, value)),
  ]
  if (fallback) blocks.push(defaultBlock(f, node, fallback.rule, result))
  blocks.push({
    stmts: [
      { type: 'IsDefinedStmt', source: result },
      { type: 'ReturnLocalStmt', source: result },
    ],
  })
  const memo = params.length === 0 && !isFunction(node)
  return { ...base, params: [INPUT, DATA, ...params], return: result, blocks, memo }
}

interface Value {
  readonly params: readonly Local[]
  readonly result: Local
  /** All rules give the same: the first that holds returns. */
  readonly early: boolean
  readonly index: RuleIndex
}

/** One rule and its `else` branches, each of which runs when those before it gave nothing. */
function valueBlocks(
  f: Frame,
  node: RuleNode,
  rule: Rule,
  { params, result, early, index }: Value,
): Block[] {
  const own = f.local()
  const blocks = branchesOf(rule).map((branch, at) =>
    ruleBlock(f, node, branch, () => {
      const { head } = branch
      begin(f, own, at)
      index.guard(branch)
      planArgs(f, params, head.args ?? [], 0, () =>
        planRuleBody(f, branch, () =>
          planTerm(f, head.value as Term, (value) => {
            if (early && f.withDepth === 0) {
              f.emit({ type: 'ReturnLocalStmt', source: f.toLocal(value) })
            } else f.emit({ type: 'AssignVarOnceStmt', source: value, target: own })
          }),
        ),
      )
    }),
  )
  return [
    ...blocks,
    {
      stmts: [
        { type: 'IsDefinedStmt', source: own },
        { type: 'AssignVarOnceStmt', source: { type: 'local', value: own }, target: result },
      ],
    },
  ]
}

function defaultBlock(f: Frame, node: RuleNode, rule: Rule, result: Local): Block {
  const { head } = rule
  return ruleBlock(f, node, rule, () => {
    f.emit({ type: 'IsUndefinedStmt', source: result })
    planRuleBody(f, rule, () =>
      planTerm(f, head.value as Term, (value) =>
        f.emit({ type: 'AssignVarOnceStmt', source: value, target: result }),
      ),
    )
  })
}

/** The first branch starts with nothing; a later one runs only when there still is nothing. */
function begin(f: Frame, local: Local, at: number): void {
  if (at === 0) f.emit({ type: 'ResetLocalStmt', target: local })
  else f.emit({ type: 'IsUndefinedStmt', source: local })
}

function ruleBlock(f: Frame, { path }: RuleNode, rule: Rule, fill: Next): Block {
  f.rule = { path: ['data', ...path].join('.'), row: rule.loc.row, isBare: rule.generatedBody }
  return f.block(fill)
}

const allBranches = (rules: readonly PlacedRule[]): Rule[] =>
  rules.flatMap(({ rule }) => branchesOf(rule))

function branchesOf(rule: Rule): Rule[] {
  const branches: Rule[] = []
  for (let branch: Rule | undefined = rule; branch; branch = branch.else) branches.push(branch)
  return branches
}

function paramsOf(node: RuleNode): Local[] {
  const count = isFunction(node) ? (node.rules[0]?.rule.head.args?.length ?? 0) : 0
  return Array.from({ length: count }, (_, i) => 2 + i)
}

function planArgs(
  f: Frame,
  params: readonly Local[],
  args: readonly Term[],
  i: number,
  next: Next,
): void {
  const arg = args[i]
  const param = params[i]
  if (!arg || param === undefined) return next()
  unifyValue(f, { type: 'local', value: param }, arg, () => planArgs(f, params, args, i + 1, next))
}

function setFunc(f: Frame, base: Base, node: RuleNode): Func {
  const result = f.local()
  const index = indexRules(f, allBranches(node.rules), [])
  const shared = readShared(
    f,
    node.rules.map(({ rule }) => rule),
  )
  const members = node.rules.map(({ rule }) =>
    ruleBlock(f, node, rule, () => {
      index.guard(rule)
      planRuleBody(f, rule, () =>
        planTerm(f, rule.head.key as Term, (value) =>
          f.emit({ type: 'SetAddStmt', value: made(f, value), set: result }),
        ),
      )
    }),
  )
  const blocks: Block[] = [
    { stmts: [{ type: 'MakeSetStmt', target: result }] },
    ...index.blocks,
    ...shared,
    ...members,
    { stmts: [{ type: 'ReturnLocalStmt', source: result }] },
  ]
  return { ...base, params: [INPUT, DATA], return: result, blocks, memo: true }
}

/** Rules with keys that are found when they run, and all rules below them, as one object. */
function objectFunc(f: Frame, base: Base, node: RuleNode): Func {
  const result = f.local()
  const all = rulesBelow(node).filter(({ rule }) => !rule.head.args)
  const depth = node.path.length
  // A test says which cases it began, of whatever cannot hold too.
  const known = all.some(({ rule }) => hasCases(f, rule)) ? [] : all
  const index = indexRules(f, allBranches(known), [])
  const shared = readShared(
    f,
    known.map(({ rule }) => rule),
  )
  const blocks: Block[] = [
    { stmts: [{ type: 'MakeObjectStmt', target: result }] },
    ...index.blocks,
    ...shared,
    ...all
      .filter(({ rule }) => !rule.isDefault)
      .flatMap((one) => objectBlocks(f, node, one, { result, depth, index, fallback: false })),
    ...all
      .filter(({ rule }) => rule.isDefault)
      .flatMap((one) => objectBlocks(f, node, one, { result, depth, index, fallback: true })),
    { stmts: [{ type: 'ReturnLocalStmt', source: result }] },
  ]
  return { ...base, params: [INPUT, DATA], return: result, blocks, memo: true }
}

interface Part {
  readonly result: Local
  /** How long the path is of the node whose object is made. */
  readonly depth: number
  /** A default gives way to what is there. */
  readonly fallback: boolean
  readonly index: RuleIndex
}

function objectBlocks(f: Frame, node: RuleNode, placed: PlacedRule, part: Part): Block[] {
  const { rule, suffix, path } = placed
  const keys: Term[] = [...pathTerms(path.slice(part.depth), rule.loc), ...suffix]
  const done = f.local()
  return branchesOf(rule).map((branch, at) =>
    ruleBlock(f, node, branch, () => {
      if (rule.else) begin(f, done, at)
      part.index.guard(branch)
      f.testCase = pendingCase(f, placed, branch)
      planRuleBody(f, branch, () =>
        planTerms(f, keys, 0, [], (operands) => {
          insertPart(f, branch, operands, part)
          if (rule.else) f.assign({ type: 'bool', value: true }, done)
        }),
      )
      f.testCase = undefined
    }),
  )
}

function insertPart(
  f: Frame,
  { head }: Rule,
  path: readonly Operand[],
  { result: object, fallback }: Part,
): void {
  if (head.key && !head.value) {
    planTerm(f, head.key, (value) =>
      f.emit({ type: 'NestedAddStmt', object, path, value: made(f, value) }),
    )
  } else {
    planTerm(f, head.value as Term, (value) =>
      f.emit({ type: 'NestedInsertStmt', object, path, value: made(f, value), fallback }),
    )
  }
}

/** Whether all branches give one and the same constant: then the first success decides. */
function sameConstant(rules: readonly PlacedRule[]): boolean {
  let text: string | undefined
  for (const { rule } of rules) {
    if (rule.else || !rule.head.value) return false
    const constant = constantOf(rule.head.value)
    if (!constant) return false
    const own = JSON.stringify(constant)
    if (text !== undefined && own !== text) return false
    text = own
  }
  return true
}
