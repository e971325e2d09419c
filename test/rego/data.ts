// OPA's answers that this repository does not carry: looked for in REGO_DATA or beside the checkout, skipped when absent.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

const places = [process.env['REGO_DATA'], path.resolve(import.meta.dirname, '../../../shared/rego')]

export const regoData = places.find(
  (place): place is string => place !== undefined && existsSync(place),
)

/** Ends a test that has nothing to run on, saying so. */
export function requireData(context: { skip(): never }): string {
  if (regoData === undefined) {
    console.log(
      '      set REGO_DATA to the folder with conformance/, rejections/ and so on to run these',
    )
    return context.skip()
  }
  return regoData
}

export function readLines<T>(file: string): T[] {
  return readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T)
}

export function jsonFiles(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => path.join(folder, name))
}
