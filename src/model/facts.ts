import type { Json, JsonObject } from './json.ts'

export type AgentStatus = 'initializing' | 'active' | 'paused' | 'stopped' | 'retired'

/** The agent as the registry knows it at the time of the decision. */
export interface AgentFacts {
  readonly id: string
  readonly name: string
  readonly owner: string
  readonly roles: readonly string[]
  readonly status: AgentStatus
  readonly properties: JsonObject
}

/** What a decision needs and the request does not carry. Gathered before; `decide` does no I/O. */
export interface Facts {
  readonly nowMs: number
  readonly agent: AgentFacts
  /** Upstream look-ups the tool declares under `facts`, by name: the parsed JSON answer. */
  readonly lookups: Readonly<Record<string, Json>>
  /** Look-ups that failed, by name, with a message. Any entry denies (`fact_unavailable`). */
  readonly unavailable: Readonly<Record<string, string>>
}
