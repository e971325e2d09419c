// Where nodes stand in the text they were read from. A node's place gives the row of its first token; its text may begin
// earlier, at a parenthesis around the node itself or around its first operand.
import type { Expr, Loc, RefTerm, Term } from '../ast/ast.ts'

/** A stretch of the source: the row it is said to be on, and its text by offsets. */
export interface Span {
  readonly row: number
  readonly start: number
  readonly end: number
}

/** No place: comes before every comment. */
const NOWHERE = -1

export class Source {
  readonly text: string
  readonly #lines: number[] = [0]
  /** Where nodes that are treated as being on another row really stand. */
  readonly #origins = new Map<Loc, Loc>()

  constructor(text: string) {
    this.text = text
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) {
      this.#lines.push(at + 1)
    }
  }

  /** An expression as if all of it stood on one row. */
  pinned(expr: Expr, row: number): Expr {
    return this.#pin(expr, row) as Expr
  }

  #pin(node: unknown, row: number): unknown {
    if (Array.isArray(node)) return node.map((item) => this.#pin(item, row))
    if (typeof node !== 'object' || node === null) return node
    const copy: Record<string, unknown> = {}
    for (const [key, value] of Object.entries(node)) {
      copy[key] = key === 'loc' ? this.#moved(value as Loc, row) : this.#pin(value, row)
    }
    return copy
  }

  #moved(loc: Loc, row: number): Loc {
    const moved = { ...loc, row }
    this.#origins.set(moved, loc)
    return moved
  }

  offset(loc: Loc): number {
    const { row, col } = this.#origins.get(loc) ?? loc
    return (this.#lines[row - 1] ?? this.text.length) + col - 1
  }

  /** The row an offset is on. */
  rowAt(offset: number): number {
    let low = 0
    let high = this.#lines.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.#lines[middle] ?? 0) <= offset) low = middle
      else high = middle - 1
    }
    return low + 1
  }

  of(loc: Loc): Span {
    const start = this.offset(loc)
    return { row: loc.row, start, end: start + loc.length }
  }

  term(term: Term): Span {
    if (term.parens) {
      const { start, length } = term.parens
      return { row: term.loc.row, start, end: start + length }
    }
    const start = this.#begin(term)
    return { row: term.loc.row, start, end: start + term.loc.length }
  }

  #begin(term: Term): number {
    if (term.parens) return term.parens.start
    if (term.kind === 'ref') return this.#begin(term.terms[0])
    const [first] = term.kind === 'call' ? term.args : []
    if (term.kind === 'call' && term.infix && first) return this.#begin(first)
    if (term.kind === 'call' && !isUnaryMinus(term)) return this.#begin(term.operator)
    return this.offset(term.loc)
  }

  /** The name of a call, without its arguments. */
  name(operator: RefTerm): Span {
    const start = this.#begin(operator.terms[0])
    return { row: operator.loc.row, start, end: start + operator.loc.length }
  }

  begins(span: Span, text: string): boolean {
    return this.text.startsWith(text, span.start)
  }

  textOf({ start, end }: Span): string {
    return this.text.slice(start, end)
  }

  /** The row of the last line with text in it. */
  endRow({ row, start, end }: Span): number {
    return row + lineBreaks(this.text.slice(start, end).trimEnd())
  }

  /** The row of the last line of an expression's own terms, without what it says `with`. */
  termsEndRow(expr: Expr): number {
    const span = this.of(expr.loc)
    const [first] = expr.with
    return this.endRow(first ? { ...span, end: this.offset(first.loc) } : span)
  }

  /**
   * The row of the bracket that closes the first one of its kind in a stretch, behind a first pair of other brackets if
   * given; before everything when there is none. Brackets are counted wherever they stand, in strings and comments too:
   * comments find their places by this row, and must find those that `opa fmt` gives them.
   */
  closingRow(span: Span, pair: '()' | '[]' | '{}', skip?: '()' | '[]'): number {
    let at = span.start
    if (skip) at = this.#behind(at, span.end, skip)
    const opening = this.text.indexOf(pair.charAt(0), at)
    if (at >= span.end || opening < 0 || opening >= span.end) return NOWHERE
    const closing = this.#behind(opening, span.end, pair)
    if (closing >= span.end) return NOWHERE
    const upTo = lineBreaks(this.text.slice(opening, closing))
    const skipped = skip ? lineBreaks(this.text.slice(span.start, at)) : 0
    return span.row + skipped + upTo
  }

  /** The offset of the bracket that closes the first opening one, or the end. */
  #behind(from: number, end: number, [open, close]: string): number {
    let at = this.text.indexOf(open as string, from)
    if (at < 0) return end
    for (let depth = 1; depth > 0; ) {
      at++
      if (at >= end) return end
      if (this.text[at] === open) depth++
      if (this.text[at] === close) depth--
    }
    return at
  }
}

function isUnaryMinus(term: Extract<Term, { kind: 'call' }>): boolean {
  return !term.infix && term.operator.loc.col === term.loc.col && term.operator.loc.length === 1
    ? term.operator.terms[0].kind === 'var' && term.operator.terms[0].name === 'minus'
    : false
}

export function lineBreaks(text: string): number {
  let found = 0
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) found++
  return found
}
