import type { Diagnostic } from './diagnostics.ts'
import type { SourceTexts } from './texts.ts'

export interface PrintOptions {
  /** Marks severity and the caret; default: plain text. */
  readonly paint?: (text: string, style: 'error' | 'warning' | 'dim') => string
}

/**
 * Findings as text for a terminal: code, message, place, and the line with a caret under it.
 * `sources` may lack files; then the frame is left out.
 */
export function printDiagnostics(
  diagnostics: readonly Diagnostic[],
  sources: SourceTexts,
  options: PrintOptions = {},
): string {
  const blocks = diagnostics.map((one) => printOne(one, sources, options.paint ?? plain))
  return [...blocks, summary(diagnostics)].join('\n\n')
}

const plain = (text: string): string => text

function printOne(
  one: Diagnostic,
  sources: SourceTexts,
  paint: NonNullable<PrintOptions['paint']>,
): string {
  const head = `${paint(`${one.severity}[${one.code}]`, one.severity)} ${oneLine(one.message)}`
  const place = `  --> ${oneLine(one.file)}:${one.line}:${one.col}`
  const hint = one.hint === undefined ? [] : [`   = help: ${oneLine(one.hint)}`]
  return [head, place, ...frame(one, sources, paint), ...hint].join('\n')
}

const LINE_LENGTH_MAX = 160

function frame(
  { file, line, col, end, severity }: Diagnostic,
  sources: SourceTexts,
  paint: NonNullable<PrintOptions['paint']>,
): readonly string[] {
  const text = sources.get(file)?.split('\n')[line - 1]
  if (text === undefined || isBinary(text)) return []
  const gutter = ' '.repeat(String(line).length)
  const shown = printable(text).slice(0, LINE_LENGTH_MAX)
  const last = end.line > line ? shown.trimEnd().length + 1 : Math.min(end.col, shown.length + 1)
  const width = Math.max(1, last - col)
  const caret = `${' '.repeat(Math.min(col - 1, shown.length))}${paint('^'.repeat(width), severity)}`
  return [`${gutter} |`, `${line} | ${shown}`, `${gutter} | ${caret}`]
}

// A line of an archive or a module shows nothing.
const isBinary = (line: string): boolean => line.includes('\u0000') || line.includes('\ufffd')

// What an author (or an attacker, through POST /policy/check) wrote must not steer a terminal.
const printable = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ')

// Outside of frames nothing has to stand above anything: what was there can be seen.
const oneLine = (text: string): string =>
  text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (one) => `\\u{${(one.codePointAt(0) ?? 0).toString(16)}}`)

function summary(diagnostics: readonly Diagnostic[]): string {
  const files = new Set(diagnostics.map((one) => one.file)).size
  const errors = diagnostics.filter((one) => one.severity === 'error').length
  const counts = [count(errors, 'error'), count(diagnostics.length - errors, 'warning')]
  return `${counts.filter((one) => one !== '').join(', ')} in ${count(files, 'file')}`
}

const count = (number: number, what: string): string =>
  number === 0 ? '' : `${number} ${what}${number === 1 ? '' : 's'}`
