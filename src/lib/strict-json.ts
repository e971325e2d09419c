import type { Json, JsonObject } from '../model/json.ts'

export const JSON_DEPTH_MAX = 64

/** Why a text is not JSON as the gate accepts it; `at` counts UTF-16 code units from 0. */
export class StrictJsonError extends Error {
  readonly at: number

  constructor(message: string, at: number) {
    super(`${message} at position ${at}`)
    this.name = 'StrictJsonError'
    this.at = at
  }
}

/**
 * Parses RFC 8259 JSON and refuses what two parsers could read differently: duplicate keys,
 * numbers that lose digits or overflow, lone surrogates and nesting beyond 64. JSON.parse takes all
 * of these silently, so what was scanned would not be what is forwarded.
 * @throws StrictJsonError, also beyond `valuesMax` values, members of objects included
 */
export function parseStrictJson(text: string, valuesMax = Number.POSITIVE_INFINITY): Json {
  return new Parser(text, valuesMax).document()
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
  readonly #valuesMax: number
  #at = 0
  #values = 0

  constructor(text: string, valuesMax: number) {
    this.#text = text
    this.#valuesMax = valuesMax
  }

  document(): Json {
    const value = this.#value(0)
    this.#space()
    if (this.#at < this.#text.length) this.#fail('unexpected text after the JSON value')
    return value
  }

  #fail(message: string): never {
    throw new StrictJsonError(message, this.#at)
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
    if (++this.#values > this.#valuesMax) this.#fail(`more than ${this.#valuesMax} values`)
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
    if (depth > JSON_DEPTH_MAX) this.#fail(`nesting deeper than ${JSON_DEPTH_MAX}`)
    this.#at++
    this.#space()
  }

  #object(depth: number): JsonObject {
    this.#enter(depth)
    const members = new Map<string, Json>()
    if (this.#take('}')) return {}
    do {
      this.#space()
      const keyAt = this.#at
      if (this.#text[this.#at] !== '"') this.#fail('expected a string key')
      const key = this.#string()
      if (members.has(key)) {
        throw new StrictJsonError(`duplicate key ${JSON.stringify(key.slice(0, 64))}`, keyAt)
      }
      this.#space()
      if (!this.#take(':')) this.#fail('expected `:`')
      members.set(key, this.#value(depth))
      this.#space()
    } while (this.#take(','))
    if (!this.#take('}')) this.#fail('expected `,` or `}`')
    // fromEntries defines own properties, so a `__proto__` key is data and no more.
    return Object.fromEntries(members)
  }

  #array(depth: number): Json[] {
    this.#enter(depth)
    const items: Json[] = []
    if (this.#take(']')) return items
    do {
      items.push(this.#value(depth))
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
    const value = Number(match[0])
    if (!Number.isFinite(value)) this.#fail('number too large')
    const isInteger = match[1] === undefined && match[2] === undefined
    if ((isInteger || Number.isInteger(value)) && !Number.isSafeInteger(value)) {
      this.#fail('integer beyond 2^53 loses digits; send it as a string')
    }
    if (!isInteger && significant(match[0]) !== significant(String(value))) {
      this.#fail('number loses digits; send it as a string')
    }
    this.#at += match[0].length
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
    return this.#wellFormed(this.#text.slice(start, this.#at++))
  }

  #escapedString(start: number): string {
    let text = this.#text.slice(start, this.#at)
    for (;;) {
      const char = this.#text[this.#at]
      if (char === undefined) this.#fail('unterminated string')
      if (char < ' ') this.#fail('control character in string')
      this.#at++
      if (char === '"') return this.#wellFormed(text)
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

  #wellFormed(text: string): string {
    if (!text.isWellFormed()) this.#fail('lone surrogate in string')
    return text
  }
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
