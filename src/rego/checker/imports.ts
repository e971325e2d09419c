import type { Import } from '../ast/ast.ts'
import { operatorName } from '../ast/operators.ts'

/** The name by which an import is known in its module. */
export function importName({ alias, path }: Import): string | undefined {
  if (alias !== undefined) return alias
  const last = path.terms.at(-1)
  return last?.kind === 'string' ? last.value : last?.kind === 'var' ? last.name : undefined
}

/** An import as it is written. */
export function importText({ path, alias }: Import): string {
  return `import ${operatorName(path) ?? ''}${alias === undefined ? '' : ` as ${alias}`}`
}
