// Lines, indentation and comments. Comments wait in order; whoever writes something that stands on a row asks for those
// before that row to be written first, and the one on the row itself waits for the end of the line. Where a second one
// comes before that end, the layout cannot keep both in their places: the nearest whole term is then written as it stood.
import type { Comment } from '../ast/ast.ts'
import type { Source, Span } from './spans.ts'
import { lineBreaks } from './spans.ts'

/** A comment has no place in the layout; `whole` when what was being written stands there nevertheless. */
export class UnexpectedComment extends Error {
  whole = false
}

interface Saved {
  readonly length: number
  readonly level: number
  readonly pending: readonly Comment[]
}

export class Writer {
  readonly source: Source
  pending: readonly Comment[]
  out = ''
  level = 0
  inline = false
  /** Unformatted text may take the comment of its last line with it. */
  commentOnFinalLine = false
  #atEnd: Comment | undefined
  #delayed = false

  constructor(source: Source, comments: readonly Comment[]) {
    this.source = source
    this.pending = comments
  }

  write(text: string): void {
    this.out += text
  }

  startLine(): void {
    this.inline = true
    this.out += '\t'.repeat(this.level)
  }

  endLine(): void {
    this.inline = false
    if (this.#atEnd && !this.#delayed) {
      this.out += ` ${shown(this.#atEnd)}`
      this.#atEnd = undefined
    }
    this.#delayed = false
    this.out += '\n'
  }

  blankLine(): void {
    if (this.inline) this.endLine()
    this.out += '\n'
  }

  #line(text: string): void {
    if (!this.inline) this.startLine()
    this.write(text)
    this.endLine()
  }

  /** Opens a bracket whose elements get lines of their own; a comment behind it waits for the end of the first. */
  startLines(): void {
    this.#delayed = true
    this.endLine()
    this.level++
    this.startLine()
  }

  get commentWaits(): boolean {
    return this.#atEnd !== undefined
  }

  get pendingRow(): number {
    return this.pending[0]?.loc.row ?? Number.POSITIVE_INFINITY
  }

  /** Takes the comments before a row. */
  takeBefore(row: number): readonly Comment[] {
    if (this.pendingRow >= row) return []
    const after = this.pending.findIndex(({ loc }) => loc.row >= row)
    const count = after < 0 ? this.pending.length : after
    const taken = this.pending.slice(0, count)
    this.pending = this.pending.slice(count)
    return taken
  }

  /** Writes what comments come before a row, and lets the one on it wait for the end of the line. */
  insertComments(row: number): void {
    if (this.pendingRow > row) return
    const before = this.takeBefore(row)
    let at: Comment | undefined
    while (this.pendingRow === row) {
      at = this.pending[0]
      this.pending = this.pending.slice(1)
    }
    this.writeComments(before)
    const last = before.at(-1)
    if (last && row - last.loc.row > 1) this.blankLine()
    if (!at) return
    const waits = this.#atEnd !== undefined
    this.#atEnd = waits ? undefined : at
    if (waits) throw new UnexpectedComment()
  }

  writeComments(comments: readonly Comment[]): void {
    let inMetadata = false
    for (const [i, comment] of comments.entries()) {
      const last = comments[i - 1]
      if (last) {
        const apart = comment.loc.row - last.loc.row
        if (apart > 1) inMetadata = false
        if (apart > 1 || (apart === 1 && inMetadata && isMetadata(comment))) this.blankLine()
      }
      if (isMetadata(comment)) inMetadata = true
      this.#line(shown(comment))
    }
  }

  /** What is left when everything else is written. */
  writeRest(): void {
    for (const comment of this.pending) this.#line(shown(comment))
    if (this.pending.length > 0) this.write('\n')
    this.pending = []
  }

  save(): Saved {
    return { length: this.out.length, level: this.level, pending: this.pending }
  }

  /** Goes back to where something began, and writes it as it stood, comments included. */
  asItStood(saved: Saved, span: Span): void {
    this.out = this.out.slice(0, saved.length)
    this.level = saved.level
    const text = this.source.textOf(span)
    const endRow = span.row + lineBreaks(text)
    const waiting = this.#atEnd?.loc.row ?? -1
    if (waiting >= span.row && waiting <= endRow) this.#atEnd = undefined
    this.write(text)
    const kept: Comment[] = []
    for (const comment of saved.pending) {
      if (this.commentOnFinalLine && comment.loc.row === endRow) this.write(` ${shown(comment)}`)
      else if (comment.loc.row >= endRow) kept.push(comment)
    }
    this.pending = kept
  }
}

export function shown(comment: Comment): string {
  return `#${comment.text.trimEnd()}`
}

function isMetadata({ loc, text }: Comment): boolean {
  return loc.col === 1 && text.trim().startsWith('METADATA')
}
