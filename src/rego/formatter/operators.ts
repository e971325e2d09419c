import { OPERATORS } from '../parser/terms.ts'

const SYMBOLS: ReadonlyMap<string, string> = new Map(
  Object.entries(OPERATORS).map(([symbol, name]) => [name, symbol]),
)

/** The infix sign of a builtin that has one. */
export function symbolOf(name: string): string | undefined {
  return SYMBOLS.get(name)
}
