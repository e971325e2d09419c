import { EACH, type Pointers } from '../model/record-rules.ts'

// Values inside JSON text, found by where they stand. What is around them stays as it came, digit by digit, members
// that are there twice included, which a parser that writes again would not keep.

export interface Span {
  readonly from: number
  readonly to: number
}

/** Where the values at these pointers stand in a text that is valid JSON, in order; none within another. */
export function spansAt(text: string, pointers: Pointers): readonly Span[] {
  const spans: Span[] = []
  if (pointers.length > 0) walk(text, space(text, 0), pointers, spans)
  return spans
}

/** The members of an object, or the elements of a list by their places, as text, in the order they stand. */
export function* membersOf(text: string): Generator<readonly [name: string, value: string]> {
  let at = space(text, 0)
  const isObject = text[at] === '{'
  at++
  for (const [index, { from, to }] of spansAt(text, [[EACH]]).entries()) {
    const name = isObject ? (NAME.exec(text.slice(at, from))?.[0] ?? '""') : `"${index}"`
    yield [JSON.parse(name) as string, text.slice(from, to)]
    at = to
  }
}

/** Each string and number of a text that is valid JSON, and whether it names a member. */
export function* scalarsOf(text: string): Generator<Span & { readonly isName: boolean }> {
  for (const match of text.matchAll(SCALAR)) {
    const to = match.index + match[0].length
    yield { from: match.index, to, isName: text[space(text, to)] === ':' }
  }
}

/** The text with each of these spans, which are in order, replaced. */
export function replaced<Place extends Span>(
  text: string,
  spans: Iterable<Place>,
  replace: (part: string, span: Place) => string,
): string {
  let whole = ''
  let at = 0
  for (const span of spans) {
    whole += text.slice(at, span.from) + replace(text.slice(span.from, span.to), span)
    at = span.to
  }
  return at === 0 ? text : whole + text.slice(at)
}

const STRING = String.raw`"[^"\\]*(?:\\.[^"\\]*)*"`
const SCALAR = new RegExp(`${STRING}|-?\\d[\\d.eE+-]*`, 'gs')
const TOKEN = new RegExp(`${STRING}|[[\\]{}]`, 'gs')
const TEXT = new RegExp(STRING, 'sy')
const NAME = new RegExp(STRING, 's')
const WORD = /[^\s,\]}]+/y
const SPACE = /\s*/y

// Goes down only where a pointer leads, so a text that is nested without end costs no stack.
function walk(text: string, at: number, pointers: Pointers, spans: Span[]): number {
  const opens = text[at]
  if (pointers.some(({ length }) => length === 0)) {
    const to = past(text, at)
    spans.push({ from: at, to })
    return to
  }
  if (pointers.length === 0 || (opens !== '{' && opens !== '[')) return past(text, at)
  let next = space(text, at + 1)
  if (text[next] === '}' || text[next] === ']') return next + 1
  for (let index = 0; ; index++) {
    let step = String(index)
    if (opens === '{') {
      const end = sticky(TEXT, text, next)
      step = JSON.parse(text.slice(next, end)) as string
      next = space(text, space(text, end) + 1)
    }
    const below = pointers.filter(([first]) => first === step || first === EACH)
    const rest = below.map(([, ...steps]) => steps)
    next = space(text, walk(text, next, rest, spans))
    if (text[next] !== ',') return next + 1
    next = space(text, next + 1)
  }
}

/** Behind the value that begins there. */
function past(text: string, at: number): number {
  if (text[at] === '"') return sticky(TEXT, text, at)
  if (text[at] !== '{' && text[at] !== '[') return sticky(WORD, text, at)
  let depth = 0
  TOKEN.lastIndex = at
  for (let match = TOKEN.exec(text); match; match = TOKEN.exec(text)) {
    if (match[0] === '{' || match[0] === '[') depth++
    else if (match[0] === '}' || match[0] === ']') depth--
    if (depth === 0) return TOKEN.lastIndex
  }
  return text.length
}

const space = (text: string, at: number): number => sticky(SPACE, text, at)

function sticky(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at
  return pattern.test(text) ? pattern.lastIndex : text.length
}
