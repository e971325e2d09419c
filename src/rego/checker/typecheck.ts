import type { Body } from '../ast/ast.ts'
import type { Diagnostics } from '../diagnostics.ts'
import type { RuleNode } from '../planner/tree.ts'
import type { FunctionType } from './types.ts'

export function checkTypes(
  tree: RuleNode,
  query: Body | undefined,
  typeOf: (name: string) => FunctionType | undefined,
  diagnostics: Diagnostics,
): void {
  void tree
  void query
  void typeOf
  void diagnostics
}
