import type { Json } from '../model/json.ts'
import type { Findings } from './diagnostics.ts'

interface Row {
  readonly line: number
  readonly cells: readonly string[]
}

/** A table as text: its columns, its rows as objects of text, and the line on which each row stands. */
export interface Table {
  readonly columns: readonly string[]
  readonly rows: readonly Readonly<Record<string, string>>[]
  readonly headerLine: number
  readonly lines: readonly number[]
}

/** The rows of a table. */
export function parseCsv(file: string, text: string, found: Findings): Json | undefined {
  return parseTable(file, text, found)?.rows
}

/**
 * RFC 4180 with a header row: a list of objects whose members are text. Lines with `#` are notes. What stands between
 * cells is what the header has between its own: a comma, a semicolon or a tab.
 */
export function parseTable(file: string, text: string, found: Findings): Table | undefined {
  const plain = text.replace(/^\uFEFF/, '')
  const rows = readRows(plain, delimiterOf(plain))
  if (typeof rows === 'number') {
    const hint = 'a `"` in a quoted cell is written twice, and a cell with a `"` is quoted'
    const place = lineOf(file, text, rows)
    found.error(place, 'csv_syntax', 'a quoted cell is not closed properly', hint)
    return undefined
  }
  const [header, ...body] = rows
  const names = header?.cells.map((cell) => cell.trim()) ?? []
  if (!header || names.some((name) => name === '' || name === '__proto__') || hasDuplicate(names)) {
    const message = 'the first row must name every column, each once'
    const hint = 'such as `email,id,reason`'
    found.error(lineOf(file, text, header?.line ?? 1), 'csv_header', message, hint)
    return undefined
  }
  const wrong = body.find((row) => row.cells.length !== names.length)
  if (wrong) {
    const message = `${wrong.cells.length} cells where the header has ${names.length}`
    const hint = 'a cell that holds a separator is written in `"`'
    found.error(lineOf(file, text, wrong.line), 'csv_columns', message, hint)
    return undefined
  }
  return {
    columns: names,
    rows: body.map((row) =>
      Object.fromEntries(names.map((name, at) => [name, row.cells[at] ?? ''])),
    ),
    headerLine: header.line,
    lines: body.map(({ line }) => line),
  }
}

/** A whole line as a place, with its end. */
export function lineOf(file: string, text: string, line: number) {
  let start = 0
  for (let at = 1; at < line; at++) start = text.indexOf('\n', start) + 1
  const end = /[\r\n]|$/.exec(text.slice(start, start + LINE_LENGTH_MAX))?.index ?? 0
  return { file, line, col: 1, end: { line, col: end + 1 } }
}

const LINE_LENGTH_MAX = 10_000

const hasDuplicate = (names: readonly string[]): boolean => new Set(names).size !== names.length

const DELIMITERS = [',', ';', '\t'] as const
type Delimiter = (typeof DELIMITERS)[number]

// The one that the header has most of, outside of quotes.
function delimiterOf(text: string): Delimiter {
  const header = /^(?:#.*\r?\n|\s*\r?\n)*(.*)/.exec(text)?.[1] ?? ''
  const bare = header.replaceAll(/"[^"]*"/g, '')
  const count = (one: Delimiter) => bare.split(one).length
  return DELIMITERS.reduce((best, one) => (count(one) > count(best) ? one : best))
}

const CELL: Readonly<Record<Delimiter, RegExp>> = {
  ',': /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|\n|\r|$)/y,
  ';': /(?:"((?:[^"]|"")*)"|([^";\r\n]*))(;|\r\n|\n|\r|$)/y,
  '\t': /(?:"((?:[^"]|"")*)"|([^"\t\r\n]*))(\t|\r\n|\n|\r|$)/y,
}

// The rows, or the line on which a cell could not be read.
function readRows(text: string, delimiter: Delimiter): readonly Row[] | number {
  const cell = CELL[delimiter]
  const rows: Row[] = []
  let [cells, line, start]: [string[], number, number] = [[], 1, 1]
  for (let at = 0; at < text.length || cells.length > 0; ) {
    if (cells.length === 0 && text[at] === '#') {
      const end = text.indexOf('\n', at)
      at = end === -1 ? text.length : end + 1
      start = ++line
      continue
    }
    cell.lastIndex = at
    const match = cell.exec(text)
    if (!match) return line
    const [whole, quoted, plain = '', mark = ''] = match
    cells.push(quoted === undefined ? plain.trim() : quoted.replaceAll('""', '"'))
    at += whole.length
    if (mark !== delimiter || quoted !== undefined) line += whole.split(/\r\n|\n|\r/).length - 1
    if (mark === delimiter) continue
    if (cells.length > 1 || cells[0] !== '' || quoted !== undefined)
      rows.push({ line: start, cells })
    ;[cells, start] = [[], line]
    if (mark === '') break
  }
  return rows
}
