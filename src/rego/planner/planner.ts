// Syntax tree -> IR: the functions a policy needs, each planned when it is first asked for.
import type { Expr } from '../ast/ast.ts'
import type { Func, Plan, Policy } from '../ir/ir.ts'
import { bodyForm, exprForm } from './bodies.ts'
import { type Forms, Frame, type Whole } from './frame.ts'
import { planDocument } from './documents.ts'
import { planEntry } from './entries.ts'
import { Influence } from './influence.ts'
import type { Entrypoint, PlannerInput } from './input.ts'
import type { TracePoint } from './points.ts'
import { planRules } from './rules.ts'
import { Statics } from './statics.ts'
import { termForm } from './terms.ts'
import { isFunction, type RuleNode } from '../ast/tree.ts'
import { PLAIN, type Variant } from './variant.ts'

const FORMS: Forms = { term: termForm, body: bodyForm, expr: exprForm }

export class Planner implements Whole {
  readonly forms = FORMS
  readonly input: PlannerInput
  readonly statics = new Statics()
  readonly funcs = new Map<string, Func>()
  readonly tracePoints: TracePoint[] = []
  hasWrittenSets = false
  /** Expressions that may end the evaluation. */
  readonly failing = new WeakMap<Expr, boolean>()
  readonly #influence: Influence
  #slots = 0

  constructor(input: PlannerInput) {
    this.input = input
    this.#influence = new Influence(input.tree)
    for (const { file } of input.modules) this.statics.file(file)
  }

  plan(entrypoints: readonly Entrypoint[]): Policy {
    const plans: Plan[] = entrypoints.map((entry) => planEntry(new Frame(this, PLAIN, 2), entry))
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
      hasWrittenSets: this.hasWrittenSets,
      traceSlots: this.#slots,
    }
  }

  /** The function of the rules at a node; planned when first asked for. */
  rules(node: RuleNode, under: Variant): string {
    const variant = this.#influence.on(node, under)
    const name = `g${variant.key}.data.${node.path.join('.')}`
    if (!this.funcs.has(name)) {
      const args = isFunction(node) ? (node.rules[0]?.rule.head.args?.length ?? 0) : 0
      this.#reserve(name, node.path, args)
      const planned = planRules(new Frame(this, variant, 2 + args), name, node)
      this.#define(name, planned)
    }
    return name
  }

  /** The function of the document at a node without rules of its own: virtual documents over base ones. */
  document(node: RuleNode, under: Variant): string {
    const variant = this.#influence.on(node, under)
    const name = `d${variant.key}.data.${node.path.join('.')}`
    if (!this.funcs.has(name)) {
      this.#reserve(name, node.path, 0)
      this.#define(name, planDocument(new Frame(this, variant, 2), name, node))
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
      : this.input.inMachine(name)
        ? 'machine'
        : 'host'
    this.statics.builtins.set(name, { name, args, home })
  }

  point(point: TracePoint): number {
    return this.tracePoints.push(point) - 1
  }
  slot(): number {
    return this.#slots++
  }
}
