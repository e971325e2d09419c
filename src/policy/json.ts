import type { Json } from '../model/json.ts'
import type { Findings } from './diagnostics.ts'
import { POLICY_LIMITS } from './limits.ts'

/** Strict JSON: no duplicate keys, no numbers that cannot be held, bounded depth; with positions. */
export function parseStrictJson(file: string, text: string, found: Findings): Json | undefined {
  const reader = new Reader(text.startsWith('\uFEFF') ? text.slice(1) : text)
  try {
    return reader.document()
  } catch (error) {
    if (!(error instanceof JsonProblem)) throw error
    found.error({ file, ...lineCol(text, error.offset) }, error.code, error.message)
    return undefined
  }
}

function lineCol(text: string, offset: number): { line: number; col: number } {
  const before = text.slice(0, offset)
  return { line: before.split('\n').length, col: offset - before.lastIndexOf('\n') }
}

class JsonProblem extends Error {
  readonly code: string
  readonly offset: number

  constructor(code: string, message: string, offset: number) {
    super(message)
    this.code = code
    this.offset = offset
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
    this.#at++
    if (this.#take('}')) return object
    do {
      this.#space()
      const start = this.#at
      const key = this.#string()
      if (Object.hasOwn(object, key)) this.#fail('duplicate_key', `duplicate key \`${key}\``, start)
      if (key === '__proto__') this.#fail('json_syntax', 'key `__proto__` is reserved', start)
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
    do items.push(this.#value(depth + 1))
    while (this.#take(','))
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

  #fail(code: string, message: string, offset = this.#at): never {
    throw new JsonProblem(code, message, offset)
  }
}
