export type DiagnosticCode =
  | 'rego_parse_error'
  | 'rego_compile_error'
  | 'rego_type_error'
  | 'rego_unsafe_var_error'
  | 'rego_recursion_error'
  | 'rego_capability_error'

export interface SourceLocation {
  readonly file: string
  /** 1-based; 0 when there is no place to point at. */
  readonly row: number
  readonly col: number
  readonly length: number
}

/** Something a policy's author has to know. Codes are OPA's, `rego_capability_error` is ours. */
export interface Diagnostic {
  readonly code: DiagnosticCode
  readonly message: string
  readonly location: SourceLocation
  readonly hints: readonly string[]
}

/** More than this is noise; compilation goes on without recording further ones. */
export const DIAGNOSTICS_MAX = 100

/** Collects diagnostics; never only the first. */
export class Diagnostics {
  readonly #list: Diagnostic[] = []
  readonly #seen = new Set<string>()

  get list(): readonly Diagnostic[] {
    return this.#list
  }
  get any(): boolean {
    return this.#list.length > 0
  }

  add(
    code: DiagnosticCode,
    location: SourceLocation,
    message: string,
    hints: readonly string[] = [],
  ): void {
    const { file, row, col, length } = location
    const key = `${file}:${row}:${col}:${code}:${message}`
    if (this.#seen.has(key) || this.#list.length >= DIAGNOSTICS_MAX) return
    this.#seen.add(key)
    this.#list.push({ code, message, location: { file, row, col, length }, hints })
  }
}

/** In the order of files and places; diagnostics of one place keep theirs. */
export function sortDiagnostics(list: readonly Diagnostic[]): Diagnostic[] {
  return [...list].sort(
    (a, b) =>
      (a.location.file < b.location.file ? -1 : a.location.file > b.location.file ? 1 : 0) ||
      a.location.row - b.location.row ||
      a.location.col - b.location.col,
  )
}

/** A diagnostic as a snippet with carets under the place; `source` is the text of its file. */
export function renderDiagnostic(diagnostic: Diagnostic, source?: string): string {
  const { code, message, location, hints } = diagnostic
  const { file, row, col, length } = location
  const head = `${code}: ${message}\n  --> ${file}:${row}:${col}`
  const line = row > 0 ? source?.split('\n')[row - 1] : undefined
  const notes = hints.map((hint) => `\n  = help: ${hint}`).join('')
  if (line === undefined) return head + notes
  const gutter = String(row).length
  const pad = ' '.repeat(gutter)
  const lead = line.slice(0, Math.max(0, col - 1)).replace(/[^\t]/g, ' ')
  const carets = '^'.repeat(Math.max(1, Math.min(length, line.length - col + 1)))
  return `${head}\n${pad} |\n${row} | ${line}\n${pad} | ${lead}${carets}${notes}`
}
