// The order of terms: values as they are ordered when they run, then variables, references and what has to be computed
// between and behind them, as in OPA. It decides which of two dynamic terms of one literal is read first.
import type { Term } from './ast.ts'
import { compareLists, compareNumbers, compareText } from './compare.ts'

const RANK: Readonly<Record<Term['kind'], number>> = {
  null: 0,
  boolean: 1,
  number: 2,
  string: 3,
  template: 4,
  var: 5,
  ref: 6,
  array: 7,
  object: 8,
  set: 9,
  arrayComprehension: 10,
  objectComprehension: 11,
  setComprehension: 12,
  call: 13,
}

export function compareTerms(a: Term, b: Term): number {
  if (a.kind !== b.kind) return RANK[a.kind] - RANK[b.kind]
  if (a.kind === 'boolean' && b.kind === 'boolean') return Number(a.value) - Number(b.value)
  if (a.kind === 'number' && b.kind === 'number') return compareNumbers(a.text, b.text)
  if (a.kind === 'string' && b.kind === 'string') return compareText(a.value, b.value)
  if (a.kind === 'var' && b.kind === 'var') return compareNames(a.name, b.name)
  return compareLists(partsOf(a), partsOf(b), compareTerms)
}

/** Made-up names are ordered by when they were made. */
function compareNames(a: string, b: string): number {
  const [x, y] = [/^\$?%(\d+)/.exec(a)?.[1], /^\$?%(\d+)/.exec(b)?.[1]]
  if (x !== undefined && y !== undefined) return Number(x) - Number(y)
  return compareText(a, b)
}

function partsOf(term: Term): readonly Term[] {
  switch (term.kind) {
    case 'ref':
      return term.terms
    case 'array':
      return term.items
    case 'set':
      return term.items.toSorted(compareTerms)
    case 'object':
      return term.pairs.toSorted(([a], [b]) => compareTerms(a, b)).flat()
    case 'call':
      return [term.operator, ...term.args]
    case 'arrayComprehension':
    case 'setComprehension':
      return [term.term]
    case 'objectComprehension':
      return [term.key, term.value]
    default:
      return []
  }
}
