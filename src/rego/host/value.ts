// Rego values in JavaScript, without loss: numbers keep their text, sets stay sets, any value may be a key.
import { compareNumbers, decimal } from '../ast/compare.ts'

export class Num {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}
/** Members are unique and in the order of Rego values. */
export class RegoSet {
  readonly items: readonly Value[]
  constructor(items: readonly Value[]) {
    const sorted = [...items].sort(compareValues)
    this.items = sorted.filter(
      (item, i) => i === 0 || compareValues(sorted[i - 1] as Value, item) !== 0,
    )
  }
}
/** Pairs with unique keys in the order of Rego values. */
export class RegoObject {
  readonly pairs: readonly (readonly [Value, Value])[]
  constructor(pairs: readonly (readonly [Value, Value])[]) {
    const sorted = [...pairs].sort(([a], [b]) => compareValues(a, b))
    // Of equal keys the last one written counts, as in JSON.
    this.pairs = sorted.filter(([key], i) => {
      const next = sorted[i + 1]
      return !next || compareValues(key, next[0]) !== 0
    })
  }
  get(name: string): Value | undefined {
    return this.pairs.find(([key]) => key === name)?.[1]
  }
}
export type Value = null | boolean | Num | string | readonly Value[] | RegoObject | RegoSet

export function num(value: number | bigint): Num {
  return new Num(Object.is(value, -0) ? '0' : String(value))
}

export function isArray(value: Value | undefined): value is readonly Value[] {
  return Array.isArray(value)
}

function rank(v: Value): number {
  if (v === null) return 0
  if (typeof v === 'boolean') return 1
  if (v instanceof Num) return 2
  if (typeof v === 'string') return 3
  if (Array.isArray(v)) return 4
  return v instanceof RegoObject ? 5 : 6
}

export function compareValues(a: Value, b: Value): number {
  const order = rank(a) - rank(b)
  if (order !== 0) return order
  if (typeof a === 'boolean') return Number(a) - Number(b)
  if (a instanceof Num && b instanceof Num) return compareNumbers(a.text, b.text)
  if (typeof a === 'string' && typeof b === 'string') return compareStrings(a, b)
  if (isArray(a) && isArray(b)) return compareLists(a, b)
  if (a instanceof RegoSet && b instanceof RegoSet) return compareLists(a.items, b.items)
  if (a instanceof RegoObject && b instanceof RegoObject)
    return compareLists(a.pairs.flat(), b.pairs.flat())
  return 0
}
function compareLists(a: readonly Value[], b: readonly Value[]): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const c = compareValues(a[i] as Value, b[i] as Value)
    if (c !== 0) return c
  }
  return a.length - b.length
}
/** UTF-8 order, which is the order of code points. */
export function compareStrings(a: string, b: string): number {
  if (a === b) return 0
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

/** The number as a bigint, or undefined when it has a fraction. */
export function toBigInt(n: Num): bigint | undefined {
  const { neg, digits, point } = decimal(n.text)
  if (digits === '') return 0n
  if (point < digits.length || point > 10000) return undefined
  const whole = BigInt(digits.padEnd(point, '0'))
  return neg ? -whole : whole
}

/** Reads Rego value text, of which JSON is a part. Throws SyntaxError. */
export function parseValue(text: string): Value {
  const reader = new ValueReader(text)
  const value = reader.value()
  reader.end()
  return value
}

const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const STRING = /"(?:[^"\\]|\\.)*"/y

class ValueReader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  #fail(): never {
    throw new SyntaxError(`unexpected text at ${this.#at}`)
  }
  #skip(): void {
    for (;;) {
      const c = this.#text.charCodeAt(this.#at)
      if (c === 32 || c === 10 || c === 13 || c === 9) this.#at++
      else return
    }
  }
  end(): void {
    this.#skip()
    if (this.#at < this.#text.length) this.#fail()
  }
  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at
    const [found] = pattern.exec(this.#text) ?? this.#fail()
    this.#at += found.length
    return found
  }
  #take(c: string): boolean {
    this.#skip()
    if (this.#text[this.#at] !== c) return false
    this.#at++
    return true
  }

  value(): Value {
    this.#skip()
    const c = this.#text[this.#at]
    if (c === '"') return JSON.parse(this.#match(STRING)) as string
    if (c === '[') return this.#list('[', ']')
    if (c === '{') return this.#braces()
    for (const [word, value] of WORDS) {
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length
        return value
      }
    }
    return new Num(this.#match(NUMBER))
  }

  #list(open: string, close: string): Value[] {
    this.#take(open)
    const items: Value[] = []
    if (this.#take(close)) return items
    do items.push(this.value())
    while (this.#take(','))
    if (!this.#take(close)) this.#fail()
    return items
  }

  #braces(): Value {
    this.#take('{')
    if (this.#take('}')) return new RegoObject([])
    const first = this.value()
    if (!this.#take(':')) {
      const items = [first]
      while (this.#take(',')) items.push(this.value())
      if (!this.#take('}')) this.#fail()
      return new RegoSet(items)
    }
    const pairs: [Value, Value][] = [[first, this.value()]]
    while (this.#take(',')) {
      const key = this.value()
      if (!this.#take(':')) this.#fail()
      pairs.push([key, this.value()])
    }
    if (!this.#take('}')) this.#fail()
    return new RegoObject(pairs)
  }
}

const WORDS: readonly (readonly [string, Value])[] = [
  ['true', true],
  ['false', false],
  ['null', null],
  ['set()', new RegoSet([])],
]

/** Rego value text. */
export function writeValue(v: Value): string {
  if (v === null || typeof v === 'boolean') return String(v)
  if (v instanceof Num) return v.text
  if (typeof v === 'string') return JSON.stringify(v)
  if (isArray(v)) return `[${v.map(writeValue).join(', ')}]`
  if (v instanceof RegoSet)
    return v.items.length === 0 ? 'set()' : `{${v.items.map(writeValue).join(', ')}}`
  return `{${v.pairs.map(([k, x]) => `${writeValue(k)}: ${writeValue(x)}`).join(', ')}}`
}

/** JSON text: sets are arrays, keys that are no strings are their own JSON text. */
export function writeJson(v: Value): string {
  if (v === null || typeof v === 'boolean') return String(v)
  if (v instanceof Num) return v.text
  if (typeof v === 'string') return JSON.stringify(v)
  if (isArray(v)) return `[${v.map(writeJson).join(',')}]`
  if (v instanceof RegoSet) return `[${v.items.map(writeJson).join(',')}]`
  const pairs = v.pairs.map(([k, x]) => {
    const key = typeof k === 'string' ? k : writeJson(k)
    return `${JSON.stringify(key)}:${writeJson(x)}`
  })
  return `{${pairs.join(',')}}`
}

/** Plain JavaScript (as from JSON.parse) to a value. */
export function fromJs(v: unknown): Value {
  if (v === null || v === undefined) return null
  if (typeof v === 'boolean' || typeof v === 'string') return v
  if (typeof v === 'number' || typeof v === 'bigint') return numberFrom(v)
  if (Array.isArray(v)) return v.map(fromJs)
  if (v instanceof Num || v instanceof RegoSet || v instanceof RegoObject) return v
  return new RegoObject(
    Object.entries(v)
      .filter(([, x]) => x !== undefined)
      .map(([k, x]) => [k, fromJs(x)] as const),
  )
}
function numberFrom(v: number | bigint): Num {
  if (typeof v === 'number' && !Number.isFinite(v)) throw new RangeError('not a number of JSON')
  return num(v)
}

/** Plain JavaScript; numbers become doubles. */
export function toJs(v: Value): unknown {
  if (v instanceof Num) return Number(v.text)
  if (isArray(v)) return v.map(toJs)
  if (v instanceof RegoSet) return v.items.map(toJs)
  if (v instanceof RegoObject) {
    return Object.fromEntries(
      v.pairs.map(([k, x]) => [typeof k === 'string' ? k : writeJson(k), toJs(x)]),
    )
  }
  return v
}
