import type { Module } from './ast/ast.ts'
import type { Diagnostic } from './diagnostics.ts'
import { layOut } from './formatter/rules.ts'
import { sameMeaning } from './formatter/same.ts'
import { parseModule } from './parser/parse.ts'

export type Formatted =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[] }

interface FormatOptions {
  readonly v0?: boolean
  readonly file?: string
}

/** The one layout of a module's text, that of `opa fmt`; diagnostics when it does not parse. */
export function format(source: string, options: FormatOptions = {}): Formatted {
  const text = source.replace(/^\uFEFF/, '')
  const parsed = read(text, options)
  if (!parsed.module) return { ok: false, diagnostics: parsed.diagnostics }
  return { ok: true, text: settled(text, parsed.module, options) }
}

/** Comments in odd places settle in a second round; what still moves then is left as it stood. */
function settled(source: string, module: Module, options: FormatOptions): string {
  const once = faithful(source, module, options)
  if (once === undefined) return source
  const again = faithful(once.text, once.module, options)
  return again?.text ?? once.text
}

/** The layout, unless it says or comments something else than the source did; then the author's text is the better one. */
function faithful(
  source: string,
  module: Module,
  options: FormatOptions,
): { readonly text: string; readonly module: Module } | undefined {
  const text = layOut(source, module)
  const again = read(text, options).module
  return again && sameMeaning(module, again) ? { text, module: again } : undefined
}

function read(
  source: string,
  { v0 = false, file = 'policy.rego' }: FormatOptions,
): ReturnType<typeof parseModule> {
  return parseModule(file, source, { v0, experimental: true })
}
