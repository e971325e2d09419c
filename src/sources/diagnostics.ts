import type { PolicyLocation } from '../model/decision.ts'
import { hintFor } from './hints.ts'

/** One finding in a policy directory. `file` is relative to it; lines and columns count from 1. */
export interface Diagnostic {
  readonly file: string
  readonly line: number
  readonly col: number
  /** Behind the last character of what is meant; where the finding is about a whole file, its first. */
  readonly end: { readonly line: number; readonly col: number }
  /** Stable, snake_case; `docs/policies.md` lists them. */
  readonly code: string
  readonly message: string
  readonly severity: 'error' | 'warning'
  readonly hint?: string
}

/** Where a finding points; line and column 1 when the whole file is meant. */
export interface Place {
  readonly file: string
  readonly line: number
  readonly col: number
  readonly end?: Diagnostic['end']
}

/** Where a guard or a tool stands, without its end. */
export const startOf = ({ file, line, col }: Place): PolicyLocation => ({ file, line, col })

export const wholeFile = (file: string): Place => ({ file, line: 1, col: 1 })

/** One finding, with what to write instead if that is known. */
export function diagnosticAt(
  { file, line, col, end }: Place,
  severity: Diagnostic['severity'],
  code: string,
  message: string,
  hint: string | undefined = hintFor(code),
): Diagnostic {
  const base = { file, line, col, end: end ?? { line, col }, code, message, severity }
  return Object.freeze(hint === undefined ? base : { ...base, hint })
}

/** Collects findings while a directory is loaded, so that all are reported and not only the first. */
export class Findings {
  readonly #all: Diagnostic[] = []
  readonly #seen = new Set<string>()

  error(place: Place, code: string, message: string, hint?: string): void {
    this.#add('error', place, code, message, hint)
  }

  warn(place: Place, code: string, message: string, hint?: string): void {
    this.#add('warning', place, code, message, hint)
  }

  get count(): number {
    return this.#all.length
  }

  get hasErrors(): boolean {
    return this.#all.some((one) => one.severity === 'error')
  }

  /** Sorted by file and position, errors only or warnings only, at most `max` of them. */
  list(severity: 'error' | 'warning', max: number): readonly Diagnostic[] {
    const some = this.#all.filter((one) => one.severity === severity).sort(byPlace)
    if (some.length <= max) return Object.freeze(some)
    const kept = some.slice(0, max - 1)
    const rest = some.length - kept.length
    const last = some[max - 1] as Diagnostic
    const { hint: _, ...place } = last
    const note = { ...place, code: 'too_many_findings', message: `${rest} more findings not shown` }
    return Object.freeze([...kept, Object.freeze(note)])
  }

  #add(
    severity: Diagnostic['severity'],
    place: Place,
    code: string,
    message: string,
    hint: string | undefined,
  ): void {
    const key = JSON.stringify([place.file, place.line, place.col, code, message])
    if (this.#seen.has(key)) return
    this.#seen.add(key)
    this.#all.push(diagnosticAt(place, severity, code, message, hint))
  }
}

function byPlace(a: Diagnostic, b: Diagnostic): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1
  return a.line - b.line || a.col - b.col || (a.code < b.code ? -1 : a.code > b.code ? 1 : 0)
}
