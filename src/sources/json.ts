import type { Json } from '../model/json.ts'
import type { Findings, Place } from './diagnostics.ts'
import { POLICY_LIMITS } from './limits.ts'

/** A JSON file: its value, and where the entries of a list stand that is the whole of it. */
export interface JsonDocument {
  readonly value: Json
  at(path: readonly (string | number)[]): Place
}

/** Strict JSON: no duplicate keys, no numbers that cannot be held, bounded depth; with positions. */
export function parseStrictJson(file: string, text: string, found: Findings): Json | undefined {
  return parseJsonDocument(file, text, found)?.value
}

/** The same, with places. */
export function parseJsonDocument(
  file: string,
  text: string,
  found: Findings,
): JsonDocument | undefined {
  // A mark of the byte order is no part of the text, and no column either.
  const plain = text.startsWith('\uFEFF') ? text.slice(1) : text
  const reader = new Reader(plain)
  const place = (offset: number, end: number) => spanOf(file, plain, offset, end)
  try {
    const value = reader.document()
    return {
      value,
      at: ([row]) => {
        const [start = 0, end = 1] = typeof row === 'number' ? (reader.entries[row] ?? []) : []
        return place(start, end)
      },
    }
  } catch (error) {
    if (!(error instanceof JsonProblem)) throw error
    const { code, message, offset, end, first } = error
    const also = first === undefined ? '' : `, first on line ${place(first, first).line}`
    found.error(place(offset, end), code, message + also, HINTS[code])
    return undefined
  }
}

const HINTS: Readonly<Record<string, string>> = {
  duplicate_key: 'take one of them out: only one would count',
  json_number: 'write it as text, in quotes',
  json_syntax: 'JSON has no comments, no trailing commas and no single quotes',
  json_too_deep: `at most ${POLICY_LIMITS.depthMax} levels`,
}

/** Lines and columns of a part of a text; an end on another line is cut at the end of the first. */
export function spanOf(file: string, text: string, offset: number, end: number): Place {
  const before = text.slice(0, offset)
  const line = before.split('\n').length
  const col = offset - before.lastIndexOf('\n')
  const length = /[\r\n]|$/.exec(text.slice(offset, end))?.index ?? 0
  return { file, line, col, end: { line, col: col + Math.max(1, length) } }
}

class JsonProblem extends Error {
  readonly code: string
  readonly offset: number
  readonly end: number
  /** Where it stands first, when the problem is that it stands twice. */
  readonly first: number | undefined

  constructor(code: string, message: string, offset: number, end: number, first?: number) {
    super(message)
    this.code = code
    this.offset = offset
    this.end = end
    this.first = first
  }
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
// oxlint-disable-next-line no-control-regex -- RFC 8259 forbids exactly these inside strings
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
const WORDS = new Map<string, Json>([
  ['true', true],
  ['false', false],
  ['null', null],
])

class Reader {
  /** Of a list that is the whole document: where each entry begins and ends. */
  readonly entries: (readonly [number, number])[] = []
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  document(): Json {
    const value = this.#value(0)
    this.#space()
    if (this.#at < this.#text.length) this.#fail('json_syntax', 'unexpected text after the value')
    return value
  }

  #value(depth: number): Json {
    if (depth > POLICY_LIMITS.depthMax) this.#fail('json_too_deep', 'nested too deep')
    this.#space()
    const next = this.#text[this.#at]
    if (next === '{') return this.#object(depth)
    if (next === '[') return this.#array(depth)
    if (next === '"') return this.#string()
    for (const [word, value] of WORDS) {
      if (!this.#text.startsWith(word, this.#at)) continue
      this.#at += word.length
      return value
    }
    return this.#number()
  }

  #object(depth: number): Json {
    const object: Record<string, Json> = {}
    const keys = new Map<string, number>()
    this.#at++
    if (this.#take('}')) return object
    do {
      this.#space()
      const start = this.#at
      const key = this.#string()
      const first = keys.get(key)
      if (first !== undefined) {
        this.#fail('duplicate_key', `duplicate key \`${key.slice(0, 80)}\``, start, first)
      }
      if (key === '__proto__') this.#fail('json_syntax', 'key `__proto__` is reserved', start)
      keys.set(key, start)
      this.#expect(':')
      object[key] = this.#value(depth + 1)
    } while (this.#take(','))
    this.#expect('}')
    return object
  }

  #array(depth: number): Json {
    const items: Json[] = []
    this.#at++
    if (this.#take(']')) return items
    do {
      this.#space()
      const start = this.#at
      items.push(this.#value(depth + 1))
      if (depth === 0) this.entries.push([start, this.#at])
    } while (this.#take(','))
    this.#expect(']')
    return items
  }

  #string(): string {
    const start = this.#at
    const text = JSON.parse(this.#match(STRING, 'a string')) as string
    if (/\p{Surrogate}/u.test(text)) this.#fail('json_syntax', 'lone surrogate', start)
    return text
  }

  #number(): number {
    const start = this.#at
    const value = Number(this.#match(NUMBER, 'a value'))
    const exact = !Number.isInteger(value) || Number.isSafeInteger(value)
    if (!Number.isFinite(value) || !exact) {
      this.#fail('json_number', 'number cannot be held exactly', start)
    }
    return value
  }

  #match(pattern: RegExp, what: string): string {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)?.[0]
    if (found === undefined) return this.#fail('json_syntax', `expected ${what}`)
    this.#at += found.length
    return found
  }

  #take(mark: string): boolean {
    this.#space()
    if (this.#text[this.#at] !== mark) return false
    this.#at++
    return true
  }

  #expect(mark: string): void {
    if (!this.#take(mark)) this.#fail('json_syntax', `expected \`${mark}\``)
  }

  #space(): void {
    while (' \t\r\n'.includes(this.#text[this.#at] ?? 'x')) this.#at++
  }

  #fail(code: string, message: string, offset = this.#at, first?: number): never {
    throw new JsonProblem(code, message, offset, Math.max(offset + 1, this.#at), first)
  }
}
