import type { Json, JsonObject } from '../model/json.ts'
import { lineOf, parseTable } from '../sources/csv.ts'
import { type Findings, type Place, wholeFile } from '../sources/diagnostics.ts'
import { deepFreeze } from '../lib/freeze.ts'
import { parseJson } from '../sources/json.ts'
import { parseYaml } from '../sources/yaml.ts'

const DATA_FILE = /^data\/([A-Za-z_][A-Za-z0-9_]*)\.(json|ya?ml|csv)$/

export const isDataFile = (name: string): boolean => name.startsWith('data/')

/** Where a document comes from, for findings about what it holds. */
export interface DataSource {
  readonly file: string
  /** Of a table: the columns its header names. */
  readonly columns: readonly string[] | undefined
  /** Place of an entry of a list, or of what names its columns. */
  at(row: number | 'header'): Place
}

export interface DataDocuments {
  readonly values: JsonObject
  readonly sources: ReadonlyMap<string, DataSource>
}

/** Reads every document under `data/`: `data/blocked.csv` becomes `blocked`. */
export function readData(texts: ReadonlyMap<string, string>, found: Findings): DataDocuments {
  const values: Record<string, Json> = {}
  const sources = new Map<string, DataSource>()
  for (const [file, text] of texts) {
    if (!isDataFile(file)) continue
    const [, name, type] = DATA_FILE.exec(file) ?? []
    const first = name === undefined ? undefined : sources.get(name)
    if (name === undefined || type === undefined || name === '__proto__') {
      const message = 'data files are named data/<name>.json, .yaml or .csv'
      const hint = 'a name has letters, digits and `_`, and no folder is in between'
      found.error(wholeFile(file), 'bad_data_name', message, hint)
    } else if (first) {
      const message = `\`data.${name}\` is defined by ${first.file} already`
      found.error(wholeFile(file), 'duplicate_data', message, 'rename or join them')
    } else {
      const read = readDocument(file, type, text, found)
      sources.set(name, read ?? { file, columns: undefined, at: () => wholeFile(file) })
      // Null, so that guards which refer to it are not reported as well.
      values[name] = read ? read.value : null
    }
  }
  return { values: deepFreeze(values), sources }
}

function readDocument(
  file: string,
  type: string,
  text: string,
  found: Findings,
): (DataSource & { readonly value: Json }) | undefined {
  if (type === 'csv') return readTable(file, text, found)
  const parsed = (type === 'json' ? parseJson : parseYaml)(file, text, found)
  if (!parsed) return undefined
  const at = (row: number | 'header') => parsed.at(row === 'header' ? [] : [row])
  return { file, columns: undefined, value: parsed.value, at }
}

function readTable(file: string, text: string, found: Findings) {
  const table = parseTable(file, text, found)
  if (!table) return undefined
  const { columns, rows, lines, headerLine } = table
  const lineAt = (row: number | 'header') =>
    row === 'header' ? headerLine : (lines[row] ?? headerLine)
  return {
    file,
    columns,
    value: rows,
    at: (row: number | 'header') => lineOf(file, text, lineAt(row)),
  }
}
