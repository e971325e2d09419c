import { createHash } from 'node:crypto'
import { parseStrictJson } from '../../lib/strict-json.ts'

// The hash that OPA signs of a document is not over its bytes but over its value, written with sorted keys and no spaces. Numbers
// stay as they were written, so the value is taken from the text and never passes through a double; keys sort by their UTF-8
// bytes; and strings are written as Go's encoder does, which escapes two line separators that JSON need not. The text is gone
// through once: it is of whoever serves bundles, may be large, and is hashed before it is known to be worth anything.

/** The hash of a document, in hex. @throws StrictJsonError for text that two parsers could read differently */
export function documentHash(text: string, algorithm: string): string {
  parseStrictJson(text, { numbers: 'any' })
  return createHash(algorithm).update(canonicalText(text)).digest('hex')
}

/** One text for each value, of text that is valid JSON. */
export const canonicalText = (text: string): string => new Canonical(text).value()

const QUOTE = 0x22
const BACKSLASH = 0x5c
const SPACES = new Set([' ', '\n', '\r', '\t'])
const WORD = /[^\s,\]}]+/y

/** Goes down as deep as the text does, which whoever found it valid has bounded. */
class Canonical {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  value(): string {
    switch (this.#next()) {
      case '{':
        return this.#object()
      case '[':
        return this.#list()
      case '"':
        return goString(this.#string())
      default:
        return this.#word()
    }
  }

  /** What stands next, behind spaces. */
  #next(): string {
    while (SPACES.has(this.#text[this.#at] ?? '')) this.#at++
    return this.#text[this.#at] ?? ''
  }

  /** Whether another one follows, in what ends so. */
  #goesOn(end: ']' | '}'): boolean {
    const next = this.#next()
    if (next === end || next === ',') this.#at++
    return next !== end && next !== ''
  }

  #list(): string {
    this.#at++
    const items: string[] = []
    while (this.#goesOn(']')) items.push(this.value())
    return `[${items.join(',')}]`
  }

  #object(): string {
    this.#at++
    const members: { readonly bytes: Buffer; readonly text: string }[] = []
    while (this.#goesOn('}')) {
      this.#next()
      const name = this.#string()
      this.#next()
      this.#at++ // past the `:`
      members.push({ bytes: Buffer.from(name), text: `${goString(name)}:${this.value()}` })
    }
    const sorted = members.sort((a, b) => Buffer.compare(a.bytes, b.bytes))
    return `{${sorted.map((member) => member.text).join(',')}}`
  }

  #string(): string {
    const from = this.#at++
    for (let code = this.#code(); code !== QUOTE; code = this.#code()) {
      this.#at += code === BACKSLASH ? 2 : 1
    }
    return JSON.parse(this.#text.slice(from, ++this.#at)) as string
  }

  #code(): number {
    return this.#at < this.#text.length ? this.#text.charCodeAt(this.#at) : QUOTE
  }

  #word(): string {
    WORD.lastIndex = this.#at
    const [word = ''] = WORD.exec(this.#text) ?? []
    this.#at += word.length
    return word
  }
}

const goString = (text: string): string =>
  JSON.stringify(text).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029')
