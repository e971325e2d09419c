import type { AgentFacts, AgentStatus } from '../model/facts.ts'
import type { JsonObject } from '../model/json.ts'

/** What somebody decides about an agent; the rest the registry knows by itself. */
export interface AgentProfile {
  readonly owner: string
  readonly roles: readonly string[]
  readonly description: string
  readonly category: string
  /** '' for none, 'true' or 'false', or the name of a speciality. */
  readonly specialist: string
  readonly version: string
  readonly tags: readonly string[]
  readonly profile: string
  readonly properties: JsonObject
  /** Micro-units a month; null: no bound of its own. */
  readonly monthlyBudget: bigint | null
  /** Micro-units an action; null: no bound of its own. */
  readonly perActionLimit: bigint | null
  /** Shares of the monthly budget in percent at which an alert is raised, once a month. */
  readonly thresholds: readonly number[]
  /** How many of its actions may be under way at once; null: no bound. */
  readonly instances: number | null
}

export interface NewAgent extends AgentProfile {
  readonly name: string
  readonly status: AgentStatus
  /** `<name>@<version>` of the template it was spawned from, or ''. */
  readonly template: string
  /** SHA-256 of the signed manifest it was registered from, or ''. */
  readonly manifestHash: string
}

export interface Agent extends AgentFacts, NewAgent {
  readonly statusReason: string
  readonly startedAt: Date | null
  readonly createdAt: Date
  readonly updatedAt: Date
}

/** What an agent is where nothing is said. */
export const BARE_PROFILE: AgentProfile = Object.freeze({
  owner: '',
  roles: [],
  description: '',
  category: '',
  specialist: '',
  version: '',
  tags: [],
  profile: '',
  properties: {},
  monthlyBudget: null,
  perActionLimit: null,
  thresholds: [50, 80, 100],
  instances: null,
})

/** An agent that may act at once, made by hand rather than from a template or a manifest. */
export function newAgent(name: string, profile: Partial<AgentProfile>): NewAgent {
  return { ...BARE_PROFILE, ...profile, name, status: 'active', template: '', manifestHash: '' }
}
