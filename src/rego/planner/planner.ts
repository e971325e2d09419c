// Syntax tree -> IR. Bodies are planned in continuation-passing style: each expression emits its statements and then asks
// for the rest, so that the rest of a body lies inside the loops of what comes before it.
import type { Body, Expr, Module, RefTerm, SetTerm, Term, VarTerm } from '../ast/ast.ts'
import { walkTerm } from '../ast/walk.ts'
import { machineBuiltin } from '../codegen/machine.ts'
import type { Block, Func, Local, Operand, Plan, Policy, Stmt } from '../ir/ir.ts'
import { isOperator, operatorName } from '../parser/terms.ts'
import { constantOf, Statics } from './statics.ts'
import {
  hasContent,
  hasRules,
  isDynamic,
  isFunction,
  type PlacedRule,
  type RuleNode,
  rulesBelow,
} from './tree.ts'

export interface PlannerInput {
  readonly tree: RuleNode
  readonly modules: readonly Module[]
  /** Number of operands of a builtin or declared function by name. */
  readonly arity: (name: string) => number | undefined
  /** Functions that the embedder brings. */
  readonly plain: ReadonlySet<string>
  readonly trace: boolean
}

export interface Entrypoint {
  readonly name: string
  /** Path below `data`, or a query whose variables are the result. */
  readonly path?: readonly string[]
  readonly query?: { readonly body: Body; readonly vars: readonly (readonly [string, string])[] }
}

export interface TracePoint {
  readonly file: string
  readonly row: number
  readonly col: number
  readonly length: number
}

const INPUT: Local = 0
const DATA: Local = 1
/** Where values that stand in for functions travel: a key that no document of a user has. */
const MOCKS = '\u0001mocks'

/** What `with` replaces while functions are planned: documents that are shadowed, functions that are swapped. */
interface Variant {
  readonly key: string
  readonly shadows: readonly string[]
  readonly mocks: ReadonlyMap<string, Mock>
}
type Mock =
  | { readonly to: 'function'; readonly operator: RefTerm }
  | { readonly to: 'value'; readonly key: string }

const PLAIN: Variant = { key: '', shadows: [], mocks: new Map() }

export class PlanError extends Error {}

export class Planner {
  readonly input: PlannerInput
  readonly statics = new Statics()
  readonly funcs = new Map<string, Func>()
  readonly tracePoints: TracePoint[] = []

  constructor(input: PlannerInput) {
    this.input = input
    for (const { file } of input.modules) this.statics.file(file)
  }

  plan(entrypoints: readonly Entrypoint[]): Policy {
    const plans: Plan[] = entrypoints.map((entry) =>
      new FunctionPlanner(this, PLAIN, 2).entry(entry),
    )
    return {
      static: {
        strings: this.statics.strings,
        constants: this.statics.constants,
        builtins: [...this.statics.builtins.values()],
        files: this.statics.files,
      },
      plans,
      funcs: [...this.funcs.values()],
      tracePoints: this.tracePoints.length,
    }
  }

  /** The function of the rules at a node; planned when first asked for. */
  rules(node: RuleNode, variant: Variant): string {
    const name = `g${variant.key}.data.${node.path.join('.')}`
    if (!this.funcs.has(name)) {
      const args = isFunction(node) ? (node.rules[0]?.rule.head.args?.length ?? 0) : 0
      this.#reserve(name, node.path, args)
      const planned = new FunctionPlanner(this, variant, 2 + args).rules(name, node)
      this.#define(name, planned)
    }
    return name
  }

  /** The function of the document at a node without rules of its own: virtual documents over base ones. */
  document(node: RuleNode, variant: Variant): string {
    const name = `d${variant.key}.data.${node.path.join('.')}`
    if (!this.funcs.has(name)) {
      this.#reserve(name, node.path, 0)
      this.#define(name, new FunctionPlanner(this, variant, 2).document(name, node))
    }
    return name
  }

  #reserve(name: string, path: readonly string[], args: number): void {
    const params = Array.from({ length: 2 + args }, (_, i) => i)
    this.funcs.set(name, { name, path, params, return: 0, blocks: [], memo: args === 0 })
  }
  #define(name: string, func: Func): void {
    this.funcs.set(name, func)
  }

  builtin(name: string): void {
    if (this.statics.builtins.has(name)) return
    const args = this.input.arity(name) ?? 0
    const home = this.input.plain.has(name)
      ? 'plain'
      : machineBuiltin(name) !== undefined
        ? 'machine'
        : 'host'
    this.statics.builtins.set(name, { name, args, home })
  }

  point(expr: Expr): number {
    const { file, row, col, length } = expr.loc
    return this.tracePoints.push({ file, row, col, length }) - 1
  }
}

type Next = () => void
type WithValue = (value: Operand) => void

/** Variables that have a value, and constant references already read; blocks forget what they bound. */
class Bindings {
  readonly #map = new Map<string, Operand>()
  readonly #log: (readonly [string, Operand | undefined])[] = []

  get(name: string): Operand | undefined {
    return this.#map.get(name)
  }
  has(name: string): boolean {
    return this.#map.has(name)
  }
  set(name: string, value: Operand | undefined): void {
    this.#log.push([name, this.#map.get(name)])
    this.#put(name, value)
  }
  #put(name: string, value: Operand | undefined): void {
    if (value) this.#map.set(name, value)
    else this.#map.delete(name)
  }
  mark(): number {
    return this.#log.length
  }
  reset(mark: number): void {
    while (this.#log.length > mark) {
      const [name, value] = this.#log.pop() ?? ['', undefined]
      this.#put(name, value)
    }
  }
  /** What is remembered of references, which a `with` may change. */
  caches(): (readonly [string, Operand])[] {
    return [...this.#map].filter(([key]) => key.includes('\u0000'))
  }
  dropCaches(): void {
    for (const [key] of this.caches()) this.set(key, undefined)
  }
}

class FunctionPlanner {
  readonly #planner: Planner
  #variant: Variant
  #next: Local
  #stmts: Stmt[] = []
  /** Variables that have a value, and constant references already read. */
  readonly #vars = new Bindings()
  #withDepth = 0
  /** Inside an array comprehension, where the order of solutions is the order of elements. */
  #ordered = false
  /** How many blocks are open; a break counts from the innermost. */
  #depth = 0
  #data: Local = DATA

  constructor(planner: Planner, variant: Variant, params: number) {
    this.#planner = planner
    this.#variant = variant
    this.#next = params
  }

  // ---- building blocks

  #local(): Local {
    return this.#next++
  }
  #emit(stmt: Stmt): void {
    this.#stmts.push(stmt)
  }
  /** Runs with statements going to a new block; what it binds is forgotten afterwards. */
  #block(fill: Next): Block {
    const outer = this.#stmts
    const mark = this.#vars.mark()
    const stmts: Stmt[] = []
    this.#stmts = stmts
    this.#depth++
    fill()
    this.#depth--
    this.#stmts = outer
    this.#vars.reset(mark)
    return { stmts }
  }
  #string(text: string): Operand {
    return { type: 'string_index', value: this.#planner.statics.string(text) }
  }
  #constant(term: Term): Operand | undefined {
    const constant = constantOf(term)
    if (!constant) return undefined
    if (constant.kind === 'boolean') return { type: 'bool', value: constant.value }
    if (constant.kind === 'string') return this.#string(constant.value)
    return { type: 'const_index', value: this.#planner.statics.constant(constant) }
  }
  #toLocal(operand: Operand): Local {
    if (operand.type === 'local') return operand.value
    const target = this.#local()
    this.#emit({ type: 'AssignVarStmt', source: operand, target })
    return target
  }

  // ---- entry points

  entry(entry: Entrypoint): Plan {
    const add = (pairs: readonly (readonly [string, Operand])[]) => {
      const object = this.#local()
      this.#emit({ type: 'MakeObjectStmt', target: object })
      for (const [key, value] of pairs) {
        this.#emit({ type: 'ObjectInsertStmt', key: this.#string(key), value, object })
      }
      this.#emit({ type: 'ResultSetAddStmt', value: object })
    }
    const block = this.#block(() => {
      if (entry.query) {
        const { body, vars } = entry.query
        this.#body(body, 0, () => {
          const pairs = vars.flatMap(([name, shown]) => {
            const value = this.#vars.get(name)
            return value ? [[shown, value] as const] : []
          })
          add(pairs)
        })
      } else {
        const loc = { file: '', row: 0, col: 0, length: 0 }
        const rest = (entry.path ?? []).map((value) => ({ kind: 'string', value, loc }) as const)
        const ref: RefTerm = {
          kind: 'ref',
          loc,
          terms: [{ kind: 'var', name: 'data', loc }, ...rest],
        }
        this.#term(ref, (value) => add([['result', value]]))
      }
    })
    return { name: entry.name, blocks: [block] }
  }

  rules(name: string, node: RuleNode): Func {
    const func = { name, path: ['g0', ...node.path] }
    if (isDynamic(node)) return this.#objectFunc(func, node)
    const [first] = node.rules
    if (first?.rule.head.key && !first.rule.head.value) return this.#setFunc(func, node)
    return this.#valueFunc(func, node)
  }

  /** Rules that give one value: several may, if they agree. */
  #valueFunc(base: { name: string; path: string[] }, node: RuleNode): Func {
    const result = this.#local()
    const params = this.#params(node)
    const rules = node.rules.filter(({ rule }) => !rule.isDefault)
    const fallback = node.rules.find(({ rule }) => rule.isDefault)
    const same = sameConstant(rules)
    const blocks: Block[] = []
    for (const { rule } of rules) {
      const own = this.#local()
      const chain: Block[] = []
      for (
        let branch: typeof rule | undefined = rule, first = true;
        branch;
        branch = branch.else, first = false
      ) {
        const { head, body } = branch
        chain.push(
          this.#block(() => {
            if (first) this.#emit({ type: 'ResetLocalStmt', target: own })
            else this.#emit({ type: 'IsUndefinedStmt', source: own })
            this.#args(params, head.args ?? [], 0, () =>
              this.#body(body, 0, () =>
                this.#term(head.value as Term, (value) => {
                  if (same && this.#withDepth === 0) {
                    const local = this.#toLocal(value)
                    this.#emit({ type: 'ReturnLocalStmt', source: local })
                  } else this.#emit({ type: 'AssignVarOnceStmt', source: value, target: own })
                }),
              ),
            )
          }),
        )
      }
      blocks.push(...chain)
      blocks.push({
        stmts: [
          { type: 'IsDefinedStmt', source: own },
          { type: 'AssignVarOnceStmt', source: { type: 'local', value: own }, target: result },
        ],
      })
    }
    if (fallback) {
      blocks.push(
        this.#block(() => {
          this.#emit({ type: 'IsUndefinedStmt', source: result })
          this.#body(fallback.rule.body, 0, () =>
            this.#term(fallback.rule.head.value as Term, (value) =>
              this.#emit({ type: 'AssignVarOnceStmt', source: value, target: result }),
            ),
          )
        }),
      )
    }
    blocks.push({
      stmts: [
        { type: 'IsDefinedStmt', source: result },
        { type: 'ReturnLocalStmt', source: result },
      ],
    })
    return {
      ...base,
      params: [INPUT, DATA, ...params],
      return: result,
      blocks,
      memo: params.length === 0 && !isFunction(node),
    }
  }

  #params(node: RuleNode): Local[] {
    const count = isFunction(node) ? (node.rules[0]?.rule.head.args?.length ?? 0) : 0
    return Array.from({ length: count }, (_, i) => 2 + i)
  }

  #args(params: readonly Local[], args: readonly Term[], i: number, next: Next): void {
    const arg = args[i]
    const param = params[i]
    if (!arg || param === undefined) return next()
    this.#unifyValue({ type: 'local', value: param }, arg, () =>
      this.#args(params, args, i + 1, next),
    )
  }

  #setFunc(base: { name: string; path: string[] }, node: RuleNode): Func {
    const result = this.#local()
    const blocks: Block[] = [{ stmts: [{ type: 'MakeSetStmt', target: result }] }]
    for (const { rule } of node.rules) {
      blocks.push(
        this.#block(() =>
          this.#body(rule.body, 0, () =>
            this.#term(rule.head.key as Term, (value) =>
              this.#emit({ type: 'SetAddStmt', value, set: result }),
            ),
          ),
        ),
      )
    }
    blocks.push({ stmts: [{ type: 'ReturnLocalStmt', source: result }] })
    return { ...base, params: [INPUT, DATA], return: result, blocks, memo: true }
  }

  /** Rules with keys that are found when they run, and all rules below them, as one object. */
  #objectFunc(base: { name: string; path: string[] }, node: RuleNode): Func {
    const result = this.#local()
    const blocks: Block[] = [{ stmts: [{ type: 'MakeObjectStmt', target: result }] }]
    const all = rulesBelow(node)
    const placed = all.filter(({ rule }) => !rule.isDefault && !rule.head.args)
    const plan = ({ rule, suffix, path }: PlacedRule, fallback: boolean) => {
      const { loc } = rule
      const fixed = path
        .slice(node.path.length)
        .map((value) => ({ kind: 'string', value, loc }) as const)
      const keys: Term[] = [...fixed, ...suffix]
      const done = this.#local()
      let first = true
      for (let branch: typeof rule | undefined = rule; branch; branch = branch.else) {
        const { head, body } = branch
        const begin = first
        first = false
        blocks.push(
          this.#block(() => {
            if (rule.else) {
              if (begin) this.#emit({ type: 'ResetLocalStmt', target: done })
              else this.#emit({ type: 'IsUndefinedStmt', source: done })
            }
            this.#body(body, 0, () =>
              this.#terms(keys, 0, [], (operands) => {
                if (head.key && !head.value) {
                  this.#term(head.key, (value) =>
                    this.#emit({ type: 'NestedAddStmt', object: result, path: operands, value }),
                  )
                } else {
                  this.#term(head.value as Term, (value) =>
                    this.#emit({
                      type: 'NestedInsertStmt',
                      object: result,
                      path: operands,
                      value,
                      fallback,
                    }),
                  )
                }
                if (rule.else)
                  this.#emit({
                    type: 'AssignVarStmt',
                    source: { type: 'bool', value: true },
                    target: done,
                  })
              }),
            )
          }),
        )
      }
    }
    for (const rule of placed) plan(rule, false)
    for (const rule of all) if (rule.rule.isDefault && !rule.rule.head.args) plan(rule, true)
    blocks.push({ stmts: [{ type: 'ReturnLocalStmt', source: result }] })
    return { ...base, params: [INPUT, DATA], return: result, blocks, memo: true }
  }

  document(name: string, node: RuleNode): Func {
    const result = this.#local()
    const virtual = this.#local()
    const blocks: Block[] = [{ stmts: [{ type: 'MakeObjectStmt', target: virtual }] }]
    for (const [key, child] of node.children) {
      if (!hasContent(child)) continue
      if (isFunction(child) && child.children.size === 0) continue
      if (this.#shadowed(child.path)) continue
      blocks.push(
        this.#block(() => {
          const value = this.#nodeValue(child)
          this.#emit({ type: 'ObjectInsertStmt', key: this.#string(key), value, object: virtual })
        }),
      )
    }
    blocks.push({
      stmts: [{ type: 'AssignVarStmt', source: { type: 'local', value: virtual }, target: result }],
    })
    blocks.push(
      this.#block(() => {
        let base: Operand = { type: 'local', value: this.#data }
        for (const key of node.path) base = this.#dot(base, this.#string(key))
        const target = this.#local()
        this.#emit({ type: 'ObjectMergeStmt', a: virtual, b: this.#toLocal(base), target })
        this.#emit({
          type: 'AssignVarStmt',
          source: { type: 'local', value: target },
          target: result,
        })
      }),
    )
    blocks.push({ stmts: [{ type: 'ReturnLocalStmt', source: result }] })
    return {
      name,
      path: ['d0', ...node.path],
      params: [INPUT, DATA],
      return: result,
      blocks,
      memo: true,
    }
  }

  /** The whole value of a node of the tree. */
  #nodeValue(node: RuleNode): Operand {
    const target = this.#local()
    const args: Operand[] = [
      { type: 'local', value: INPUT },
      { type: 'local', value: this.#data },
    ]
    const isRule = node.rules.length > 0 && !isFunction(node)
    const func = isRule
      ? this.#planner.rules(node, this.#variant)
      : this.#planner.document(node, this.#variant)
    this.#emit({ type: 'CallStmt', func, args, result: target })
    return { type: 'local', value: target }
  }

  #shadowed(path: readonly string[]): boolean {
    return this.#variant.shadows.includes(path.join('\u0000'))
  }

  // ---- bodies and expressions

  #body(body: Body, i: number, next: Next): void {
    if (i === 0) this.#hoist(body)
    const expr = body[i]
    if (!expr) return next()
    const rest = () => this.#body(body, i + 1, next)
    if (!this.#planner.input.trace || expr.generated) return this.#expr(expr, rest)
    const point = this.#planner.point(expr)
    this.#emit({ type: 'TraceStmt', point, outcome: 0 })
    this.#expr(expr, () => {
      this.#emit({ type: 'TraceStmt', point, outcome: 1 })
      rest()
    })
  }

  /** Reads constant paths into `input` before the first loop: if one is undefined, so is the body. */
  #hoist(body: Body): void {
    // A trace shows expressions in the order in which they stand.
    if (body.length < 2 || this.#planner.input.trace) return
    for (const expr of body) {
      const { node } = expr
      if (expr.negated || expr.with.length > 0) continue
      if (node.kind !== 'call' && node.kind !== 'term') continue
      for (const term of node.kind === 'call' ? node.args : [node.term]) {
        if (term.kind === 'ref' && isInputPath(term)) this.#term(term, () => undefined)
      }
    }
  }

  #expr(expr: Expr, next: Next): void {
    if (expr.with.length > 0) return this.#with(expr, next)
    if (expr.negated) return this.#not(expr, next)
    const { node } = expr
    switch (node.kind) {
      case 'term':
        return this.#term(node.term, (value) => {
          if (value.type === 'bool' && value.value) return next()
          if (!alwaysTrue(node.term))
            this.#emit({ type: 'NotEqualStmt', a: value, b: { type: 'bool', value: false } })
          next()
        })
      case 'call':
        return this.#callExpr(node.operator, node.args, next)
      case 'every':
        return this.#term(node.domain, (domain) => {
          const source = this.#toLocal(domain)
          this.#emit({ type: 'IsCollectionStmt', source: domain })
          // Every element passes when none is found whose body has no solution.
          const failed = this.#exists((found) =>
            this.#scan(source, node.key !== undefined, true, (key, value) => {
              if (node.key && key) this.#vars.set(node.key.name, key)
              if (value) this.#vars.set(node.value.name, value)
              this.#emit({
                type: 'IsUndefinedStmt',
                source: this.#exists((passed) => this.#body(node.body, 0, passed)),
              })
              found()
            }),
          )
          this.#emit({ type: 'IsUndefinedStmt', source: failed })
          next()
        })
      case 'body':
        this.#emit({
          type: 'IsDefinedStmt',
          source: this.#exists((found) => this.#body(node.body, 0, found)),
        })
        return next()
      default:
        throw new PlanError(`cannot plan a ${node.kind} expression`)
    }
  }

  /** Looks for one solution and leaves it at that; the local is defined when there is one. */
  #exists(search: (found: Next) => void): Local {
    const done = this.#local()
    const withDepth = this.#withDepth
    this.#emit({ type: 'ResetLocalStmt', target: done })
    const block = this.#block(() => {
      const depth = this.#depth
      search(() => {
        this.#emit({ type: 'AssignVarStmt', source: { type: 'bool', value: true }, target: done })
        // A break must not skip what a \`with\` has to put back.
        if (this.#withDepth === withDepth)
          this.#emit({ type: 'BreakStmt', index: this.#depth - depth })
      })
    })
    this.#emit({ type: 'BlockStmt', blocks: [block] })
    return done
  }

  #not(expr: Expr, next: Next): void {
    const { node } = expr
    const positive: Expr = { ...expr, negated: false }
    if (node.kind === 'body') {
      this.#emit({
        type: 'IsUndefinedStmt',
        source: this.#exists((found) => this.#body(node.body, 0, found)),
      })
      return next()
    }
    const run = (inner: Expr) => {
      this.#emit({
        type: 'IsUndefinedStmt',
        source: this.#exists((found) => this.#expr(inner, found)),
      })
      next()
    }
    if (node.kind !== 'call') return run(positive)
    // As OPA rewrites them, operands that read documents are read before the negation, so that undefined ones make the
    // whole body undefined; the sides of an equation are not.
    const isEquation = isOperator(node.operator, 'eq') || isOperator(node.operator, 'equal')
    this.#lift(node.args, 0, isEquation, [], (args) =>
      run({ ...positive, node: { ...node, args } }),
    )
  }

  #lift(
    args: readonly Term[],
    i: number,
    isEquation: boolean,
    done: readonly Term[],
    next: (args: readonly Term[]) => void,
  ): void {
    const arg = args[i]
    if (!arg) return next(done)
    const stays =
      arg.kind === 'var' ||
      constantOf(arg) !== undefined ||
      (isEquation && (arg.kind === 'ref' || arg.kind.endsWith('Comprehension')))
    if (stays) return this.#lift(args, i + 1, isEquation, [...done, arg], next)
    this.#term(arg, (value) => {
      const name = `lifted ${this.#next++}`
      this.#vars.set(name, value)
      this.#lift(args, i + 1, isEquation, [...done, { kind: 'var', name, loc: arg.loc }], next)
    })
  }

  // ---- with

  #with(expr: Expr, next: Next): void {
    const plain: Expr = { ...expr, with: [] }
    const values = expr.with.filter(
      ({ target, value }) => this.#functionMock(target, value) === undefined,
    )
    this.#terms(
      values.map(({ value }) => value),
      0,
      [],
      (operands) => {
        const outer = {
          variant: this.#variant,
          mark: this.#vars.mark(),
          caches: this.#vars.caches(),
        }
        const input = this.#local()
        const data = this.#local()
        const memo = this.#local()
        this.#emit({
          type: 'AssignVarStmt',
          source: { type: 'local', value: INPUT },
          target: input,
        })
        this.#emit({ type: 'AssignVarStmt', source: { type: 'local', value: DATA }, target: data })
        let variant = outer.variant
        const stores: { local: Local; path: number[]; value: Operand }[] = []
        let used = 0
        for (const { target, value } of expr.with) {
          const mock = this.#functionMock(target, value)
          if (mock) {
            variant = swap(variant, mock.name, mock.mock)
            continue
          }
          const operand = operands[used++] as Operand
          const place = this.#target(target)
          if (place.mock !== undefined) {
            variant = swap(variant, place.mock, { to: 'value', key: place.mock })
            stores.push({
              local: DATA,
              path: [MOCKS, place.mock].map((key) => this.#planner.statics.string(key)),
              value: operand,
            })
          } else {
            if (place.local === DATA && this.#overlaps(place.path))
              variant = shadow(variant, place.path)
            stores.push({
              local: place.local,
              path: place.path.map((key) => this.#planner.statics.string(key)),
              value: operand,
            })
          }
        }
        const dropCaches = () => this.#vars.dropCaches()
        const inside = (then: Next) => {
          this.#variant = variant
          this.#withDepth++
          dropCaches()
          this.#expr(plain, then)
          this.#withDepth--
          this.#variant = outer.variant
        }
        const nest = (i: number, then: Next): void => {
          const store = stores[i]
          if (!store) return inside(then)
          const block = this.#block(() => nest(i + 1, then))
          const { local, path, value } = store
          this.#emit({
            type: 'WithStmt',
            local,
            path,
            value,
            block,
            ...(i === 0 ? { keep: memo } : {}),
          })
        }
        if (stores.length === 0) {
          // Only functions change; results remembered so far were made without the change, but for other functions.
          return inside(() => {
            const depth = this.#withDepth
            this.#variant = outer.variant
            this.#withDepth = depth - 1
            next()
            this.#withDepth = depth
            this.#variant = variant
          })
        }
        const single = this.#single(plain)
        if (single) {
          const done = this.#local()
          let found: Operand | undefined
          this.#emit({ type: 'ResetLocalStmt', target: done })
          const block = this.#block(() =>
            nest(0, () => {
              if (single.name !== undefined) {
                const value = this.#vars.get(single.name)
                // The place may be a constant; it stays one outside.
                found = value
              }
              this.#emit({
                type: 'AssignVarStmt',
                source: { type: 'bool', value: true },
                target: done,
              })
            }),
          )
          this.#emit({ type: 'BlockStmt', blocks: [block] })
          this.#emit({ type: 'IsDefinedStmt', source: done })
          this.#vars.reset(outer.mark)
          if (single.name !== undefined && found) this.#vars.set(single.name, found)
          return next()
        }
        nest(0, () => {
          const inner = this.#variant
          const depth = this.#withDepth
          this.#variant = outer.variant
          this.#vars.dropCaches()
          for (const [key, value] of outer.caches) this.#vars.set(key, value)
          const back = this.#block(next)
          const restored = this.#block(() =>
            this.#emit({
              type: 'WithStmt',
              local: DATA,
              path: null,
              value: { type: 'local', value: data },
              block: back,
              use: memo,
            }),
          )
          this.#emit({
            type: 'WithStmt',
            local: INPUT,
            path: null,
            value: { type: 'local', value: input },
            block: restored,
            use: memo,
          })
          this.#withDepth = depth
          this.#variant = inner
        })
      },
    )
  }

  /** Whether an expression has at most one solution, and the variable it binds then. */
  #single(expr: Expr): { name: string | undefined } | undefined {
    if (expr.negated) return { name: undefined }
    const { node } = expr
    if (node.kind === 'every' || node.kind === 'body') return { name: undefined }
    const unbound = (term: Term): string[] => {
      const names: string[] = []
      walkTerm(term, (t) => {
        if (t.kind.endsWith('Comprehension')) return false
        if (t.kind === 'var' && t.name !== 'input' && t.name !== 'data' && !this.#vars.has(t.name))
          names.push(t.name)
        return true
      })
      return names
    }
    if (node.kind === 'term')
      return unbound(node.term).length === 0 ? { name: undefined } : undefined
    if (node.kind !== 'call' || isOperator(node.operator, 'walk')) return undefined
    const open = node.args.filter((arg) => unbound(arg).length > 0)
    if (open.length === 0) return { name: undefined }
    const [only] = open
    return open.length === 1 && only?.kind === 'var' ? { name: only.name } : undefined
  }

  /** Replacing one function by another is known when planning; a value is not. */
  #functionMock(target: Term, value: Term): { name: string; mock: Mock } | undefined {
    const name = this.#functionName(target)
    if (name === undefined || value.kind === 'null') return undefined
    if (value.kind !== 'ref' && value.kind !== 'var') return undefined
    const operator: RefTerm =
      value.kind === 'ref' ? value : { kind: 'ref', terms: [value], loc: value.loc }
    const other = this.#functionName(operator)
    return other === undefined ? undefined : { name, mock: { to: 'function', operator } }
  }

  /** The name of the function that a term refers to: a builtin's, or `data.` and the path. */
  #functionName(term: Term): string | undefined {
    if (term.kind === 'var')
      return this.#vars.has(term.name) ? undefined : this.#builtinName(term.name)
    if (term.kind !== 'ref') return undefined
    const name = operatorName(term)
    if (name === undefined) return undefined
    const path = name.split('.')
    if (path[0] !== 'data') return path[0] === 'input' ? undefined : this.#builtinName(name)
    const node = this.#node(namesOf(term).slice(1))
    return node && isFunction(node) ? name : undefined
  }
  #builtinName(name: string): string | undefined {
    return this.#planner.input.arity(name) === undefined ? undefined : name
  }

  #target(target: Term): { local: Local; path: string[]; mock?: string } {
    const mock = this.#functionName(target)
    if (mock !== undefined) return { local: DATA, path: [], mock }
    const ref = target.kind === 'ref' ? target.terms : [target]
    const [head, ...rest] = ref
    const path = rest.map((t) => (t.kind === 'string' ? t.value : ''))
    return { local: head?.kind === 'var' && head.name === 'input' ? INPUT : DATA, path }
  }

  #node(path: readonly string[]): RuleNode | undefined {
    let node: RuleNode | undefined = this.#planner.input.tree
    for (const key of path) node = node?.children.get(key)
    return node
  }

  /** Whether rules stand at, above or below a path. */
  #overlaps(path: readonly string[]): boolean {
    let node: RuleNode | undefined = this.#planner.input.tree
    for (const key of path) {
      if (node && node.rules.length > 0) return true
      node = node?.children.get(key)
      if (!node) return false
    }
    return node !== undefined && hasRules(node)
  }

  // ---- calls

  #callExpr(operator: RefTerm, args: readonly Term[], next: Next): void {
    const name = operatorName(operator)
    if (name === undefined) throw new PlanError('a call of something that has no name')
    const [a, b] = args
    const mocked = this.#variant.mocks.has(name)
    if (name === 'eq' && a && b && !mocked) return this.#unify(a, b, next)
    if (name === 'equal' && a && b && args.length === 2 && !mocked) return this.#unify(a, b, next)
    if (a && b && args.length === 2 && !mocked && !this.#isRule(name)) {
      const compared = COMPARED[name]
      if (compared) {
        return this.#terms([a, b], 0, [], ([x, y]) => {
          if (x && y) this.#emit(compared(x, y))
          next()
        })
      }
    }
    if (name === 'walk' && !mocked && a) return this.#walk(a, b, next)
    this.#call(operator, name, args, next)
  }

  #isRule(name: string): boolean {
    return name.startsWith('data.')
  }

  #walk(value: Term, pattern: Term | undefined, next: Next): void {
    this.#planner.builtin('walk')
    this.#term(value, (operand) => {
      const result = this.#local()
      this.#emit({ type: 'CallStmt', func: 'walk', args: [operand], result })
      this.#scan(result, false, true, (_, pair) => {
        if (pattern && pair) this.#unifyValue(pair, pattern, next)
        else next()
      })
    })
  }

  #call(operator: RefTerm, name: string, args: readonly Term[], next: Next): void {
    const mock = this.#variant.mocks.get(name)
    const arity = this.#arity(operator, name)
    const output = args.length > arity ? args[arity] : undefined
    this.#terms(args.slice(0, arity), 0, [], (operands) => {
      const result = this.#local()
      const done = (value: Operand) => {
        if (output) return this.#unifyValue(value, output, next)
        this.#emit({ type: 'NotEqualStmt', a: value, b: { type: 'bool', value: false } })
        next()
      }
      if (mock?.to === 'value') {
        const mocks = this.#dot({ type: 'local', value: DATA }, this.#string(MOCKS))
        return done(this.#dot(mocks, this.#string(mock.key)))
      }
      if (mock) {
        // What stands in for a function may call it: inside, nothing stands in for it.
        const before = this.#variant
        this.#variant = keyed({ ...before, mocks: new Map() })
        this.#emitCall(mock.operator, operatorName(mock.operator) ?? '', operands, result)
        this.#variant = before
      } else this.#emitCall(operator, name, operands, result)
      done({ type: 'local', value: result })
    })
  }

  #arity(operator: RefTerm, name: string): number {
    if (!this.#isRule(name)) return this.#planner.input.arity(name) ?? 0
    const node = this.#node(namesOf(operator).slice(1))
    return node?.rules.find(({ rule }) => rule.head.args)?.rule.head.args?.length ?? 0
  }

  #emitCall(operator: RefTerm, name: string, operands: readonly Operand[], result: Local): void {
    if (!this.#isRule(name)) {
      this.#planner.builtin(name)
      this.#emit({ type: 'CallStmt', func: name, args: operands, result })
      return
    }
    const node = this.#node(namesOf(operator).slice(1))
    if (!node || !isFunction(node)) throw new PlanError(`undefined function ${name}`)
    const func = this.#planner.rules(node, this.#variant)
    const documents: Operand[] = [INPUT, DATA].map((value) => ({ type: 'local', value }))
    this.#emit({ type: 'CallStmt', func, args: [...documents, ...operands], result })
  }

  // ---- unification

  #isOpen(term: Term): boolean {
    let open = false
    walkTerm(term, (t) => {
      if (t.kind.endsWith('Comprehension') || t.kind === 'ref' || t.kind === 'call') return false
      if (t.kind === 'var' && !this.#vars.has(t.name)) open = true
      return !open
    })
    return open
  }

  #unify(a: Term, b: Term, next: Next): void {
    if (a.kind === 'var' && !this.#vars.has(a.name)) {
      return this.#isOpen(b)
        ? this.#unifyOpen(a, b)
        : this.#term(b, (value) => this.#unifyValue(value, a, next))
    }
    if (b.kind === 'var' && !this.#vars.has(b.name)) return this.#unify(b, a, next)
    if (!this.#isOpen(a)) return this.#term(a, (value) => this.#unifyValue(value, b, next))
    if (!this.#isOpen(b)) return this.#term(b, (value) => this.#unifyValue(value, a, next))
    if (a.kind === 'array' && b.kind === 'array') {
      if (a.items.length !== b.items.length) return this.#fail()
      const go = (i: number): void => {
        const [x, y] = [a.items[i], b.items[i]]
        if (!x || !y) return next()
        this.#unify(x, y, () => go(i + 1))
      }
      return go(0)
    }
    if (a.kind === 'object' && b.kind === 'object') {
      if (a.pairs.length !== b.pairs.length) return this.#fail()
      const pairs = a.pairs.map(
        ([k, v]) => [v, b.pairs.find(([key]) => sameConstantTerm(key, k))?.[1]] as const,
      )
      const go = (i: number): void => {
        const pair = pairs[i]
        if (!pair) return next()
        const [x, y] = pair
        if (!y) return this.#fail()
        this.#unify(x, y, () => go(i + 1))
      }
      return go(0)
    }
    return this.#fail()
  }

  /** Both sides have unknown variables: `x = [y, 1]` before `y` is known. */
  #unifyOpen(a: VarTerm, b: Term): never {
    throw new PlanError(`variables of ${b.kind} for ${a.name} are not known yet`)
  }

  #fail(): void {
    const never = this.#local()
    this.#emit({ type: 'ResetLocalStmt', target: never })
    this.#emit({ type: 'IsDefinedStmt', source: never })
  }

  #bind(name: VarTerm, value: Operand, next: Next): void {
    this.#vars.set(name.name, value)
    next()
  }

  /** Makes a term equal to a value, binding the variables it has. */
  #unifyValue(value: Operand, term: Term, next: Next): void {
    if (term.kind === 'var') {
      const known = this.#vars.get(term.name)
      if (!known) return this.#bind(term, value, next)
      this.#emit({ type: 'EqualStmt', a: value, b: known })
      return next()
    }
    if (term.kind === 'array' && this.#isOpen(term))
      return this.#unifyArray(value, term.items, next)
    if (term.kind === 'object' && this.#isOpen(term))
      return this.#unifyObject(value, term.pairs, next)
    this.#term(term, (other) => {
      this.#emit({ type: 'EqualStmt', a: value, b: other })
      next()
    })
  }

  #unifyArray(value: Operand, items: readonly Term[], next: Next): void {
    this.#emit({ type: 'IsArrayStmt', source: value })
    this.#length(value, items.length)
    const go = (i: number): void => {
      const item = items[i]
      if (!item) return next()
      if (item.kind === 'var' && item.name.startsWith('$') && !this.#vars.has(item.name))
        return go(i + 1)
      const index = this.#constant({ kind: 'number', text: String(i), loc: item.loc })
      const element = this.#dot(value, index as Operand)
      this.#unifyValue(element, item, () => go(i + 1))
    }
    go(0)
  }

  #unifyObject(value: Operand, pairs: readonly (readonly [Term, Term])[], next: Next): void {
    this.#emit({ type: 'IsObjectStmt', source: value })
    this.#length(value, pairs.length)
    const go = (i: number): void => {
      const pair = pairs[i]
      if (!pair) return next()
      this.#term(pair[0], (key) => {
        const element = this.#dot(value, key)
        this.#unifyValue(element, pair[1], () => go(i + 1))
      })
    }
    go(0)
  }

  #length(value: Operand, n: number): void {
    const length = this.#local()
    const want = this.#local()
    this.#emit({ type: 'LenStmt', source: value, target: length })
    this.#emit({ type: 'AssignIntStmt', value: n, target: want })
    this.#emit({
      type: 'EqualStmt',
      a: { type: 'local', value: length },
      b: { type: 'local', value: want },
    })
  }

  // ---- terms

  #terms(
    terms: readonly Term[],
    i: number,
    done: readonly Operand[],
    next: (values: readonly Operand[]) => void,
  ): void {
    const term = terms[i]
    if (!term) return next(done)
    this.#term(term, (value) => this.#terms(terms, i + 1, [...done, value], next))
  }

  #term(term: Term, next: WithValue): void {
    const constant = this.#constant(term)
    if (constant) return next(constant)
    switch (term.kind) {
      case 'var': {
        if (term.name === 'input' || term.name === 'data') {
          return this.#ref({ kind: 'ref', terms: [term], loc: term.loc }, next)
        }
        const known = this.#vars.get(term.name)
        if (!known) throw new PlanError(`variable ${term.name} has no value here`)
        return next(known)
      }
      case 'ref':
        return this.#ref(term, next)
      case 'array':
        return this.#terms(term.items, 0, [], (items) => {
          const target = this.#local()
          this.#emit({ type: 'MakeArrayStmt', capacity: items.length, target })
          for (const value of items) this.#emit({ type: 'ArrayAppendStmt', value, array: target })
          next({ type: 'local', value: target })
        })
      case 'set':
        return this.#terms(term.items, 0, [], (items) => {
          const target = this.#local()
          this.#emit({ type: 'MakeSetStmt', target })
          for (const value of items) this.#emit({ type: 'SetAddStmt', value, set: target })
          next({ type: 'local', value: target })
        })
      case 'object':
        return this.#terms(term.pairs.flat(), 0, [], (flat) => {
          const target = this.#local()
          this.#emit({ type: 'MakeObjectStmt', target })
          for (let i = 0; i + 1 < flat.length; i += 2) {
            const [key, value] = [flat[i] as Operand, flat[i + 1] as Operand]
            this.#emit({ type: 'ObjectInsertStmt', key, value, object: target })
          }
          next({ type: 'local', value: target })
        })
      case 'arrayComprehension':
        return this.#comprehension(
          term.body,
          'MakeArrayStmt',
          [term.term],
          ([value], target) => {
            if (value) this.#emit({ type: 'ArrayAppendStmt', value, array: target })
          },
          next,
        )
      case 'setComprehension':
        return this.#comprehension(
          term.body,
          'MakeSetStmt',
          [term.term],
          ([value], target) => {
            if (value) this.#emit({ type: 'SetAddStmt', value, set: target })
          },
          next,
        )
      case 'objectComprehension':
        return this.#comprehension(
          term.body,
          'MakeObjectStmt',
          [term.key, term.value],
          ([key, value], target) => {
            if (key && value)
              this.#emit({ type: 'ObjectInsertOnceStmt', key, value, object: target })
          },
          next,
        )
      default:
        throw new PlanError(`cannot plan a ${term.kind} term`)
    }
  }

  #comprehension(
    body: Body,
    make: 'MakeArrayStmt' | 'MakeSetStmt' | 'MakeObjectStmt',
    terms: readonly Term[],
    add: (values: readonly Operand[], target: Local) => void,
    next: WithValue,
  ): void {
    const target = this.#local()
    this.#emit(
      make === 'MakeArrayStmt' ? { type: make, capacity: 0, target } : { type: make, target },
    )
    const [depth, ordered] = [this.#withDepth, this.#ordered]
    this.#ordered = make === 'MakeArrayStmt'
    const block = this.#block(() =>
      this.#body(body, 0, () => this.#terms(terms, 0, [], (values) => add(values, target))),
    )
    this.#withDepth = depth
    this.#ordered = ordered
    this.#emit({ type: 'BlockStmt', blocks: [block] })
    next({ type: 'local', value: target })
  }

  // ---- references

  #dot(source: Operand, key: Operand, base = false): Operand {
    const target = this.#local()
    this.#emit({ type: 'DotStmt', source, key, target, ...(base ? { base } : {}) })
    return { type: 'local', value: target }
  }

  #scan(
    source: Local,
    withKey: boolean,
    withValue: boolean,
    each: (key: Operand | undefined, value: Operand | undefined) => void,
  ): void {
    const key = withKey ? this.#local() : -1
    const value = withValue ? this.#local() : -1
    const block = this.#block(() =>
      each(
        withKey ? { type: 'local', value: key } : undefined,
        withValue ? { type: 'local', value } : undefined,
      ),
    )
    this.#emit({ type: 'ScanStmt', source, key, value, block, ordered: this.#ordered })
  }

  #ref(ref: RefTerm, next: WithValue): void {
    const [head, ...rest] = ref.terms
    if (head.kind === 'var' && head.name === 'input') {
      if (rest.length === 0) {
        this.#emit({ type: 'IsDefinedStmt', source: INPUT })
        if (this.#withDepth === 0) return next({ type: 'local', value: INPUT })
        // The place of the input gets its old value back; what was bound to this one keeps it.
        const target = this.#local()
        this.#emit({ type: 'AssignVarStmt', source: { type: 'local', value: INPUT }, target })
        return next({ type: 'local', value: target })
      }
      return this.#tail({ type: 'local', value: INPUT }, rest, 0, 'input', false, next)
    }
    if (head.kind === 'var' && head.name === 'data')
      return this.#dataRef(this.#planner.input.tree, rest, 0, next)
    if (head.kind === 'set' && !constantOf(head)) {
      return this.#unsortedSet(head, (value) => this.#tail(value, rest, 0, undefined, false, next))
    }
    this.#term(head, (value) => this.#tail(value, rest, 0, undefined, false, next))
  }

  /** A set that is iterated where it is written goes through its constants first: OPA orders it before it knows the rest. */
  #unsortedSet(set: SetTerm, next: WithValue): void {
    const constants = constantOf({ ...set, items: set.items.filter((t) => constantOf(t)) })
    const rest = set.items.filter((t) => !constantOf(t))
    this.#terms(rest, 0, [], (values) => {
      const target = this.#local()
      this.#emit({ type: 'MakeSetStmt', target })
      for (const item of constants?.kind === 'set' ? constants.items : []) {
        const value = { type: 'const_index', value: this.#planner.statics.constant(item) } as const
        this.#emit({ type: 'SetAddStmt', value, set: target })
      }
      for (const value of values) this.#emit({ type: 'SetAddStmt', value, set: target })
      this.#emit({ type: 'KeepOrderStmt', target })
      next({ type: 'local', value: target })
    })
  }

  /** Follows terms from a value; `path` names a document whose constant paths are read once. */
  #tail(
    value: Operand,
    terms: readonly Term[],
    i: number,
    path: string | undefined,
    base: boolean,
    next: WithValue,
  ): void {
    const term = terms[i]
    if (!term) return next(value)
    const key = this.#constant(term)
    if (key) {
      const deeper =
        path !== undefined && term.kind === 'string' ? `${path}\u0000${term.value}` : undefined
      const known = deeper === undefined ? undefined : this.#vars.get(deeper)
      const found = known ?? this.#dot(value, key, base)
      if (deeper !== undefined) this.#vars.set(deeper, found)
      return this.#tail(found, terms, i + 1, deeper, base, next)
    }
    if (!this.#isOpen(term)) {
      return this.#term(term, (operand) => {
        this.#tail(this.#dot(value, operand, base), terms, i + 1, undefined, base, next)
      })
    }
    const wild = term.kind === 'var' && term.name.startsWith('$')
    this.#scan(this.#toLocal(value), !wild, true, (scanned, element) => {
      const rest = () => this.#tail(element as Operand, terms, i + 1, undefined, base, next)
      if (!scanned || wild) return rest()
      this.#unifyValue(scanned, term, rest)
    })
  }

  /** Follows terms from a node of the rule tree. */
  #dataRef(node: RuleNode, terms: readonly Term[], i: number, next: WithValue): void {
    if (this.#shadowed(node.path)) return this.#baseRef(node.path, terms, i, next)
    if (node.rules.length > 0 && !isFunction(node)) {
      const path = `data\u0000rule\u0000${node.path.join('\u0000')}`
      const known = this.#vars.get(path)
      const value = known ?? this.#nodeValue(node)
      this.#vars.set(path, value)
      return this.#tail(value, terms, i, path, false, next)
    }
    const term = terms[i]
    if (!term) {
      if (hasContent(node) || node.path.length === 0) {
        if (isFunction(node) && node.children.size === 0) return this.#fail()
        return next(this.#nodeValue(node))
      }
      return this.#baseRef(node.path, terms, i, next)
    }
    if (term.kind === 'string') {
      const child = node.children.get(term.value)
      if (child && hasContent(child)) return this.#dataRef(child, terms, i + 1, next)
      return this.#baseRef([...node.path, term.value], terms, i + 1, next)
    }
    if (constantOf(term)) return this.#baseRef(node.path, terms, i, next)
    // A key that is not known: an object of what each child has behind it, over the base document.
    this.#tail(
      this.#childrenOf(node, terms.slice(i + 1)),
      [term, ...terms.slice(i + 1)],
      0,
      undefined,
      true,
      next,
    )
  }

  /** An object with the children of a node, each cut down to the constant path that is asked of it. */
  #childrenOf(node: RuleNode, rest: readonly Term[]): Operand {
    const names: string[] = []
    for (const term of rest) {
      if (term.kind !== 'string') break
      names.push(term.value)
    }
    const loc = { file: '', row: 0, col: 0, length: 0 }
    const virtual = this.#local()
    const result = this.#local()
    this.#emit({ type: 'MakeObjectStmt', target: virtual })
    for (const [key, child] of node.children) {
      if (!hasContent(child)) continue
      if (isFunction(child) && child.children.size === 0) continue
      const block = this.#block(() => {
        const path = names.map((value) => ({ kind: 'string', value, loc }) as const)
        this.#dataRef(child, path, 0, (value) => {
          // Rebuild the path around the value, as the rest of the reference expects it.
          let whole = value
          for (const name of [...names].reverse()) {
            const target = this.#local()
            this.#emit({ type: 'MakeObjectStmt', target })
            this.#emit({
              type: 'ObjectInsertStmt',
              key: this.#string(name),
              value: whole,
              object: target,
            })
            whole = { type: 'local', value: target }
          }
          this.#emit({
            type: 'ObjectInsertStmt',
            key: this.#string(key),
            value: whole,
            object: virtual,
          })
        })
      })
      this.#emit({ type: 'BlockStmt', blocks: [block] })
    }
    this.#emit({ type: 'AssignVarStmt', source: { type: 'local', value: virtual }, target: result })
    const merge = this.#block(() => {
      let base: Operand = { type: 'local', value: DATA }
      for (const key of node.path) base = this.#dot(base, this.#string(key))
      const target = this.#local()
      this.#emit({ type: 'ObjectMergeStmt', a: virtual, b: this.#toLocal(base), target })
      this.#emit({
        type: 'AssignVarStmt',
        source: { type: 'local', value: target },
        target: result,
      })
    })
    this.#emit({ type: 'BlockStmt', blocks: [merge] })
    return { type: 'local', value: result }
  }

  #baseRef(path: readonly string[], terms: readonly Term[], i: number, next: WithValue): void {
    const loc = { file: '', row: 0, col: 0, length: 0 }
    const fixed = path.map((value) => ({ kind: 'string', value, loc }) as const)
    this.#tail({ type: 'local', value: DATA }, [...fixed, ...terms.slice(i)], 0, 'data', true, next)
  }
}

const COMPARED: Readonly<Record<string, (a: Operand, b: Operand) => Stmt>> = {
  equal: (a, b) => ({ type: 'EqualStmt', a, b }),
  neq: (a, b) => ({ type: 'NotEqualStmt', a, b }),
  lt: (a, b) => ({ type: 'CompareStmt', op: 'lt', a, b }),
  lte: (a, b) => ({ type: 'CompareStmt', op: 'lte', a, b }),
  gt: (a, b) => ({ type: 'CompareStmt', op: 'gt', a, b }),
  gte: (a, b) => ({ type: 'CompareStmt', op: 'gte', a, b }),
}

function keyed(variant: Omit<Variant, 'key'>): Variant {
  const mocks = [...variant.mocks].map(
    ([name, mock]) => `${name}=${mock.to === 'value' ? '' : operatorName(mock.operator)}`,
  )
  const parts = [...variant.shadows, ...mocks].sort()
  return { ...variant, key: parts.length === 0 ? '' : `(${parts.join(',')})` }
}
function swap(variant: Variant, name: string, mock: Mock): Variant {
  return keyed({ ...variant, mocks: new Map([...variant.mocks, [name, mock]]) })
}
function shadow(variant: Variant, path: readonly string[]): Variant {
  return keyed({ ...variant, shadows: [...new Set([...variant.shadows, path.join('\u0000')])] })
}

function namesOf(ref: RefTerm): string[] {
  return ref.terms.map((t) => (t.kind === 'var' ? t.name : t.kind === 'string' ? t.value : ''))
}

function isInputPath(ref: RefTerm): boolean {
  const [head, ...rest] = ref.terms
  return (
    head.kind === 'var' &&
    head.name === 'input' &&
    rest.length > 0 &&
    rest.every((t) => t.kind === 'string')
  )
}

function alwaysTrue(term: Term): boolean {
  return (
    term.kind !== 'ref' && term.kind !== 'var' && term.kind !== 'boolean' && term.kind !== 'call'
  )
}

function sameConstantTerm(a: Term, b: Term): boolean {
  const [x, y] = [constantOf(a), constantOf(b)]
  return x !== undefined && y !== undefined && JSON.stringify(x) === JSON.stringify(y)
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
