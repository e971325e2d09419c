import type { McpPolicy } from '../bundle/types.ts'
import type { EffectClass } from '../model/tool.ts'

/** What a policy knows of a tool that an MCP server lists. */
export interface McpToolRule {
  readonly effect?: EffectClass
  readonly resource?: { readonly type: string; readonly id_arg?: string }
  readonly cost?: string
  readonly recipients?: readonly string[]
  readonly items?: string
  readonly paths?: readonly string[]
}

/** What `tools.yaml` says of MCP, its shape checked. */
export interface RawMcp {
  readonly hold_s?: number
  readonly relist_s?: number
  readonly tools?: Readonly<Record<string, McpToolRule>>
  /** `server:glob`, of URIs and of names. */
  readonly resources?: readonly string[]
  readonly prompts?: readonly string[]
}

/** Clients give up after a minute, whatever they are told meanwhile. */
const HOLD_S = 50
/** Otherwise a tool that was changed could be called until it is listed next. */
const RELIST_S = 0

export const readMcp = ({
  hold_s: holdS = HOLD_S,
  relist_s: relistS = RELIST_S,
}: RawMcp = {}): McpPolicy =>
  Object.freeze({ holdMs: Math.round(holdS * 1000), relistMs: Math.round(relistS * 1000) })
