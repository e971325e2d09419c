import type { Annotations, Module, Rule } from '../ast/ast.ts'
import type { Diagnostics } from '../diagnostics.ts'
import { splitRef } from '../ast/tree.ts'

/** One annotation each for a document, a package and what is below a package. */
export function checkAnnotations(modules: readonly Module[], diagnostics: Diagnostics): void {
  const seen = new Map<string, Annotations>()
  for (const module of modules.toSorted((a, b) => (a.file < b.file ? -1 : 1))) {
    for (const annotations of module.annotations) {
      const path = placeOf(annotations, module)
      if (path === undefined) continue
      const kind = annotations.scope === 'package' ? 'package' : 'path'
      const key = [kind, ...path].join('\u0000')
      const other = seen.get(key)
      if (!other) {
        seen.set(key, annotations)
        continue
      }
      const message = `${annotations.scope} annotation redeclared: ${other.loc.file}:${other.loc.row}`
      diagnostics.add('rego_type_error', annotations.loc, message)
    }
  }
}

function placeOf({ scope, loc }: Annotations, module: Module): readonly string[] | undefined {
  if (scope === 'rule') return undefined
  if (scope !== 'document') return module.package.path
  let next: Rule | undefined
  for (const rule of module.rules) {
    if (rule.loc.row > loc.row && (!next || rule.loc.row < next.loc.row)) next = rule
  }
  return next && splitRef(module, next).path
}
