import fs from 'node:fs'
import path from 'node:path'
import { type Diagnostic, parse, readYaml, renderDiagnostic } from '../rego/index.ts'
import type { Json, JsonObject } from '../model/json.ts'
import { isObject, place } from '../bundle/pointer.ts'
import { CliError, EXIT, say, visible } from './exit.ts'
import type { TestResult } from './test-report.ts'

const FILE_BYTES_MAX = 4 << 20
export const DATA_BYTES_MAX = 64 << 20
const DATA_FILE = /\.(json|ya?ml)$/

/** Rego sources and data documents below the given files and folders, by path. */
export interface RegoFiles {
  readonly modules: Readonly<Record<string, string>>
  readonly data: JsonObject
}

/** What the gate makes of a folder that is a policy directory. The compiler by itself knows of none. */
export interface PolicyDirectories {
  /** Its documents; undefined where it is not a policy directory. */
  data(folder: string): Promise<JsonObject | undefined>
  /** What its matrices of `tests/*.yaml` come to. */
  matrices(
    folders: readonly string[],
    isWanted: (name: string) => boolean,
  ): Promise<readonly TestResult[]>
}

/** The Rego sources alone. @throws CliError (usage) for what is not there or cannot be read */
export function readModules(paths: readonly string[]): Readonly<Record<string, string>> {
  const files = paths.flatMap(filesBelow).map(({ file }) => file)
  const modules = files.filter((file) => file.endsWith('.rego'))
  return Object.fromEntries(modules.map((file) => [file, readText(file, FILE_BYTES_MAX)]))
}

/**
 * Sources and data as `opa test` loads a folder: `sub/data.json` and any other JSON and YAML below `sub` is joined into
 * `data.sub`, other files are left out. Of a policy directory, the data is what the gate makes of it.
 * @throws CliError (usage) for what is not there or cannot be read
 */
export async function readRegoFiles(
  paths: readonly string[],
  policies?: PolicyDirectories,
): Promise<RegoFiles> {
  const data: Record<string, Json> = {}
  for (const given of paths) {
    const documents = await policies?.data(given)
    if (documents) place(data, [], documents)
    else for (const one of filesBelow(given)) readInto(data, one)
  }
  return { modules: readModules(paths), data }
}

interface Found {
  readonly file: string
  /** Folders between what was given and the file: where its document stands. */
  readonly path: readonly string[]
}

function readInto(data: Record<string, Json>, { file, path: at }: Found): void {
  if (!DATA_FILE.test(file)) return
  const value = readDocument(file)
  const [last] = at.slice(-1)
  const isPlaced = isObject(value)
    ? place(data, at, value)
    : last !== undefined && place(data, at.slice(0, -1), { [last]: value })
  if (isPlaced) return
  if (!isObject(value)) say(`${file}: left out: it is not an object, which the root of data is`)
  else throw new CliError(EXIT.usage, `${file}: its data stands where that of another file does`)
}

function readDocument(file: string): Json {
  const text = readText(file, DATA_BYTES_MAX)
  try {
    // This is data of others, not a policy of the gate.
    return file.endsWith('.json') ? firstJson(text) : (readYaml(text) as Json)
  } catch (error) {
    const [message] = (error as Error).message.split('\n')
    throw new CliError(EXIT.usage, `${file} cannot be read: ${message}`)
  }
}

// OPA's loader takes the first value of a file and never looks at what follows it.
function firstJson(text: string): Json {
  try {
    return JSON.parse(text) as Json
  } catch (error) {
    const end = endOfFirst(text)
    if (end === undefined) throw error
    return JSON.parse(text.slice(0, end)) as Json
  }
}

function endOfFirst(text: string): number | undefined {
  let depth = 0
  for (const match of text.matchAll(/"(?:[^"\\]|\\.)*"|[[{]|[\]}]/gs)) {
    const [token] = match
    if (token === '[' || token === '{') depth++
    else if ((token === ']' || token === '}') && --depth === 0) return match.index + 1
  }
  return undefined
}

function filesBelow(given: string): Found[] {
  if (!fs.existsSync(given)) throw new CliError(EXIT.usage, `no file or folder ${given}`)
  if (fs.statSync(given).isFile()) return [{ file: given, path: [] }]
  return fs
    .readdirSync(given, { recursive: true, withFileTypes: true })
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter((file) => /\.(rego|json|ya?ml)$/.test(file) && isFile(file))
    .sort()
    .map((file) => ({ file, path: folders(path.relative(given, file)) }))
}

const folders = (name: string): string[] => name.split(path.sep).slice(0, -1)

const isFile = (file: string): boolean =>
  fs.statSync(file, { throwIfNoEntry: false })?.isFile() === true

export function readText(file: string, bytesMax: number): string {
  if (fs.statSync(file).size > bytesMax) throw new CliError(EXIT.usage, `${file} is too large`)
  return fs.readFileSync(file, 'utf8')
}

export function readJson(file: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(readText(file, DATA_BYTES_MAX))
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
    : diagnostics
        .map((one) => visible(renderDiagnostic(one, modules[one.location.file])))
        .join('\n\n')
  const count = `${diagnostics.length} ${diagnostics.length === 1 ? 'error' : 'errors'}`
  const old = diagnostics.some((one) => isOldDialect(one, modules)) ? `\n\n${OLD_DIALECT}` : ''
  return new CliError(EXIT.policy, json ? text : `${text}\n\n${count}${old}`)
}

const OLD_DIALECT =
  'this is the old dialect: read it with --v0, or rewrite it with `portcullis rego migrate`'

function isOldDialect(
  { code, location }: Diagnostic,
  modules: Readonly<Record<string, string>>,
): boolean {
  const source = modules[location.file]
  if (code !== 'rego_parse_error' || source === undefined) return false
  const { file } = location
  return !parse(source, { file }).ok && parse(source, { file, v0: true }).ok
}
