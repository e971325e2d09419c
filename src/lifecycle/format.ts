import { format } from '../rego/index.ts'
import { type Diagnostic, diagnosticAt } from '../sources/diagnostics.ts'

export type FormattedFiles =
  | { readonly ok: true; readonly files: Readonly<Record<string, string>> }
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[] }

/** Rego in the one layout; of every other text only the ends of its lines are mended. */
export function formatFiles(files: Readonly<Record<string, string>>): FormattedFiles {
  const found: Diagnostic[] = []
  const texts = Object.entries(files).map(([file, text]) => {
    if (!file.endsWith('.rego')) return [file, withEnds(text)]
    const result = format(text, { file })
    if (result.ok) return [file, result.text]
    for (const { code, message, location, hints } of result.diagnostics) {
      const line = Math.max(1, location.row)
      const col = Math.max(1, location.col)
      const place = { file, line, col, end: { line, col: col + location.length } }
      found.push(diagnosticAt(place, 'error', code, message, hints[0]))
    }
    return [file, text]
  })
  if (found.length > 0) return { ok: false, diagnostics: found }
  return { ok: true, files: Object.fromEntries(texts) as Record<string, string> }
}

function withEnds(text: string): string {
  const lines = text.replaceAll('\r\n', '\n')
  return lines === '' || lines.endsWith('\n') ? lines : `${lines}\n`
}
