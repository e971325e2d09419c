// What a plan is made of: the checked modules as a tree, and what of it is asked for.
import type { Body, Module } from '../ast/ast.ts'
import type { RuleNode } from '../ast/tree.ts'

export interface PlannerInput {
  readonly tree: RuleNode
  readonly modules: readonly Module[]
  /** Number of operands of a builtin or declared function by name. */
  readonly arity: (name: string) => number | undefined
  /** Functions that the embedder brings. */
  readonly plain: ReadonlySet<string>
  /** Whether the machine has a builtin, so that no host is called for it. */
  readonly inMachine: (name: string) => boolean
  /** Errors of builtins end the evaluation. */
  readonly strictErrors: boolean
  /** Marks expressions; with `values` also what is in them. */
  readonly trace: false | 'counts' | 'values'
  /** Tests say which of their cases they began. */
  readonly tests: boolean
  /** Unique names of variables -> those in the source. */
  readonly original: ReadonlyMap<string, string>
}

export interface Entrypoint {
  readonly name: string
  /** Path below `data`, or a query whose variables are the result. */
  readonly path?: readonly string[]
  readonly query?: { readonly body: Body; readonly vars: readonly (readonly [string, string])[] }
}
