import path from 'node:path'
import { readVersion } from '../lib/version.ts'
import type { Diagnostic } from '../sources/diagnostics.ts'

interface Checked {
  readonly dir: string
  readonly valid: boolean
  readonly diagnostics: readonly Diagnostic[]
}

export type Format = 'text' | 'json' | 'github' | 'sarif'

/** Findings for programs: a workflow of GitHub, code scanning, or anything else. */
export const FORMATS: Readonly<Record<Exclude<Format, 'text'>, (checked: Checked) => string>> = {
  json: ({ valid, diagnostics }) => JSON.stringify({ valid, diagnostics }, null, 2),
  github: ({ dir, diagnostics }) => diagnostics.map((one) => annotation(dir, one)).join('\n'),
  sarif: (checked) => JSON.stringify(sarif(checked), null, 2),
}

/** Where a finding stands, from where the command was run. */
const fileOf = (dir: string, { file }: Diagnostic): string =>
  path.join(dir, file === '.' ? '' : file).replaceAll(path.sep, '/')

// The commands of a workflow end at a line break, and their properties at `,` and `:`.
const data = (text: string): string =>
  text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
const property = (text: string): string => data(text).replaceAll(':', '%3A').replaceAll(',', '%2C')

function annotation(dir: string, one: Diagnostic): string {
  const { line, col, end, code, message, hint, severity } = one
  const place = { file: fileOf(dir, one), line, col, endLine: end.line, endColumn: end.col }
  const properties = Object.entries({ ...place, title: code }).map(
    ([name, value]) => `${name}=${property(String(value))}`,
  )
  return `::${severity} ${properties.join(',')}::${data(hint ? `${message} (${hint})` : message)}`
}

function sarif({ dir, diagnostics }: Checked) {
  const rules = [...new Set(diagnostics.map(({ code }) => code))].sort()
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: {
            name: 'portcullis',
            version: readVersion(),
            rules: rules.map((id) => ({ id })),
          },
        },
        columnKind: 'utf16CodeUnits',
        results: diagnostics.map((one) => result(dir, one, rules)),
      },
    ],
  }
}

function result(dir: string, one: Diagnostic, rules: readonly string[]) {
  const { line, col, end, code, message, hint, severity } = one
  return {
    ruleId: code,
    ruleIndex: rules.indexOf(code),
    level: severity,
    message: { text: hint ? `${message} (${hint})` : message },
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri: encodeURI(fileOf(dir, one)) },
          region: { startLine: line, startColumn: col, endLine: end.line, endColumn: end.col },
        },
      },
    ],
  }
}
