import type { Module } from './ast/ast.ts'
import type { Diagnostic } from './diagnostics.ts'
import { parseModule } from './parser/parse.ts'

export interface ParseOptions {
  readonly file?: string
  readonly v0?: boolean
  readonly experimental?: boolean
}

/** Source text to its syntax tree, or the diagnostics that say why not. */
export function parse(
  source: string,
  options: ParseOptions = {},
): { ok: true; module: Module } | { ok: false; diagnostics: readonly Diagnostic[] } {
  const { file = 'policy.rego', v0 = false, experimental = false } = options
  const { module, diagnostics } = parseModule(file, source, { v0, experimental })
  return module ? { ok: true, module } : { ok: false, diagnostics }
}
