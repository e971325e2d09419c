import type { McpPolicy } from '../bundle/types.ts'

/** What `tools.yaml` says of MCP, its shape checked. */
export interface RawMcp {
  readonly hold_s?: number
}

/** Clients give up after a minute, whatever they are told meanwhile. */
const HOLD_S = 50

export const readMcp = ({ hold_s: holdS = HOLD_S }: RawMcp = {}): McpPolicy =>
  Object.freeze({ holdMs: Math.round(holdS * 1000) })
