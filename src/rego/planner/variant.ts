import type { RefTerm } from '../ast/ast.ts'
import { operatorName } from '../ast/operators.ts'

/** Where values that stand in for functions travel: a key that no document of a user has. */
export const MOCKS = '\u0001mocks'

/** What `with` replaces while functions are planned: documents that are shadowed, functions that are swapped. */
export interface Variant {
  readonly key: string
  readonly shadows: readonly string[]
  readonly mocks: ReadonlyMap<string, Mock>
}
export type Mock =
  | { readonly to: 'function'; readonly operator: RefTerm }
  | { readonly to: 'value'; readonly key: string }

export const PLAIN: Variant = { key: '', shadows: [], mocks: new Map() }

export function keyed(variant: Omit<Variant, 'key'>): Variant {
  const mocks = [...variant.mocks].map(
    ([name, mock]) => `${name}=${mock.to === 'value' ? '' : operatorName(mock.operator)}`,
  )
  const parts = [...variant.shadows, ...mocks].sort()
  return { ...variant, key: parts.length === 0 ? '' : `(${parts.join(',')})` }
}

export function swap(variant: Variant, name: string, mock: Mock): Variant {
  return keyed({ ...variant, mocks: new Map([...variant.mocks, [name, mock]]) })
}

export function shadow(variant: Variant, path: readonly string[]): Variant {
  return keyed({ ...variant, shadows: [...new Set([...variant.shadows, path.join('\u0000')])] })
}
