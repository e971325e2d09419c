import type { Term } from '../ast/ast.ts'
import { compareLists, compareNumbers, compareText, normal } from '../ast/compare.ts'
import type { BuiltinUse, Constant } from '../ir/ir.ts'

/** Strings, constants, builtins and files of one policy, each kept once. */
export class Statics {
  readonly strings: string[] = []
  readonly constants: Constant[] = []
  readonly files: string[] = []
  readonly builtins = new Map<string, BuiltinUse>()
  readonly #stringIndex = new Map<string, number>()
  readonly #fileIndex = new Map<string, number>()
  readonly #constantIndex = new Map<string, number>()
  /** Those that were asked for before, whose text need not be made again. */
  readonly #seen = new Map<Constant, number>()

  string(text: string): number {
    return placeOf(text, this.strings, this.#stringIndex, text)
  }

  constant(constant: Constant): number {
    const seen = this.#seen.get(constant)
    if (seen !== undefined) return seen
    const key = JSON.stringify(constant)
    const index = placeOf(constant, this.constants, this.#constantIndex, key)
    this.#seen.set(constant, index)
    return index
  }

  file(name: string): number {
    return placeOf(name, this.files, this.#fileIndex, name)
  }
}

/** Where an item stands in a list that has each once; it is added when its key is new. */
function placeOf<Item>(item: Item, list: Item[], known: Map<string, number>, key: string): number {
  let place = known.get(key)
  if (place === undefined) {
    place = list.push(item) - 1
    known.set(key, place)
  }
  return place
}

/** What composite terms are: each is asked for again and again, in every function that it is planned in. */
const COMPOSITES = new WeakMap<Term, { readonly constant: Constant | undefined }>()

/** The constant that a term is, or undefined when it has to be computed. */
export function constantOf(term: Term): Constant | undefined {
  if (term.kind !== 'array' && term.kind !== 'set' && term.kind !== 'object') return computed(term)
  let known = COMPOSITES.get(term)
  if (!known) {
    known = { constant: computed(term) }
    COMPOSITES.set(term, known)
  }
  return known.constant
}

function computed(term: Term): Constant | undefined {
  switch (term.kind) {
    case 'null':
      return { kind: 'null' }
    case 'boolean':
      return { kind: 'boolean', value: term.value }
    case 'number':
      return { kind: 'number', text: numberText(term.text) }
    case 'string':
      return { kind: 'string', value: term.value }
    case 'array': {
      const items = all(term.items)
      return items && { kind: 'array', items }
    }
    case 'set': {
      const items = all(term.items)
      return items && { kind: 'set', items: unique(items) }
    }
    case 'object': {
      const pairs = new Map<string, readonly [Constant, Constant]>()
      for (const [k, v] of term.pairs) {
        const key = constantOf(k)
        const value = constantOf(v)
        if (!key || !value) return undefined
        const text = constantKey(key)
        const known = pairs.get(text)
        // Two values under one key is an error when it runs, not here.
        if (known && compareConstants(known[1], value) !== 0) return undefined
        pairs.set(text, [key, value])
      }
      return {
        kind: 'object',
        pairs: [...pairs.values()].sort(([a], [b]) => compareConstants(a, b)),
      }
    }
    default:
      return undefined
  }
}

/** Rego accepts `.5` and `1.`, JSON and the machine do not. */
function numberText(text: string): string {
  return text.replace(/^(-?)\./, '$10.').replace(/\.(?=$|[eE])/, '')
}

function all(terms: readonly Term[]): Constant[] | undefined {
  const found: Constant[] = []
  for (const term of terms) {
    const constant = constantOf(term)
    if (!constant) return undefined
    found.push(constant)
  }
  return found
}

function unique(items: Constant[]): Constant[] {
  const sorted = [...items].sort(compareConstants)
  return sorted.filter(
    (item, i) => i === 0 || compareConstants(sorted[i - 1] as Constant, item) !== 0,
  )
}

const RANK = { null: 0, boolean: 1, number: 2, string: 3, array: 4, object: 5, set: 6 } as const

/** Equal constants have equal keys. */
function constantKey(c: Constant): string {
  return c.kind === 'number' ? `n${normal(c.text)}` : JSON.stringify(c)
}

/** The order of Rego values. */
export function compareConstants(a: Constant, b: Constant): number {
  if (a.kind !== b.kind) return RANK[a.kind] - RANK[b.kind]
  if (a.kind === 'boolean' && b.kind === 'boolean') return Number(a.value) - Number(b.value)
  if (a.kind === 'string' && b.kind === 'string') return compareText(a.value, b.value)
  if (a.kind === 'number' && b.kind === 'number') return compareNumbers(a.text, b.text)
  if (a.kind === 'array' && b.kind === 'array') return compareParts(a.items, b.items)
  if (a.kind === 'set' && b.kind === 'set') return compareParts(a.items, b.items)
  if (a.kind === 'object' && b.kind === 'object') {
    for (let i = 0; i < Math.min(a.pairs.length, b.pairs.length); i++) {
      const [x, y] = [a.pairs[i], b.pairs[i]] as const
      if (!x || !y) break
      const c = compareConstants(x[0], y[0]) || compareConstants(x[1], y[1])
      if (c !== 0) return c
    }
    return a.pairs.length - b.pairs.length
  }
  return 0
}

const compareParts = (a: readonly Constant[], b: readonly Constant[]): number =>
  compareLists(a, b, compareConstants)
