// Terms that are written alike are one member of a set and one key of an object, before any of them is evaluated.
import type { Term } from './ast.ts'

/** A text that is equal for equal terms, wherever they stand. */
export function termKey(term: Term): string {
  if (term.kind === 'string') return `"${term.value}`
  if (term.kind === 'var') return `v${term.name}`
  return JSON.stringify(term, (key, value: unknown) => (PLACES.has(key) ? undefined : value))
}
const PLACES: ReadonlySet<string> = new Set(['loc', 'lastUse', 'raw', 'parens'])

export function sameTerm(a: Term, b: Term): boolean {
  return termKey(a) === termKey(b)
}

/** The members of a set, each once. */
export function distinctItems(items: readonly Term[]): readonly Term[] {
  if (items.length < 2) return items
  const found = new Map<string, Term>()
  for (const item of items) {
    const key = memberKey(item)
    if (!found.has(key)) found.set(key, item)
  }
  return found.size === items.length ? items : [...found.values()]
}

type Pair = readonly [Term, Term]

/** The pairs of an object: the last value of a key is its value. */
export function lastPairs(pairs: readonly Pair[]): readonly Pair[] {
  if (pairs.length < 2) return pairs
  const found = new Map<string, Pair>()
  for (const [key, value] of pairs) {
    const text = memberKey(key)
    found.set(text, [found.get(text)?.[0] ?? key, value])
  }
  return found.size === pairs.length ? pairs : [...found.values()]
}

/** Numbers are the same when their values are, as far as a double can tell. */
function memberKey(term: Term): string {
  if (term.kind !== 'number') return termKey(term)
  const value = Number(term.text)
  return Number.isSafeInteger(value) ? `n${value}` : `n${term.text}`
}
