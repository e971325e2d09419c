import type { JsonObject } from '../model/json.ts'
import type { Target } from '../model/request.ts'
import type { Tool, Upstream } from '../model/tool.ts'
import type { Bundle } from './types.ts'

/** What of a bundle a protocol looks at: it is asked while the bundle is made, too. */
export type ProtocolRules = Pick<Bundle, 'llm' | 'tools'>

/** A tool with the args it is called with. */
export interface ToolCall {
  readonly tool: Tool
  readonly upstream: Upstream
  readonly args: JsonObject
}

/**
 * How a tool becomes a call: the twin of `GuardKind`. An upstream names its protocol; a new one is a folder, and nothing
 * else changes. This half is pure; the other, which calls, is a `Transport`.
 */
export interface Protocol {
  readonly name: string
  /** Tools of its own that every policy has, by the name of their upstream; no file declares these names. */
  readonly own?: {
    readonly tools: readonly Tool[]
    readonly upstreamName: string
    upstream(rules: Pick<Bundle, 'llm'>): Upstream
  }
  /** The exact call. @throws GatewayError `invalid_request` where the args do not fit into it */
  target(call: ToolCall, rules: ProtocolRules): Target
  /** What it may cost at most, in micro-units. */
  worstCaseMicros(call: Pick<ToolCall, 'tool' | 'args'>, rules: ProtocolRules): bigint
  /** What the args repeat of a conversation with a model, in which other actions' values may stand. */
  conversation?(args: JsonObject): readonly JsonObject[]
}

/** The protocol of a tool, which the load has made sure of. */
export function protocolOf(
  { protocols, upstreams }: Pick<Bundle, 'protocols' | 'upstreams'>,
  { name, upstream }: Pick<Tool, 'name' | 'upstream'>,
): Protocol {
  const protocol = protocols.get(upstreams.get(upstream)?.protocol ?? '')
  if (!protocol) throw new Error(`tool ${name} has no protocol`)
  return protocol
}

/** The tools of a directory with those of protocols. They are like any other to guards and approvals. */
export const withOwnTools = (
  tools: readonly Tool[],
  protocols: readonly Protocol[],
): ReadonlyMap<string, Tool> => {
  const own = protocols.flatMap((one) => one.own?.tools ?? [])
  return new Map([...tools, ...own].map((tool) => [tool.name, tool]))
}
