// Documents that others wrote for other readers: JSON, or YAML with what ours refuses (anchors, merge keys, numbers as
// keys). What is bounded is what would take a reader down: size, depth, aliases of aliases.
import { parse } from 'yaml'
import { GatewayError } from '../errors.ts'
import type { Json } from '../model/json.ts'
import { isDeeperThan } from './yaml.ts'

export const FOREIGN_BYTES_MAX = 64 << 20
const DEPTH_MAX = 200
const ALIASES_MAX = 10_000

/** The value of a JSON or YAML text. @throws GatewayError invalid_request */
export function parseForeign(text: string): Json {
  if (Buffer.byteLength(text) > FOREIGN_BYTES_MAX) {
    throw invalid(`more than ${FOREIGN_BYTES_MAX} bytes`)
  }
  const plain = text.replace(/^\uFEFF/, '')
  if (/^\s*[{[]/.test(plain)) {
    const value = asJson(plain)
    if (value !== undefined) return value
  }
  if (isDeeperThan(plain, DEPTH_MAX)) throw invalid(`nested deeper than ${DEPTH_MAX} levels`)
  try {
    const options = {
      merge: true,
      maxAliasCount: ALIASES_MAX,
      uniqueKeys: false,
      logLevel: 'error',
    } as const
    // Through JSON: dates, maps and whatever else a tag makes become plain values, and a circle is an error.
    return JSON.parse(JSON.stringify(parse(plain, options)) ?? 'null') as Json
  } catch (error) {
    const [line = ''] = (error as Error).message.split('\n', 1)
    throw invalid(`neither JSON nor YAML: ${line.slice(0, 200)}`)
  }
}

const invalid = (message: string): GatewayError => new GatewayError('invalid_request', message)

function asJson(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json
  } catch {
    return undefined
  }
}
