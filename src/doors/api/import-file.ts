import { setImmediate as breathe } from 'node:timers/promises'
import { newAgent, type NewAgent } from '../../agents/agent.ts'
import { assertUnsigned, type ManifestTrust } from '../../agents/manifests.ts'
import { GatewayError } from '../../errors.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import { parseCsv } from '../../sources/csv.ts'
import { Findings } from '../../sources/diagnostics.ts'
import { parseYaml } from '../../sources/yaml.ts'
import { bodyOfConfig, NAMED_CONFIG, type AgentConfig } from './agent-config.ts'
import { profileOf } from './agent-json.ts'
import { parseJsonText } from '../edge/body.ts'
import { shape } from '../edge/validate.ts'

export const IMPORT_MEDIA = ['application/json', 'application/yaml', 'text/csv']
export const IMPORT_BYTES_MAX = 8 << 20
/** YAML is read much more slowly than the other two, on the thread that also serves requests. */
export const IMPORT_YAML_BYTES_MAX = 512 << 10
export const IMPORT_ROWS_MAX = 20_000
const PROBLEMS_MAX = 100
const ROWS_AT_ONCE = 500

/** What is wrong with one row of an import; rows count from 1, without a CSV's header. */
export interface RowProblem {
  readonly [member: string]: Json
  readonly row: number
  readonly message: string
}

const ROW = shape<AgentConfig & { name: string }>(NAMED_CONFIG)

/**
 * Agents from a file: a list (or an object with `agents`) in JSON or YAML, or a CSV whose header names
 * members; there, lists are separated by `;` and `properties` is JSON.
 * @throws GatewayError `invalid_request` with every wrong row, `payload_too_large`
 */
export async function readImport(
  file: { readonly type: string; readonly text: string },
  trust: ManifestTrust,
): Promise<NewAgent[]> {
  const rows = rowsOf(file)
  if (rows.length > IMPORT_ROWS_MAX) {
    throw new GatewayError('payload_too_large', `more than ${IMPORT_ROWS_MAX} rows`)
  }
  const problems: RowProblem[] = []
  const agents: NewAgent[] = []
  const names = new Map<string, number>()
  for (const [index, row] of rows.entries()) {
    if (index % ROWS_AT_ONCE === 0) await breathe() // others are served in between
    if (problems.length >= PROBLEMS_MAX) break
    const number = index + 1
    try {
      const agent = agentOfRow(row, trust)
      const first = names.get(agent.name)
      if (first !== undefined)
        throw refused(`the name \`${agent.name}\` is in row ${first} already`)
      names.set(agent.name, number)
      agents.push(agent)
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error
      problems.push({ row: number, message: error.message })
    }
  }
  if (problems.length === 0) return agents
  const [first] = problems
  throw new GatewayError(
    'invalid_request',
    `nothing was imported: row ${first?.row}: ${first?.message}`,
    { details: { rows: problems } },
  )
}

function agentOfRow(row: Json, trust: ManifestTrust): NewAgent {
  if (row === null || typeof row !== 'object' || Array.isArray(row)) {
    throw refused('a row must be an object')
  }
  const config = ROW(row as JsonObject)
  assertUnsigned(trust, config.profile)
  return newAgent(config.name, profileOf(bodyOfConfig(config)))
}

function rowsOf({ type, text }: { readonly type: string; readonly text: string }): readonly Json[] {
  if (type === 'text/csv') return csvRows(text)
  const value = type === 'application/json' ? parseJsonText(text) : yamlValue(text)
  const list = isObject(value) && 'agents' in value ? value['agents'] : value
  if (Array.isArray(list)) return list
  throw refused('the file must hold a list of agents, or an object with `agents`')
}

const isObject = (value: Json): value is JsonObject =>
  value !== null && typeof value === 'object' && !Array.isArray(value)

function yamlValue(text: string): Json {
  if (Buffer.byteLength(text) > IMPORT_YAML_BYTES_MAX) {
    const message = `YAML larger than ${IMPORT_YAML_BYTES_MAX} bytes; send JSON or CSV`
    throw new GatewayError('payload_too_large', message)
  }
  const found = new Findings()
  const document = parseYaml('import.yaml', text, found)
  if (document) return document.value
  throw unreadable(found)
}

const LISTS = ['roles', 'tags']
const NUMBERS = ['instances']

function csvRows(text: string): readonly Json[] {
  const found = new Findings()
  const rows = parseCsv('import.csv', text, found) as Record<string, string>[] | undefined
  if (!rows) throw unreadable(found)
  return rows.map((row, index) => csvRow(row, index + 1))
}

// An empty cell says nothing of the member.
function csvRow(row: Readonly<Record<string, string>>, number: number): JsonObject {
  const filled = Object.entries(row).filter(([, cell]) => cell !== '')
  return Object.fromEntries(filled.map(([name, cell]) => [name, cellValue(name, cell, number)]))
}

function cellValue(name: string, cell: string, number: number): Json {
  if (LISTS.includes(name)) return splitCell(cell)
  if (name === 'thresholds') return splitCell(cell).map(Number)
  if (NUMBERS.includes(name) && /^\d+$/.test(cell)) return Number(cell)
  if (name !== 'properties' && name !== 'metadata') return cell
  try {
    return parseJsonText(cell)
  } catch (error) {
    throw refused(`row ${number}: \`${name}\`: ${(error as Error).message}`)
  }
}

const splitCell = (cell: string): string[] =>
  cell
    .split(';')
    .map((part) => part.trim())
    .filter((part) => part !== '')

function unreadable(found: Findings): GatewayError {
  const [first] = found.list('error', 1)
  const place = first ? `line ${first.line}, column ${first.col}: ${first.message}` : 'unreadable'
  return refused(place)
}

const refused = (message: string): GatewayError => new GatewayError('invalid_request', message)
