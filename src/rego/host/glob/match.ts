// Matchers of globs, one for each kind of piece that OPA's library knows, with its ways of finding pieces within a text:
// some do not find what they match, and a glob made of those matches nothing.
import { spend } from '../builtins/kind.ts'
import { countRunes, indexOfAny, lastIndexOfAny, runes, widthAt } from './bytes.ts'

export interface Found {
  readonly at: number
  /** How long what stands there may be, in bytes, the shortest first. */
  readonly lengths: readonly number[]
}

export interface Matcher {
  readonly kind: string
  /** The runes that it always takes, or -1. */
  readonly size: number
  match(s: string): boolean
  find(s: string): Found | undefined
}

const NO_SIZE = -1

/** Where runes start, and the end. */
function bounds(s: string, from = 0): number[] {
  const found: number[] = []
  for (const [at] of runes(s)) found.push(from + at)
  found.push(from + s.length)
  return found
}
/** Where runes end, and the start. */
function ends(s: string, from: number): number[] {
  return bounds(s, from)
}

export class Super implements Matcher {
  readonly kind = 'super'
  readonly size = NO_SIZE
  match(): boolean {
    return true
  }
  find(s: string): Found {
    return { at: 0, lengths: bounds(s) }
  }
}

export class Any implements Matcher {
  readonly kind = 'any'
  readonly size = NO_SIZE
  readonly separators: readonly string[]
  constructor(separators: readonly string[]) {
    this.separators = separators
  }
  match(s: string): boolean {
    return indexOfAny(s, this.separators) < 0
  }
  find(s: string): Found {
    const end = indexOfAny(s, this.separators)
    if (end === 0) return { at: 0, lengths: [0] }
    return { at: 0, lengths: bounds(end < 0 ? s : s.slice(0, end)) }
  }
}

export class Nothing implements Matcher {
  readonly kind = 'nothing'
  readonly size = 0
  match(s: string): boolean {
    return s === ''
  }
  find(): Found {
    return { at: 0, lengths: [0] }
  }
}

/** One rune of some kind. */
export class One implements Matcher {
  readonly size = 1
  readonly kind: 'single' | 'list' | 'range'
  /** Separators of a single, runes of a list. */
  readonly runes: readonly string[]
  readonly not: boolean
  readonly #holds: (rune: string) => boolean
  constructor(
    kind: One['kind'],
    listed: readonly string[],
    not: boolean,
    holds: (rune: string) => boolean,
  ) {
    this.kind = kind
    this.runes = listed
    this.not = not
    this.#holds = holds
  }
  match(s: string): boolean {
    return s.length <= (s === '' ? 0 : widthAt(s, 0)) && this.#holds(s)
  }
  find(s: string): Found | undefined {
    for (const [at, rune] of runes(s)) if (this.#holds(rune)) return { at, lengths: [rune.length] }
    return undefined
  }
}

export class Text implements Matcher {
  readonly kind = 'text'
  readonly text: string
  readonly size: number
  constructor(text: string) {
    this.text = text
    this.size = countRunes(text)
  }
  match(s: string): boolean {
    return s === this.text
  }
  find(s: string): Found | undefined {
    const at = s.indexOf(this.text)
    return at < 0 ? undefined : { at, lengths: [this.text.length] }
  }
}

/** A text somewhere within, or nowhere. */
export class Contains implements Matcher {
  readonly kind = 'contains'
  readonly size = NO_SIZE
  readonly #needle: string
  readonly #not: boolean
  constructor(needle: string, not: boolean) {
    this.#needle = needle
    this.#not = not
  }
  match(s: string): boolean {
    return s.includes(this.#needle) !== this.#not
  }
  find(s: string): Found | undefined {
    const at = s.indexOf(this.#needle)
    if (this.#not) return { at: 0, lengths: bounds(at < 0 ? s : s.slice(0, at)) }
    if (at < 0) return undefined
    const from = at + this.#needle.length
    return { at: 0, lengths: bounds(s.slice(from), from) }
  }
}

export class Prefix implements Matcher {
  readonly kind = 'prefix'
  readonly size = NO_SIZE
  readonly prefix: string
  constructor(prefix: string) {
    this.prefix = prefix
  }
  match(s: string): boolean {
    return s.startsWith(this.prefix)
  }
  find(s: string): Found | undefined {
    const at = s.indexOf(this.prefix)
    const { length } = this.prefix
    return at < 0 ? undefined : { at, lengths: ends(s.slice(at + length), length) }
  }
}

export class PrefixAny implements Matcher {
  readonly kind = 'prefixAny'
  readonly size = NO_SIZE
  readonly #prefix: string
  readonly #separators: readonly string[]
  constructor(prefix: string, separators: readonly string[]) {
    this.#prefix = prefix
    this.#separators = separators
  }
  match(s: string): boolean {
    return (
      s.startsWith(this.#prefix) && indexOfAny(s.slice(this.#prefix.length), this.#separators) < 0
    )
  }
  find(s: string): Found | undefined {
    const at = s.indexOf(this.#prefix)
    if (at < 0) return undefined
    const { length } = this.#prefix
    const rest = s.slice(at + length)
    const end = indexOfAny(rest, this.#separators)
    return { at, lengths: ends(end < 0 ? rest : rest.slice(0, end), length) }
  }
}

export class PrefixSuffix implements Matcher {
  readonly kind = 'prefixSuffix'
  readonly size = NO_SIZE
  readonly #prefix: string
  readonly #suffix: string
  constructor(prefix: string, suffix: string) {
    this.#prefix = prefix
    this.#suffix = suffix
  }
  match(s: string): boolean {
    return s.startsWith(this.#prefix) && s.endsWith(this.#suffix)
  }
  find(s: string): Found | undefined {
    const at = s.indexOf(this.#prefix)
    if (at < 0) return undefined
    if (this.#suffix === '') return { at, lengths: [s.length - at] }
    const lengths: number[] = []
    let rest = s.slice(at)
    for (;;) {
      const end = rest.lastIndexOf(this.#suffix)
      if (end < 0) break
      lengths.unshift(end + this.#suffix.length)
      rest = rest.slice(0, end)
    }
    return lengths.length === 0 ? undefined : { at, lengths }
  }
}

export class Suffix implements Matcher {
  readonly kind = 'suffix'
  readonly size = NO_SIZE
  readonly suffix: string
  constructor(suffix: string) {
    this.suffix = suffix
  }
  match(s: string): boolean {
    return s.endsWith(this.suffix)
  }
  find(s: string): Found | undefined {
    const at = s.indexOf(this.suffix)
    return at < 0 ? undefined : { at: 0, lengths: [at + this.suffix.length] }
  }
}

export class SuffixAny implements Matcher {
  readonly kind = 'suffixAny'
  readonly size = NO_SIZE
  readonly #suffix: string
  readonly #separators: readonly string[]
  constructor(suffix: string, separators: readonly string[]) {
    this.#suffix = suffix
    this.#separators = separators
  }
  match(s: string): boolean {
    const rest = s.slice(0, s.length - this.#suffix.length)
    return s.endsWith(this.#suffix) && indexOfAny(rest, this.#separators) < 0
  }
  find(s: string): Found | undefined {
    const end = s.indexOf(this.#suffix)
    if (end < 0) return undefined
    const at = lastIndexOfAny(s.slice(0, end), this.#separators) + 1
    return { at, lengths: [end + this.#suffix.length - at] }
  }
}

/** So many runes at least. */
export class Min implements Matcher {
  readonly kind = 'min'
  readonly size = NO_SIZE
  readonly #limit: number
  constructor(limit: number) {
    this.#limit = limit
  }
  match(s: string): boolean {
    return countRunes(s) >= Math.max(this.#limit, 1)
  }
  find(s: string): Found | undefined {
    if (s.length < this.#limit) return undefined
    const lengths: number[] = []
    let count = 0
    for (const [at, rune] of runes(s)) if (++count >= this.#limit) lengths.push(at + rune.length)
    return lengths.length === 0 ? undefined : { at: 0, lengths }
  }
}
/** So many runes at most. */
export class Max implements Matcher {
  readonly kind = 'max'
  readonly size = NO_SIZE
  readonly #limit: number
  constructor(limit: number) {
    this.#limit = limit
  }
  match(s: string): boolean {
    return countRunes(s) <= this.#limit
  }
  find(s: string): Found {
    return { at: 0, lengths: bounds(s).slice(0, this.#limit + 1) }
  }
}

/** Pieces of a known size, one behind the other. */
export class Row implements Matcher {
  readonly kind = 'row'
  readonly size: number
  readonly #matchers: readonly Matcher[]
  constructor(matchers: readonly Matcher[]) {
    this.#matchers = matchers
    this.size = matchers.reduce((sum, { size }) => sum + size, 0)
  }
  match(s: string): boolean {
    return countRunes(s) === this.size && this.#all(s)
  }
  #all(s: string): boolean {
    let at = 0
    for (const matcher of this.#matchers) {
      const piece = firstRunes(s.slice(at), matcher.size)
      if (piece === undefined || !matcher.match(piece)) return false
      at += piece.length
    }
    return true
  }
  find(s: string): Found | undefined {
    for (const [at] of runes(s)) {
      const rest = s.slice(at)
      if (rest.length < this.size) return undefined
      if (this.#all(rest)) return { at, lengths: [this.size] }
    }
    return undefined
  }
}

/** So many runes, the last of them, as in the library, by its first byte alone. */
function firstRunes(s: string, size: number): string | undefined {
  let count = 0
  let last = 0
  for (const [at] of runes(s)) {
    last = at
    if (++count === size) break
  }
  return count < size ? undefined : s.slice(0, last + 1)
}

export class EveryOf implements Matcher {
  readonly kind = 'everyOf'
  readonly #matchers: readonly Matcher[]
  constructor(matchers: readonly Matcher[]) {
    this.#matchers = matchers
  }
  get size(): number {
    return this.#matchers.length === 0 ? 0 : NO_SIZE
  }
  match(s: string): boolean {
    return this.#matchers.every((matcher) => matcher.match(s))
  }
  find(s: string): Found | undefined {
    let index = 0
    let offset = 0
    let current: readonly number[] = []
    let rest = s
    for (const [i, matcher] of this.#matchers.entries()) {
      const found = matcher.find(rest)
      if (!found) return undefined
      if (i === 0) current = found.lengths
      else {
        const delta = index - (found.at + offset)
        const { lengths } = found
        current = current.flatMap((n) => lengths.filter((length) => n + delta === length))
        if (current.length === 0) return undefined
      }
      index = found.at + offset
      rest = s.slice(index)
      offset += found.at
    }
    return { at: index, lengths: current }
  }
}

export class AnyOf implements Matcher {
  readonly kind = 'anyOf'
  readonly matchers: readonly Matcher[]
  readonly size: number
  constructor(matchers: readonly Matcher[]) {
    this.matchers = matchers
    this.size = commonSize(matchers)
  }
  match(s: string): boolean {
    return this.matchers.some((matcher) => matcher.match(s))
  }
  find(s: string): Found | undefined {
    let best: Found | undefined
    for (const matcher of this.matchers) {
      const found = matcher.find(s)
      if (!found || (best && found.at > best.at)) continue
      best = best?.at === found.at ? merged(best, found) : found
    }
    return best
  }
}

function commonSize(matchers: readonly Matcher[]): number {
  let size = NO_SIZE
  for (const matcher of matchers) {
    if (size === NO_SIZE) ({ size } = matcher)
    else if (matcher.size !== size) return NO_SIZE
  }
  return size
}

function merged(a: Found, b: Found): Found {
  const lengths = [...new Set([...a.lengths, ...b.lengths])].sort((x, y) => x - y)
  return { at: a.at, lengths }
}

/** A piece, with what stands before and behind it. */
export class Tree implements Matcher {
  readonly kind = 'tree'
  readonly value: Matcher
  readonly left: Matcher | undefined
  readonly right: Matcher | undefined
  readonly size: number
  constructor(value: Matcher, left: Matcher | undefined, right: Matcher | undefined) {
    this.value = value
    this.left = left
    this.right = right
    const sizes = [value.size, left?.size ?? 0, right?.size ?? 0]
    this.size = sizes.includes(NO_SIZE) ? NO_SIZE : sizes.reduce((a, b) => a + b, 0)
  }
  /** A tree is never found within a text: an alternative made of one only matches where nothing stands beside it. */
  find(): undefined {
    return undefined
  }
  match(s: string): boolean {
    spend(5 + (s.length >> 2))
    if (this.size > s.length) return false
    const [left, right] = [this.left?.size ?? 0, this.right?.size ?? 0]
    const limit = s.length - Math.max(right, 0)
    for (let offset = Math.max(left, 0); offset < limit; ) {
      const found = this.value.find(s.slice(offset, limit))
      if (!found) return false
      const at = offset + found.at
      const before = s.slice(0, at)
      if ((this.left ? this.left.match(before) : before === '') && this.#behind(s, at, found))
        return true
      offset = at + widthAt(s, at)
    }
    return false
  }
  #behind(s: string, at: number, { lengths }: Found): boolean {
    for (const length of lengths.toReversed()) {
      const rest = s.slice(at + length)
      if (this.right ? this.right.match(rest) : rest === '') return true
    }
    return false
  }
}
