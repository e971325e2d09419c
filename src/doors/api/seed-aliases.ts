import type { Json, JsonObject } from '../../model/json.ts'
import type { Alias } from './aliases.ts'

/** Members of the spend ledger's bodies, and ours. */
const LEDGER_MEMBERS: Readonly<Record<string, string>> = {
  ownerId: 'owner',
  monthlyBudget: 'monthly_budget',
  perActionLimit: 'per_action_limit',
  agentId: 'agent',
  actionType: 'action_type',
}

/** Of its answers; money was a number there, which is enough to read and never used to compute. */
const LEDGER_ANSWER: Readonly<Record<string, readonly [string, (value: Json) => Json]>> = {
  owner: ['ownerId', (value) => value],
  monthly_budget: ['monthlyBudget', asNumber],
  per_action_limit: ['perActionLimit', asNumber],
  agent: ['agentId', (value) => value],
  action_type: ['actionType', (value) => value],
  created_at: ['createdAt', (value) => value],
  at: ['createdAt', (value) => value],
}

function asNumber(value: Json): Json {
  return value === null ? null : Number(value)
}

function renamed(body: JsonObject, names: Readonly<Record<string, string>>): JsonObject {
  return Object.fromEntries(
    Object.entries(body).map(([name, value]) => [names[name] ?? name, value]),
  )
}

/** Our members, and beside them those that the spend ledger documented. */
function withLedgerNames(value: JsonObject): JsonObject {
  const more = Object.entries(value).flatMap(([name, member]) => {
    const known = LEDGER_ANSWER[name]
    const isPlain = member === null || typeof member !== 'object'
    return known && isPlain ? [[known[0], known[1](member)] as const] : []
  })
  const role = Array.isArray(value['roles']) ? { role: value['roles'][0] ?? '' } : {}
  return { ...value, ...Object.fromEntries(more), ...role }
}

/** One thing of an answer, brought up to its top beside what was there. */
const lifted =
  (member: string) =>
  (answer: JsonObject): JsonObject => {
    const one = withLedgerNames(answer[member] as JsonObject)
    const actions = answer['actions'] as JsonObject[] | undefined
    return {
      ...answer,
      ...one,
      [member]: one,
      ...(actions ? { actions: actions.map(withLedgerNames) } : {}),
    }
  }

const listed =
  (member: string) =>
  (answer: JsonObject): JsonObject => ({
    ...answer,
    [member]: (answer[member] as JsonObject[]).map(withLedgerNames),
  })

const ledgerBody = (body: JsonObject): JsonObject => renamed(body, LEDGER_MEMBERS)

/**
 * Where an earlier system documented a call under another path, that path answers too: the same
 * handler, with its members put into ours on the way in and beside ours on the way out.
 */
export const SEED_ALIASES: readonly Alias[] = [
  {
    method: 'POST',
    from: '/api/agents',
    to: '/api/v1/agents',
    body: ledgerBody,
    answer: lifted('agent'),
  },
  { method: 'GET', from: '/api/agents', to: '/api/v1/agents', answer: listed('agents') },
  {
    method: 'GET',
    from: '/api/agents/:id',
    to: '/api/v1/agents/:id?include=actions',
    answer: lifted('agent'),
  },
  {
    method: 'PATCH',
    from: '/api/agents/:id',
    to: '/api/v1/agents/:id',
    body: ledgerBody,
    answer: lifted('agent'),
  },
  {
    method: 'POST',
    from: '/api/actions',
    to: '/api/v1/actions',
    body: ledgerBody,
    answer: lifted('action'),
  },
  {
    method: 'GET',
    from: '/api/actions',
    to: '/api/v1/actions',
    query: { agentId: 'agent' },
    answer: listed('actions'),
  },
  {
    method: 'GET',
    from: '/api/alerts',
    to: '/api/v1/alerts',
    query: { agentId: 'agent' },
    answer: listed('alerts'),
  },
  { method: 'POST', from: '/api/v1/agent/spawn', to: '/api/v1/agents/spawn' },
  { method: 'GET', from: '/api/v1/agent/templates', to: '/api/v1/templates' },
  { method: 'POST', from: '/api/v1/agent/templates', to: '/api/v1/templates' },
  { method: 'GET', from: '/api/v1/agent/templates/:id', to: '/api/v1/templates/:id' },
  { method: 'GET', from: '/api/v1/agent/:id', to: '/api/v1/agents/:id' },
  { method: 'DELETE', from: '/api/v1/agent/:id', to: '/api/v1/agents/:id' },
  { method: 'GET', from: '/api/v1/agent/:id/status', to: '/api/v1/agents/:id/status' },
  {
    method: 'POST',
    from: '/api/v1/agent/:id/action',
    to: '/api/v1/agents/:id/action',
    body: (body) => renamed(body, { replicas: 'instances' }),
    answer: (answer) => {
      const agent = answer['agent'] as JsonObject
      return { ok: true, status: agent['status'] ?? '', agent }
    },
  },
  { method: 'POST', from: '/api/v1/agent/:id/sandbox/run', to: '/api/v1/agents/:id/sandbox/run' },
]
