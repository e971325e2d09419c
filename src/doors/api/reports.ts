import { currentMonth, ownMonths } from '../../agents/budget-stands.ts'
import type { Caller } from '../../agents/keys.ts'
import { agentAsked, knownAgentFor, sees } from '../../agents/known.ts'
import { agentOf, findAgent } from '../../agents/registry.ts'
import type { Agent } from '../../agents/agent.ts'
import { GatewayError } from '../../errors.ts'
import { microsToText } from '../../lib/money.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import type { Report, Reported } from '../../operations/report.ts'
import { listReports, spendByType, type RecordedReport } from '../../record/reports.ts'
import type { Db } from '../../store/tx.ts'
import { money } from './agent-json.ts'
import { maskingOf } from '../../pipeline/claim.ts'
import { Endpoints } from '../edge/endpoints.ts'
import { onceOf } from '../edge/once.ts'
import { agentSpend, monthBounds, typeJson } from './spend-json.ts'
import type { PartsOf } from '../edge/parts.ts'
import { ACTORS, ANYONE, READERS } from '../edge/roles.ts'
import {
  always,
  BY_TYPE,
  list,
  MAYBE_STRING,
  page,
  REPORT_ANSWER,
  SPEND_ANSWER,
  STRING,
} from '../edge/schemas.ts'
import {
  MONEY,
  NAME,
  object,
  PAGE,
  nextCursor,
  PAGE_DEFAULT,
  params,
  shape,
  TIME,
  withNulls,
} from '../edge/validate.ts'

interface ReportBody {
  readonly agent?: string
  readonly action_type: string
  readonly target?: string
  readonly cost?: string | number
  readonly outcome?: 'success' | 'failure'
  readonly metadata?: Json
}

const REPORT = withNulls(
  shape<ReportBody>(
    object(
      {
        agent: { ...NAME, description: 'id or name; an agent key reports for its own agent' },
        action_type: NAME,
        target: { type: 'string', pattern: '^[^\\u0000]{0,500}$' },
        cost: MONEY,
        outcome: { enum: ['success', 'failure'] },
        metadata: { type: ['object', 'string', 'null'], additionalProperties: true },
      },
      ['action_type'],
    ),
  ),
)
const LIST = params<{
  agent?: string
  type?: string
  outcome?: string
  since?: string
  until?: string
  limit?: number
  cursor?: string
}>({
  agent: NAME,
  type: NAME,
  outcome: { enum: ['success', 'failure'] },
  since: TIME,
  until: TIME,
  ...PAGE,
})
const MONTH = params<{ month?: string }>({
  month: {
    type: 'string',
    pattern: '^\\d{4}-(?:0[1-9]|1[0-2])$',
    description: 'such as 2026-11, in UTC; the current one by the database clock where absent',
  },
})

/** `/api/v1/actions`: what agents report, and what they spend. */
export function reportEndpoints(parts: PartsOf<'db'>): Endpoints {
  const { db, operations } = parts
  const endpoints = new Endpoints('spend', parts)

  endpoints.on(
    'post',
    '/api/v1/actions',
    {
      answer: always({
        action: REPORT_ANSWER,
        budget: always({ spent: STRING, limit: MAYBE_STRING, remaining: MAYBE_STRING }),
      }),
      summary: 'Account for an action an agent takes by itself, before it takes it',
      description:
        'Going over the monthly budget pauses the agent, raises an alert and is refused.',
      roles: ACTORS,
      body: REPORT,
      status: 201,
      errors: [
        'not_found',
        'overloaded',
        'agent_paused',
        'budget_exceeded',
        'per_action_limit_exceeded',
        'kill_switch_engaged',
      ],
    },
    async ({ req, body, caller }) => {
      const masking = maskingOf(parts.mask, parts.policies.current)
      const agent = await reporting(db, caller, body.agent)
      const report = toReport(agent, masking?.said({ ...body }) ?? body, caller)
      return operations.report(report, onceOf(req, parts), reportedJson)
    },
  )

  endpoints.on(
    'get',
    '/api/v1/actions',
    {
      answer: page('actions', REPORT_ANSWER),
      summary: 'List reported actions, newest first; an agent sees its own',
      roles: ANYONE,
      query: LIST,
      errors: ['not_found'],
    },
    async ({ caller, query }) => {
      const { limit = PAGE_DEFAULT, cursor, since, until, agent, ...filter } = query
      const reports = await listReports(db, {
        ...filter,
        agent: await agentAsked(db, caller, agent),
        since: since === undefined ? undefined : new Date(since),
        until: until === undefined ? undefined : new Date(until),
        before: cursor,
        limit,
      })
      return { actions: reports.map(reportJson), next_cursor: nextCursor(reports, limit) }
    },
  )

  endpoints.on(
    'get',
    '/api/v1/agents/:id/spend',
    {
      answer: SPEND_ANSWER,
      summary: 'What an agent has spent in a month, of which budget, on what',
      roles: ANYONE,
      query: MONTH,
      errors: ['not_found'],
    },
    async ({ id, caller, query: { month } }) => {
      const known = await knownAgentFor(db, caller, id)
      const { monthlyBudget = null } = (await findAgent(db, known.id)) ?? {}
      return agentSpend(db, { ...known, monthlyBudget }, month ?? (await currentMonth(db)))
    },
  )

  endpoints.on(
    'get',
    '/api/v1/spend',
    {
      answer: always({
        month: STRING,
        spent: STRING,
        agents: list(
          always({ agent: STRING, name: MAYBE_STRING, spent: STRING, reserved: STRING }),
        ),
        by_type: BY_TYPE,
      }),
      summary: 'What all agents have spent in a month, by agent and by type of action',
      roles: READERS,
      query: MONTH,
    },
    async ({ query: { month } }) => totalSpend(db, month ?? (await currentMonth(db))),
  )

  return endpoints
}

/** The agent a report is about: the caller's own, or the one it names. */
async function reporting(db: Db, caller: Caller, named: string | undefined): Promise<Agent> {
  const which = named ?? caller.agentId
  if (which === null)
    throw new GatewayError('invalid_request', '`agent` is needed: an id or a name')
  const agent = await agentOf(db, which)
  if (sees(caller, agent.id)) return agent
  throw new GatewayError('forbidden', 'an agent key reports for its own agent only')
}

function toReport(agent: Agent, body: ReportBody, caller: Caller): Report {
  return {
    agentId: agent.id,
    agentName: agent.name,
    type: body.action_type,
    target: body.target ?? '',
    costMicros: body.cost === undefined ? 0n : money('cost', body.cost),
    outcome: body.outcome ?? 'success',
    metadata: body.metadata ?? {},
    caller,
  }
}

function reportedJson({ row: report, spentMicros, limitMicros }: Reported): JsonObject {
  return {
    action: reportJson(report),
    budget: {
      spent: microsToText(spentMicros),
      limit: limitMicros === null ? null : microsToText(limitMicros),
      remaining: limitMicros === null ? null : microsToText(limitMicros - spentMicros),
    },
  }
}

export function reportJson(report: RecordedReport): JsonObject {
  return {
    id: report.id,
    agent: report.agentId,
    action_type: report.type,
    target: report.target,
    cost: microsToText(report.cost),
    outcome: report.outcome,
    metadata: JSON.parse(report.metadata) as Json,
    created_at: report.at.toISOString(),
  }
}

const AGENTS_SHOWN_MAX = 500

async function totalSpend(db: Db, month: string): Promise<JsonObject> {
  const { from, to } = monthBounds(month)
  const rows = await ownMonths(db, `${month}-01`, AGENTS_SHOWN_MAX)
  const total = rows.reduce((sum, { settled }) => sum + settled, 0n)
  return {
    month,
    spent: microsToText(total),
    agents: rows.map(({ agent, name, reserved, settled }) => ({
      agent,
      name,
      spent: microsToText(settled),
      reserved: microsToText(reserved),
    })),
    by_type: (await spendByType(db, null, from, to)).map(typeJson),
  }
}
