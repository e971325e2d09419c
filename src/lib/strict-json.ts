import type { Json, JsonObject } from '../model/json.ts'

// The one reader of JSON, for requests and for the data of policies alike. It reads by itself, because
// JSON.parse silently takes what two parsers could read differently, and says neither where an entry of a
// list stands nor where a key stood first. It stops at the first mistake; what a caller makes of that (a
// 400, a diagnostic with its line) is the caller's to say.

export const JSON_DEPTH_MAX = 64

export type JsonMistake = 'syntax' | 'duplicate_key' | 'number' | 'too_deep' | 'too_many_values'

/** Why a text is not JSON as the gate accepts it; places count UTF-16 code units from 0. */
export class StrictJsonError extends Error {
  readonly code: JsonMistake
  /** The message without its place, for who says the place in another way. */
  readonly problem: string
  readonly at: number
  readonly end: number
  /** Of a duplicate key. */
  readonly duplicate: DuplicateKey | undefined

  constructor(code: JsonMistake, problem: string, at: number, end: number, twice?: DuplicateKey) {
    super(`${problem} at position ${at}`)
    this.name = 'StrictJsonError'
    this.code = code
    this.problem = problem
    this.at = at
    this.end = Math.max(at + 1, end)
    this.duplicate = twice
  }
}

interface DuplicateKey {
  readonly key: string
  readonly firstAt: number
}

export interface StrictJsonRules {
  /** How many lists and objects may stand in each other. */
  readonly depthMax?: number
  /** How many values the text may hold, members of objects included. */
  readonly valuesMax?: number
  /** `rounded`: a fraction may have more digits than a number holds. Whole numbers never may. */
  readonly fractions?: 'exact' | 'rounded'
  /** `any`: who asks keeps the text, so that nothing is lost of a number that no double holds. */
  readonly numbers?: 'any'
  /** A key that no object may have. */
  readonly reservedKey?: string
  /** Told where each entry begins and ends, of a list that is the whole text. */
  readonly onEntry?: (at: number, end: number) => void
}

/**
 * Parses RFC 8259 JSON and refuses what two parsers could read differently: duplicate keys,
 * numbers that lose digits or overflow, lone surrogates and nesting beyond 64. JSON.parse takes all
 * of these silently, so what was scanned would not be what is forwarded.
 * @throws StrictJsonError
 */
export function parseStrictJson(text: string, rules: StrictJsonRules = {}): Json {
  return new Parser(text, rules).document()
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
}

class Parser {
  readonly #text: string
  readonly #rules: StrictJsonRules
  readonly #depthMax: number
  readonly #valuesMax: number
  #at = 0
  #values = 0

  constructor(text: string, rules: StrictJsonRules) {
    this.#text = text
    this.#rules = rules
    this.#depthMax = rules.depthMax ?? JSON_DEPTH_MAX
    this.#valuesMax = rules.valuesMax ?? Number.POSITIVE_INFINITY
  }

  document(): Json {
    const value = this.#value(0)
    this.#space()
    if (this.#at < this.#text.length) this.#fail('unexpected text after the JSON value')
    return value
  }

  #fail(problem: string, code: JsonMistake = 'syntax', at = this.#at): never {
    throw new StrictJsonError(code, problem, at, this.#at)
  }

  #space(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at)
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return
      this.#at++
    }
  }

  #value(depth: number): Json {
    this.#space()
    if (++this.#values > this.#valuesMax) {
      this.#fail(`more than ${this.#valuesMax} values`, 'too_many_values')
    }
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object(depth + 1)
      case '[':
        return this.#array(depth + 1)
      case '"':
        return this.#string()
      case 't':
        return this.#word('true', true)
      case 'f':
        return this.#word('false', false)
      case 'n':
        return this.#word('null', null)
      case undefined:
        return this.#fail('unexpected end of JSON')
      default:
        return this.#number()
    }
  }

  #word(word: string, value: boolean | null): boolean | null {
    if (!this.#text.startsWith(word, this.#at)) this.#fail('unexpected character')
    this.#at += word.length
    return value
  }

  #enter(depth: number): void {
    if (depth > this.#depthMax) this.#fail(`nesting deeper than ${this.#depthMax}`, 'too_deep')
    this.#at++
    this.#space()
  }

  #object(depth: number): JsonObject {
    const objectAt = this.#at
    this.#enter(depth)
    const object: Record<string, Json> = {}
    if (this.#take('}')) return object
    do {
      this.#space()
      const keyAt = this.#at
      const key = this.#key()
      if (Object.hasOwn(object, key)) this.#failTwice(key, keyAt, objectAt, depth)
      this.#colon()
      const value = this.#value(depth)
      if (key === '__proto__') defineOwn(object, key, value)
      else object[key] = value
      this.#space()
    } while (this.#take(','))
    if (!this.#take('}')) this.#fail('expected `,` or `}`')
    return object
  }

  #key(): string {
    const at = this.#at
    if (this.#text[at] !== '"') this.#fail('expected a string key')
    const key = this.#string()
    if (key === this.#rules.reservedKey) this.#fail(`key \`${key}\` is reserved`, 'syntax', at)
    return key
  }

  #colon(): void {
    this.#space()
    if (!this.#take(':')) this.#fail('expected `:`')
  }

  #failTwice(key: string, at: number, objectAt: number, depth: number): never {
    const end = this.#at
    const duplicate = { key, firstAt: this.#firstPlace(key, objectAt, depth) }
    const problem = `duplicate key ${JSON.stringify(key.slice(0, 64))}`
    throw new StrictJsonError('duplicate_key', problem, at, end, duplicate)
  }

  // Found by reading the object once more, so that an object without duplicates keeps no list of places.
  #firstPlace(key: string, objectAt: number, depth: number): number {
    this.#values = 0 // what is read again has been counted
    this.#at = objectAt
    for (;;) {
      this.#at++ // past the `{`, then past each `,`
      this.#space()
      const at = this.#at
      if (this.#key() === key) return at
      this.#colon()
      this.#value(depth)
      this.#space()
    }
  }

  #array(depth: number): Json[] {
    const onEntry = depth === 1 ? this.#rules.onEntry : undefined
    this.#enter(depth)
    const items: Json[] = []
    if (this.#take(']')) return items
    do {
      this.#space()
      const at = this.#at
      items.push(this.#value(depth))
      onEntry?.(at, this.#at)
      this.#space()
    } while (this.#take(','))
    if (!this.#take(']')) this.#fail('expected `,` or `]`')
    return items
  }

  #take(char: string): boolean {
    if (this.#text[this.#at] !== char) return false
    this.#at++
    return true
  }

  #number(): number {
    NUMBER.lastIndex = this.#at
    const match = NUMBER.exec(this.#text)
    if (!match) return this.#fail('unexpected character')
    const at = this.#at
    this.#at += match[0].length
    const value = Number(match[0])
    if (this.#rules.numbers === 'any') return value
    if (!Number.isFinite(value)) this.#fail('number too large', 'number', at)
    const isInteger = match[1] === undefined && match[2] === undefined
    if ((isInteger || Number.isInteger(value)) && !Number.isSafeInteger(value)) {
      this.#fail('integer beyond 2^53 loses digits; send it as a string', 'number', at)
    }
    if (!isInteger && this.#rules.fractions !== 'rounded' && !isExact(match[0], value)) {
      this.#fail('number loses digits; send it as a string', 'number', at)
    }
    return value
  }

  #string(): string {
    const start = ++this.#at
    for (;;) {
      const code = this.#text.charCodeAt(this.#at)
      if (code === QUOTE) break
      if (code === BACKSLASH) return this.#escapedString(start)
      if (code < 0x20) this.#fail('control character in string')
      if (Number.isNaN(code)) this.#fail('unterminated string')
      this.#at++
    }
    return this.#wellFormed(this.#text.slice(start, this.#at++), start)
  }

  #escapedString(start: number): string {
    let text = this.#text.slice(start, this.#at)
    for (;;) {
      const char = this.#text[this.#at]
      if (char === undefined) this.#fail('unterminated string')
      if (char < ' ') this.#fail('control character in string')
      this.#at++
      if (char === '"') return this.#wellFormed(text, start)
      text += char === '\\' ? this.#escape() : char
    }
  }

  #escape(): string {
    const char = this.#text[this.#at++] ?? ''
    if (char !== 'u') return ESCAPES[char] ?? this.#fail('invalid escape')
    const hex = this.#text.slice(this.#at, this.#at + 4)
    if (!/^[0-9a-fA-F]{4}$/.test(hex)) this.#fail('invalid \\u escape')
    this.#at += 4
    return String.fromCharCode(Number.parseInt(hex, 16))
  }

  #wellFormed(text: string, start: number): string {
    if (!text.isWellFormed()) this.#fail('lone surrogate in string', 'syntax', start - 1)
    return text
  }
}

// An own property, so a `__proto__` key is data and no more.
function defineOwn(object: JsonObject, key: string, value: Json): void {
  Object.defineProperty(object, key, {
    value,
    writable: true,
    enumerable: true,
    configurable: true,
  })
}

const isExact = (written: string, value: number): boolean => {
  const read = String(value)
  return written === read || significant(written) === significant(read)
}

/** A number's digits and its scale: equal for `1.0` and `1`, `1e2` and `100`, `0.10` and `0.1`. */
function significant(number: string): string {
  const [mantissa = '', exponent = '0'] = number.replace(/^-/, '').toLowerCase().split('e')
  const [whole = '', fraction = ''] = mantissa.split('.')
  const digits = (whole + fraction).replace(/^0+/, '')
  let end = digits.length
  while (digits[end - 1] === '0') end-- // a pattern for this would try each run of zeros anew
  if (end === 0) return '0'
  return `${digits.slice(0, end)}e${Number(exponent) - fraction.length + digits.length - end}`
}
