import { BARE_PROFILE, type Agent, type AgentProfile } from '../../agents/agent.ts'
import { GatewayError } from '../../errors.ts'
import { microsFromJson, microsToText } from '../../lib/money.ts'
import type { JsonObject } from '../../model/json.ts'
import type { AgentChange } from '../../operations/registry.ts'
import { always, AT, INTEGER, MAYBE_AT, MAYBE_STRING } from '../edge/schemas.ts'
import { MONEY, NAME, OPEN, TEXT } from '../edge/validate.ts'

const ROLES_MAX = 50
const INSTANCES_MAX = 10_000

/** What may be said of an agent, as it stands on the wire. */
export interface AgentBody {
  readonly name?: string
  readonly owner?: string
  readonly roles?: string[]
  readonly role?: string
  readonly description?: string
  readonly category?: string
  readonly specialist?: boolean | string
  readonly version?: string
  readonly tags?: string[]
  readonly profile?: string
  readonly properties?: JsonObject
  readonly monthly_budget?: string | number | null
  readonly per_action_limit?: string | number | null
  readonly thresholds?: number[]
  readonly instances?: number | null
}

const MAYBE_NAME = { type: 'string', pattern: '^[^\\u0000-\\u001f\\u007f]{0,200}$' } as const
const MAYBE_MONEY = {
  type: ['string', 'number', 'null'],
  description: `${MONEY.description}; null for no bound`,
} as const

/** JSON Schemas of the members of an agent that a caller may set. */
export const AGENT_MEMBERS: JsonObject = {
  name: NAME,
  owner: MAYBE_NAME,
  roles: { type: 'array', items: NAME, maxItems: ROLES_MAX, uniqueItems: true },
  role: { ...NAME, description: 'shorthand for one role' },
  description: TEXT,
  category: MAYBE_NAME,
  specialist: {
    type: ['boolean', 'string'],
    pattern: '^[^\\u0000-\\u001f\\u007f]{0,200}$',
    description: 'whether it is one, or in what',
  },
  version: MAYBE_NAME,
  tags: { type: 'array', items: NAME, maxItems: ROLES_MAX, uniqueItems: true },
  profile: MAYBE_NAME,
  properties: OPEN,
  monthly_budget: MAYBE_MONEY,
  per_action_limit: MAYBE_MONEY,
  thresholds: {
    type: 'array',
    items: { type: 'integer', minimum: 1, maximum: 100 },
    maxItems: 20,
    uniqueItems: true,
    description: 'percent of the monthly budget at which an alert is raised, once a month',
  },
  instances: {
    type: ['integer', 'null'],
    minimum: 0,
    maximum: INSTANCES_MAX,
    description: 'how many of its actions may be under way at once; null for no bound',
  },
}

/** JSON Schema of an agent in an answer. */
const { role: _shorthand, ...SHOWN_MEMBERS } = AGENT_MEMBERS
export const AGENT_ANSWER: JsonObject = always(
  {
    ...SHOWN_MEMBERS,
    id: NAME,
    status: { enum: ['initializing', 'active', 'paused', 'stopped', 'retired'] },
    status_reason: TEXT,
    template: MAYBE_STRING,
    manifest_hash: MAYBE_STRING,
    started_at: MAYBE_AT,
    created_at: AT,
    updated_at: AT,
    activity: {
      ...always({
        last_seen_at: { ...MAYBE_AT, description: 'of its last decision' },
        today: always({ allow: INTEGER, deny: INTEGER, require_approval: INTEGER }),
      }),
      description: 'where it was asked for; `today` begins at midnight, UTC',
    },
  },
  ['status_reason', 'activity'],
)

/** @throws GatewayError `invalid_request` for money that is none */
export function profileOf(body: AgentBody): AgentProfile {
  return { ...BARE_PROFILE, ...changeOf(body) }
}

/** Only what the body says. @throws GatewayError `invalid_request` for money that is none */
export function changeOf(body: AgentBody): AgentChange {
  const {
    monthly_budget: budget,
    per_action_limit: limit,
    specialist,
    thresholds,
    role,
    ...rest
  } = body
  return {
    ...(role === undefined ? {} : { roles: [role] }),
    ...rest,
    ...(specialist === undefined ? {} : { specialist: specialistText(specialist) }),
    ...(thresholds === undefined ? {} : { thresholds: thresholds.toSorted((a, b) => a - b) }),
    ...(budget === undefined ? {} : { monthlyBudget: microsOf('monthly_budget', budget) }),
    ...(limit === undefined ? {} : { perActionLimit: microsOf('per_action_limit', limit) }),
  }
}

const specialistText = (specialist: boolean | string): string =>
  specialist === false ? '' : String(specialist)

function microsOf(name: string, value: string | number | null): bigint | null {
  return value === null ? null : money(name, value)
}

/** An amount in micro-units. @throws GatewayError `invalid_request` naming the member */
export function money(name: string, value: string | number): bigint {
  const micros = microsFromJson(value)
  if (micros !== undefined) return micros
  throw new GatewayError(
    'invalid_request',
    `\`${name}\` must be a non-negative amount with at most six decimals, such as "0.05"`,
  )
}

const text = (micros: bigint | null): string | null =>
  micros === null ? null : microsToText(micros)

export function agentJson(agent: Agent): JsonObject {
  return {
    id: agent.id,
    name: agent.name,
    owner: agent.owner,
    roles: [...agent.roles],
    status: agent.status,
    ...(agent.statusReason === '' ? {} : { status_reason: agent.statusReason }),
    description: agent.description,
    category: agent.category,
    specialist: agent.specialist === 'true' ? true : agent.specialist || false,
    version: agent.version,
    tags: [...agent.tags],
    profile: agent.profile,
    properties: agent.properties,
    monthly_budget: text(agent.monthlyBudget),
    per_action_limit: text(agent.perActionLimit),
    thresholds: [...agent.thresholds],
    instances: agent.instances,
    template: agent.template || null,
    manifest_hash: agent.manifestHash || null,
    started_at: agent.startedAt?.toISOString() ?? null,
    created_at: agent.createdAt.toISOString(),
    updated_at: agent.updatedAt.toISOString(),
  }
}
