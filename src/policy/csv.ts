import type { Json } from '../model/json.ts'
import type { Findings } from './diagnostics.ts'

interface Row {
  readonly line: number
  readonly cells: readonly string[]
}

/** RFC 4180 with a header row: a list of objects whose members are text. Lines with `#` are notes. */
export function parseCsv(file: string, text: string, found: Findings): Json | undefined {
  const rows = readRows(text.replace(/^\uFEFF/, ''))
  if (typeof rows === 'number') {
    found.error({ file, line: rows, col: 1 }, 'csv_syntax', 'a quoted cell is not closed properly')
    return undefined
  }
  const [header, ...body] = rows
  const names = header?.cells.map((cell) => cell.trim()) ?? []
  if (!header || names.some((name) => name === '' || name === '__proto__') || hasDuplicate(names)) {
    const message = 'the first row must name every column, each once'
    found.error({ file, line: header?.line ?? 1, col: 1 }, 'csv_header', message)
    return undefined
  }
  const wrong = body.find((row) => row.cells.length !== names.length)
  if (wrong) {
    const message = `${wrong.cells.length} cells where the header has ${names.length}`
    found.error({ file, line: wrong.line, col: 1 }, 'csv_columns', message)
    return undefined
  }
  return body.map((row) => Object.fromEntries(names.map((name, at) => [name, row.cells[at] ?? ''])))
}

const hasDuplicate = (names: readonly string[]): boolean => new Set(names).size !== names.length

const CELL = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|\n|\r|$)/y

// The rows, or the line on which a cell could not be read.
function readRows(text: string): readonly Row[] | number {
  const rows: Row[] = []
  let [cells, line, start]: [string[], number, number] = [[], 1, 1]
  for (let at = 0; at < text.length || cells.length > 0; ) {
    if (cells.length === 0 && text[at] === '#') {
      const end = text.indexOf('\n', at)
      at = end === -1 ? text.length : end + 1
      start = ++line
      continue
    }
    CELL.lastIndex = at
    const match = CELL.exec(text)
    if (!match) return line
    const [whole, quoted, plain = '', mark = ''] = match
    cells.push(quoted === undefined ? plain.trim() : quoted.replaceAll('""', '"'))
    at += whole.length
    line += whole.split(/\r\n|\n|\r/).length - 1
    if (mark === ',') continue
    if (cells.length > 1 || cells[0] !== '' || quoted !== undefined)
      rows.push({ line: start, cells })
    ;[cells, start] = [[], line]
    if (mark === '') break
  }
  return rows
}
