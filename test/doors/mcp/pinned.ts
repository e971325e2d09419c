import { pinHash, pinKey, writePins, type Pin } from '../../../src/bundle/pins.ts'
import type { JsonObject } from '../../../src/model/json.ts'
import type { ServedTool } from './servers.ts'

/** The text of `mcp-pins.json` for these tools of a server, as they are. */
export function pinsOf(server: string, tools: readonly ServedTool[]): string {
  const pins = tools.map((one): [string, Pin] => {
    const tool = one as unknown as JsonObject
    const pin = { hash: pinHash(tool), tool, first_seen: '2026-11-27T00:00:00Z', by: 'tests' }
    return [pinKey(server, one.name), pin]
  })
  return writePins(Object.fromEntries(pins))
}
