import fs from 'node:fs'
import path from 'node:path'
import { renderDiagnostic, type Diagnostic } from '../rego/index.ts'
import type { JsonObject } from '../model/json.ts'
import { CliError, EXIT } from './exit.ts'

const FILE_BYTES_MAX = 4 << 20

/** Rego sources and data documents below the given files and folders, by path. */
export interface RegoFiles {
  readonly modules: Readonly<Record<string, string>>
  readonly data: Record<string, unknown>
}

/** @throws CliError (usage) for what is not there or cannot be read */
export async function readRegoFiles(paths: readonly string[]): Promise<RegoFiles> {
  const modules: Record<string, string> = {}
  const data: Record<string, unknown> = {}
  for (const given of paths) {
    const documents = await policyData(given)
    for (const file of filesBelow(given)) {
      if (file.endsWith('.rego')) modules[file] = read(file)
      else if (!documents) Object.assign(data, readJson(file))
    }
    Object.assign(data, documents)
  }
  return { modules, data }
}

/** The documents below `data/` as the gate reads them, when the folder is a policy directory. */
async function policyData(dir: string): Promise<JsonObject | undefined> {
  if (!fs.existsSync(path.join(dir, 'gate.yaml'))) return undefined
  const { readData } = await import('../policy/data.ts')
  const { Findings } = await import('../policy/diagnostics.ts')
  const { policyFailure } = await import('./policy-report.ts')
  const folder = path.join(dir, 'data')
  const texts = new Map<string, string>()
  const names = fs.existsSync(folder) ? fs.readdirSync(folder) : []
  for (const name of names) {
    if (!/^[.]|~$/.test(name)) texts.set(`data/${name}`, read(path.join(folder, name)))
  }
  const found = new Findings()
  const { values: data } = readData(texts, found)
  if (found.hasErrors) throw policyFailure(dir, found.list('error', 100))
  return data
}

function filesBelow(given: string): string[] {
  if (!fs.existsSync(given)) throw new CliError(EXIT.usage, `no file or folder ${given}`)
  if (fs.statSync(given).isFile()) return [given]
  return fs
    .readdirSync(given, { recursive: true, encoding: 'utf8' })
    .map((name) => path.join(given, name))
    .filter((file) => /\.(rego|json)$/.test(file) && fs.statSync(file).isFile())
    .sort()
}

function read(file: string): string {
  if (fs.statSync(file).size > FILE_BYTES_MAX)
    throw new CliError(EXIT.usage, `${file} is too large`)
  return fs.readFileSync(file, 'utf8')
}

export function readJson(file: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(read(file))
    if (value !== null && typeof value === 'object' && !Array.isArray(value)) {
      return value as Record<string, unknown>
    }
  } catch (error) {
    if (error instanceof CliError) throw error
  }
  throw new CliError(EXIT.usage, `${file} does not hold a JSON object`)
}

/** Diagnostics as text with carets, or as JSON, in an error that ends a subcommand with code 3. */
export function regoFailure(
  diagnostics: readonly Diagnostic[],
  modules: Readonly<Record<string, string>>,
  json: boolean,
): CliError {
  const text = json
    ? JSON.stringify({ diagnostics }, null, 2)
    : diagnostics.map((one) => renderDiagnostic(one, modules[one.location.file])).join('\n\n')
  const count = `${diagnostics.length} ${diagnostics.length === 1 ? 'error' : 'errors'}`
  return new CliError(EXIT.policy, json ? text : `${text}\n\n${count}`)
}
