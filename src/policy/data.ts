import type { Json, JsonObject } from '../model/json.ts'
import { parseCsv } from './csv.ts'
import { type Findings, wholeFile } from './diagnostics.ts'
import { deepFreeze } from './freeze.ts'
import { parseStrictJson } from './json.ts'
import { parseYaml } from './yaml.ts'

const DATA_FILE = /^data\/([A-Za-z_][A-Za-z0-9_]*)\.(json|ya?ml|csv)$/

export const isDataFile = (name: string): boolean => name.startsWith('data/')

/** Reads every document under `data/`: `data/blocked.csv` becomes `blocked`. */
export function readData(texts: ReadonlyMap<string, string>, found: Findings): JsonObject {
  const data: Record<string, Json> = {}
  const from = new Map<string, string>()
  for (const [file, text] of texts) {
    if (!isDataFile(file)) continue
    const [, name, type] = DATA_FILE.exec(file) ?? []
    if (name === undefined || type === undefined || name === '__proto__') {
      const message = 'data files are named data/<name>.json, .yaml or .csv'
      found.error(wholeFile(file), 'bad_data_name', message)
    } else if (from.has(name)) {
      const message = `\`data.${name}\` is defined by ${from.get(name)} already`
      found.error(wholeFile(file), 'duplicate_data', message)
    } else {
      from.set(name, file)
      const value = readDocument(file, type, text, found)
      if (value !== undefined) data[name] = value
      else data[name] = null // so that guards which refer to it are not reported as well
    }
  }
  return deepFreeze(data)
}

function readDocument(file: string, type: string, text: string, found: Findings): Json | undefined {
  if (type === 'csv') return parseCsv(file, text, found)
  if (type === 'json') return parseStrictJson(file, text, found)
  return parseYaml(file, text, found)?.value
}
