import { currentMonth } from '../../agents/budget-stands.ts'
import { assertOwn } from '../../agents/known.ts'
import { type Agent, newAgent } from '../../agents/agent.ts'
import { LIFECYCLE_ACTIONS, type LifecycleAction } from '../../agents/lifecycle.ts'
import { agentOf, agentStats, findAgentNamed, listAgents } from '../../agents/registry.ts'
import type { Caller } from '../../agents/keys.ts'
import { assertUnsigned } from '../../agents/manifests.ts'
import { GatewayError } from '../../errors.ts'
import { sha256 } from '../../lib/canonical.ts'
import type { JsonObject } from '../../model/json.ts'
import type { Db } from '../../store/tx.ts'
import { agentActivity } from '../../record/agent-activity.ts'
import { listReports } from '../../record/reports.ts'
import {
  activateAgent,
  changeAgent,
  importAgents,
  liveAgent,
  registerAgent,
  unregisterAgent,
  type Imported,
} from '../../operations/registry.ts'
import {
  AGENT_ANSWER,
  AGENT_MEMBERS,
  agentJson,
  changeOf,
  profileOf,
  type AgentBody,
} from './agent-json.ts'
import { Endpoints } from '../edge/endpoints.ts'
import { agentBudget } from './spend-json.ts'
import { reportJson } from './reports.ts'
import { textBody } from '../edge/body.ts'
import { IMPORT_BYTES_MAX, IMPORT_MEDIA, readImport } from './import-file.ts'
import type { PartsOf } from '../edge/parts.ts'
import { ACTORS, ADMINS, OPERATORS, READERS } from '../edge/roles.ts'
import {
  always,
  AT,
  COUNTS,
  INTEGER,
  list,
  MAYBE_AT,
  MAYBE_STRING,
  MONTH_ANSWER,
  page,
  REPORT_ANSWER,
  SHOWN_KEY,
  STRING,
} from '../edge/schemas.ts'
import {
  NAME,
  object,
  PAGE,
  nextCursor,
  PAGE_DEFAULT,
  params,
  shape,
  TEXT,
} from '../edge/validate.ts'

const STATUSES = ['initializing', 'active', 'paused', 'stopped', 'retired']

const ONE = always({ agent: AGENT_ANSWER })
const CREATE = shape<AgentBody & { name: string }>(object(AGENT_MEMBERS, ['name']))
const CHANGE = shape<
  AgentBody & { status?: 'active' | 'paused' | 'stopped'; status_reason?: string }
>(
  object({
    ...AGENT_MEMBERS,
    status: { enum: ['active', 'paused', 'stopped'] },
    status_reason: TEXT,
  }),
)
const ACTIVITY = {
  type: 'boolean',
  description: 'also when each was seen last, and its decisions of today: counted anew each time',
} as const
const LIST = params<{
  role?: string
  category?: string
  specialist?: string
  status?: string
  tag?: string
  owner?: string
  q?: string
  activity?: boolean
  limit?: number
  cursor?: string
}>({
  role: NAME,
  category: NAME,
  specialist: NAME,
  status: { enum: STATUSES },
  tag: NAME,
  owner: NAME,
  q: { ...NAME, description: 'found in name, description or id' },
  activity: ACTIVITY,
  ...PAGE,
})
const LIFECYCLE = shape<{ action: LifecycleAction; instances?: number; reason?: string }>(
  object(
    {
      action: { enum: [...LIFECYCLE_ACTIONS] },
      instances: { type: 'integer', minimum: 0, maximum: 10_000 },
      reason: TEXT,
    },
    ['action'],
  ),
)

/** `/api/v1/agents`: the registry and the life of its agents. */
export function agentEndpoints(parts: PartsOf<'db' | 'keyRing' | 'trust'>): Endpoints {
  const { db, keyRing } = parts
  const endpoints = new Endpoints('agents', parts)

  endpoints.write(
    'post',
    '/api/v1/agents',
    {
      summary: 'Create an agent; its key is shown this once',
      roles: ADMINS,
      body: CREATE,
      status: 201,
      answer: always({ agent: AGENT_ANSWER, api_key: SHOWN_KEY }),
      errors: ['conflict', 'invalid_signature'],
    },
    ({ body, caller }) =>
      async (tx) => {
        assertUnsigned(parts.trust, body.profile)
        const created = await registerAgent(tx, newAgent(body.name, profileOf(body)), caller)
        return { agent: agentJson(created.agent), api_key: created.key }
      },
  )

  endpoints.write(
    'post',
    '/api/v1/agents/import',
    {
      answer: always({
        imported: INTEGER,
        agents: list(always({ id: STRING, name: STRING, api_key: SHOWN_KEY }, ['api_key'])),
      }),
      summary: 'Create many agents from a JSON, YAML or CSV file: all of them, or none',
      description:
        'A list of agents, or an object with `agents`; in CSV a header row names the members, and lists ' +
        'are separated by `;`. Errors name their rows.',
      roles: ADMINS,
      accepts: IMPORT_MEDIA,
      query: params<{ keys?: boolean }>({
        keys: { type: 'boolean', description: 'also make a key for each, shown this once' },
      }),
      status: 201,
      errors: ['conflict', 'payload_too_large'],
      deadlineMs: IMPORT_DEADLINE_MS,
    },
    async ({ req, query: { keys = false }, caller }) => {
      const file = await textBody(req, IMPORT_MEDIA, IMPORT_BYTES_MAX)
      const agents = await readImport(file, parts.trust)
      const source = { format: file.type, sha256: sha256(file.text) }
      return async (tx) => {
        const imported = await importAgents(tx, agents, keys, source, caller)
        return { imported: imported.length, agents: imported.map(importedJson) }
      }
    },
  )

  endpoints.on(
    'get',
    '/api/v1/agents',
    {
      summary: 'List agents',
      roles: READERS,
      query: LIST,
      answer: page('agents', AGENT_ANSWER),
    },
    async ({ query }) => {
      const { q, cursor, limit = PAGE_DEFAULT, activity = false, ...filter } = query
      const agents = await listAgents(db, { ...filter, text: q, after: cursor, limit })
      const shown = activity ? await withActivity(db, agents) : agents.map((one) => agentJson(one))
      return { agents: shown, next_cursor: nextCursor(agents, limit) }
    },
  )

  endpoints.on(
    'get',
    '/api/v1/agents/stats/summary',
    {
      answer: always({
        total: INTEGER,
        by_status: COUNTS,
        by_role: COUNTS,
        by_category: COUNTS,
        by_owner: COUNTS,
        specialists: INTEGER,
        budgeted: INTEGER,
      }),
      summary: 'Count agents by status, role, category and owner',
      roles: READERS,
    },
    () => agentStats(db),
  )

  endpoints.on(
    'get',
    '/api/v1/agents/name/:name',
    {
      summary: 'Read an agent by its name',
      roles: READERS,
      answer: ONE,
      errors: ['not_found'],
    },
    async (asked) => {
      const name = asked.param('name')
      const agent = await findAgentNamed(db, name)
      if (agent) return { agent: agentJson(agent) }
      throw new GatewayError('not_found', `there is no agent named \`${name.slice(0, 64)}\``)
    },
  )

  endpoints.on(
    'get',
    '/api/v1/agents/:id',
    {
      answer: always({ agent: AGENT_ANSWER, budget: MONTH_ANSWER, actions: list(REPORT_ANSWER) }, [
        'actions',
      ]),
      summary: 'Read an agent by its id or name, with its month, perhaps with its latest reports',
      roles: READERS,
      query: params<{ include?: 'actions'; activity?: boolean }>({
        include: { enum: ['actions'] },
        activity: ACTIVITY,
      }),
      errors: ['not_found'],
    },
    async ({ id, query: { include, activity = false } }) => {
      const agent = await agentOf(db, id)
      const [shown] = activity ? await withActivity(db, [agent]) : [agentJson(agent)]
      const budget = await agentBudget(db, agent, await currentMonth(db))
      if (include === undefined) return { agent: shown, budget }
      const reports = await listReports(db, { agent: agent.id, limit: PAGE_DEFAULT })
      return { agent: shown, budget, actions: reports.map(reportJson) }
    },
  )

  for (const method of ['put', 'patch'] as const) {
    endpoints.write(
      method,
      '/api/v1/agents/:id',
      {
        summary: 'Change an agent; members that are not given stay',
        description: 'An operator may change the status alone; the rest is for an admin.',
        roles: OPERATORS,
        body: CHANGE,
        answer: ONE,
        errors: ['not_found', 'conflict', 'invalid_signature'],
      },
      ({ id, body, caller }) =>
        async (tx) => {
          const { status, status_reason: reason, ...members } = body
          assertMayChange(caller, members)
          assertUnsigned(parts.trust, members.profile)
          let agent = await agentOf(tx, id)
          if (Object.keys(members).length > 0) {
            agent = await changeAgent(tx, agent.id, changeOf(members), caller)
          }
          if (status !== undefined) {
            agent = await liveAgent(tx, agent.id, { action: TO_STATUS[status], reason }, caller)
          }
          return { agent: agentJson(agent) }
        },
    )
  }

  endpoints.write(
    'delete',
    '/api/v1/agents/:id',
    {
      summary: 'Unregister an agent: its keys stop, what waits for an approval is cancelled',
      roles: ADMINS,
      status: 204,
      errors: ['not_found'],
    },
    ({ id, caller }) =>
      async (tx) => {
        await unregisterAgent(tx, id, keyRing, caller)
        return undefined
      },
  )

  endpoints.write(
    'post',
    '/api/v1/agents/:id/activate',
    {
      summary: 'Mark an agent as active, as one does that starts a task',
      roles: ACTORS,
      body: shape<object>(object({})),
      answer: ONE,
      errors: ['not_found', 'conflict'],
    },
    ({ id, caller }) =>
      async (tx) => {
        const agent = await agentOf(tx, id)
        assertOwn(caller, agent.id)
        return { agent: agentJson(await activateAgent(tx, agent.id, caller)) }
      },
  )

  endpoints.write(
    'post',
    '/api/v1/agents/:id/action',
    {
      summary: 'Start, stop, restart, pause, resume, retire or scale an agent',
      roles: OPERATORS,
      body: LIFECYCLE,
      answer: ONE,
      errors: ['not_found', 'conflict'],
    },
    ({ id, body, caller }) =>
      async (tx) => ({ agent: agentJson(await liveAgent(tx, id, body, caller)) }),
  )

  endpoints.on(
    'get',
    '/api/v1/agents/:id/status',
    {
      answer: always({
        agent_id: STRING,
        name: STRING,
        status: STRING,
        status_reason: MAYBE_STRING,
        instances: { type: ['integer', 'null'] },
        started_at: MAYBE_AT,
        uptime_s: { type: ['integer', 'null'] },
        updated_at: AT,
      }),
      summary: 'How an agent is doing',
      roles: READERS,
      errors: ['not_found'],
    },
    async ({ id }) => {
      const agent = await agentOf(db, id)
      const sinceMs = agent.startedAt ? Date.now() - agent.startedAt.getTime() : null
      return {
        agent_id: agent.id,
        name: agent.name,
        status: agent.status,
        status_reason: agent.statusReason || null,
        instances: agent.instances,
        started_at: agent.startedAt?.toISOString() ?? null,
        uptime_s: sinceMs === null ? null : Math.max(0, Math.round(sinceMs / 1000)),
        updated_at: agent.updatedAt.toISOString(),
      }
    },
  )

  return endpoints
}

/** Ten thousand agents are one batch, which takes longer than a claim may. */
const IMPORT_DEADLINE_MS = 20_000

function importedJson({ agent: { id, name }, key }: Imported): JsonObject {
  return { id, name, ...(key === null ? {} : { api_key: key }) }
}

const TO_STATUS = { active: 'restart', paused: 'pause', stopped: 'stop' } as const

function assertMayChange(caller: Caller, members: object): void {
  if (caller.role === 'admin' || Object.keys(members).length === 0) return
  throw new GatewayError('forbidden', 'an operator may change the status of an agent, nothing else')
}

async function withActivity(db: Db, agents: readonly Agent[]): Promise<JsonObject[]> {
  const of = await agentActivity(
    db,
    agents.map(({ id }) => id),
  )
  return agents.map((agent) => {
    const { lastSeenAt, today } = of(agent.id)
    const { held, ...decided } = today
    return {
      ...agentJson(agent),
      activity: {
        last_seen_at: lastSeenAt?.toISOString() ?? null,
        today: { ...decided, require_approval: held },
      },
    }
  })
}
