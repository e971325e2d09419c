import { digest } from '../lib/canonical.ts'
import { parseStrictJson } from '../lib/strict-json.ts'
import type { Json, JsonObject } from '../model/json.ts'
import { isObject } from './pointer.ts'

// What a person has seen of the tools of an MCP server and agreed to: the whole object that the server listed, and its hash.
// What is listed otherwise later is another tool under the same name, and nobody's to call until somebody has seen it.

/** In the policy directory, reviewed like the rest of it. */
export const PINS_FILE = 'mcp-pins.json'

export interface Pin {
  readonly hash: string
  /** As it was listed. */
  readonly tool: JsonObject
  readonly first_seen: string
  readonly by: string
}

/** By `server:tool`. */
export type Pins = Readonly<Record<string, Pin>>

/** The hash of a tool as a server lists it: of all of it, title and unknown members too. */
export const pinHash = (tool: JsonObject): string => `sha256:${digest(tool)}`

export const pinKey = (server: string, tool: string): string => `${server}:${tool}`

/** What it is called in policies and on record. */
export const mcpToolName = (server: string, tool: string): string => `mcp.${server}.${tool}`

/** Reads the file. @throws Error that says what is wrong with it */
export function readPins(text: string): Pins {
  const pins = parseStrictJson(text, { fractions: 'rounded' })
  if (!isObject(pins)) throw new Error('must be an object by `server:tool`')
  for (const [key, pin] of Object.entries(pins)) assertPin(key, pin)
  return pins as unknown as Pins
}

function assertPin(key: string, pin: Json): void {
  const { hash, tool } = isObject(pin) ? pin : {}
  if (!isObject(tool) || typeof hash !== 'string') {
    throw new Error(`\`${key}\` needs \`hash\` and \`tool\``)
  }
  const { name, inputSchema } = tool
  if (
    typeof name !== 'string' ||
    key.slice(key.indexOf(':') + 1) !== name ||
    !isObject(inputSchema)
  ) {
    throw new Error(`\`${key}\` is not about a tool of that name with an \`inputSchema\``)
  }
  if (pinHash(tool) !== hash) throw new Error(`\`${key}\` has a hash that is not of its tool`)
}

export const writePins = (pins: Pins): string => {
  const sorted = Object.entries(pins).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return `${JSON.stringify(Object.fromEntries(sorted), null, 2)}\n`
}
