import type { SourceLocation } from '../rego/index.ts'
import type { Place } from '../sources/diagnostics.ts'

/** Where the compiler means, as a place of a finding. Without a line, the file as a whole. */
export function placeAt({ file, row, col, length }: SourceLocation): Place {
  const [line, start] = [Math.max(1, row), Math.max(1, col)]
  return { file, line, col: start, end: { line, col: start + Math.max(1, length) } }
}
