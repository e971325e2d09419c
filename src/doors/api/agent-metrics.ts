import { agentAsked, assertOwn, knownAgentFor } from '../../agents/known.ts'
import { agentOf } from '../../agents/registry.ts'
import { GatewayError } from '../../errors.ts'
import { newId } from '../../lib/ids.ts'
import type { JsonObject } from '../../model/json.ts'
import { registryEntry } from '../../operations/registry.ts'
import {
  aggregateMetrics,
  insertMetrics,
  listMetrics,
  PERIODS,
  type MetricAggregate,
  type MetricFilter,
  type Metric,
  type Period,
} from '../../record/agent-metrics.ts'
import type { Db } from '../../store/tx.ts'
import { maskingOf } from '../../pipeline/claim.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { ACTORS, ANYONE, READERS } from '../edge/roles.ts'
import {
  always,
  AT,
  INTEGER,
  list,
  MAYBE_AT,
  MAYBE_STRING,
  NUMBER,
  page,
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
  TIME,
  OPEN,
  withNulls,
} from '../edge/validate.ts'

/** A figure may be this much ahead of the gate's own clock. */
const AHEAD_MS_MAX = 24 * 3_600_000

interface MetricBody {
  readonly agent?: string
  readonly agent_id?: string
  readonly metric_type: string
  readonly value: number
  readonly unit?: string
  readonly metadata?: JsonObject
  readonly timestamp?: string
}

interface FilterQuery {
  readonly agent?: string
  readonly agent_id?: string
  readonly metric_type?: string
  readonly since?: string
  readonly until?: string
}

const RECORD = withNulls(
  shape<MetricBody>(
    object(
      {
        agent: { ...NAME, description: 'id or name; absent: the agent of the key' },
        agent_id: { ...NAME, description: 'the same as `agent`' },
        metric_type: {
          ...NAME,
          description: 'such as execution_time_ms, success, cost_usd, tokens',
        },
        value: { type: 'number' },
        unit: NAME,
        metadata: OPEN,
        timestamp: TIME,
      },
      ['metric_type', 'value'],
    ),
  ),
)
const FILTER = {
  agent: NAME,
  agent_id: { ...NAME, description: 'the same as `agent`' },
  metric_type: NAME,
  since: TIME,
  until: TIME,
} as const
const LIST = params<FilterQuery & { limit?: number; cursor?: string }>({ ...FILTER, ...PAGE })
const AGGREGATE = params<FilterQuery & { period?: Period; by_agent?: boolean }>({
  ...FILTER,
  period: { enum: [...PERIODS], description: 'default all' },
  by_agent: { type: 'boolean', description: 'default true' },
})
const RANGE = params<{ since?: string; until?: string }>({ since: TIME, until: TIME })

const FIGURES: JsonObject = {
  count: INTEGER,
  sum: NUMBER,
  mean: NUMBER,
  min: NUMBER,
  max: NUMBER,
  p50: NUMBER,
  p95: NUMBER,
}
const METRIC = always({
  id: STRING,
  agent: STRING,
  metric_type: STRING,
  value: NUMBER,
  unit: STRING,
  metadata: OPEN,
  timestamp: AT,
})

/** `/api/v1/metrics`: how agents are doing, by their own account. */
export function metricEndpoints(parts: PartsOf<'db'>): Endpoints {
  const { db } = parts
  const endpoints = new Endpoints('metrics', parts)

  endpoints.write(
    'post',
    '/api/v1/metrics',
    {
      answer: always({ metric: METRIC }),
      summary: 'Record a figure of an agent',
      roles: ACTORS,
      body: RECORD,
      status: 201,
      errors: ['not_found'],
    },
    ({ body, caller }) =>
      async (tx) => {
        const which = namedAgent(body) ?? caller.agentId
        if (which === null) throw new GatewayError('invalid_request', '`agent` is needed')
        const agent = await agentOf(tx, which)
        assertOwn(caller, agent.id)
        const masking = maskingOf(parts.mask, parts.policies.current)
        const metric = metricRow(agent.id, masking?.said({ ...body }) ?? body, tx.nowMs)
        await insertMetrics(tx, [metric])
        const { id, type, value, unit } = metric
        const detail = { metric_id: id, metric_type: type, value, unit, agent_name: agent.name }
        tx.append(registryEntry('metric.recorded', agent.id, { ...detail, actor: caller.name }))
        return { metric: metricJson(metric) }
      },
  )

  endpoints.on(
    'get',
    '/api/v1/metrics',
    {
      answer: page('metrics', METRIC),
      summary: 'List recorded figures, newest first; an agent sees its own',
      roles: ANYONE,
      query: LIST,
      errors: ['not_found'],
    },
    async ({ caller, query }) => {
      const { limit = PAGE_DEFAULT, cursor } = query
      const filter = await filterOf(db, query, caller.agentId)
      const metrics = await listMetrics(db, { ...filter, before: cursor, limit })
      return { metrics: metrics.map(metricJson), next_cursor: nextCursor(metrics, limit) }
    },
  )

  endpoints.on(
    'get',
    '/api/v1/metrics/aggregate',
    {
      answer: always({
        period: { enum: [...PERIODS] },
        aggregates: list(
          always({ agent: MAYBE_STRING, metric_type: STRING, period_start: MAYBE_AT, ...FIGURES }),
        ),
      }),
      summary: 'Count, sum, mean, p50 and p95 per type, agent and period',
      roles: READERS,
      query: AGGREGATE,
      errors: ['not_found'],
    },
    async ({ query }) => {
      const { period = 'all', by_agent: agent = true } = query
      const groups = await aggregateMetrics(db, await filterOf(db, query, null), { agent, period })
      return { period, aggregates: groups.map(aggregateJson) }
    },
  )

  endpoints.on(
    'get',
    '/api/v1/metrics/agent/:id/summary',
    {
      answer: always({
        agent: STRING,
        name: STRING,
        success_rate: { type: ['number', 'null'] },
        metrics: { type: 'object', additionalProperties: always(FIGURES) },
      }),
      summary: 'All figures of one agent, by type, with its success rate',
      roles: ANYONE,
      query: RANGE,
      errors: ['not_found'],
    },
    async ({ id, caller, query }) => {
      const agent = await knownAgentFor(db, caller, id)
      const filter = await filterOf(db, query, agent.id)
      const groups = await aggregateMetrics(db, filter, { agent: false, period: 'all' })
      const success = groups.find(({ type }) => type === 'success')
      return {
        agent: agent.id,
        name: agent.name,
        success_rate: success?.mean ?? null,
        metrics: Object.fromEntries(groups.map((group) => [group.type, figures(group)])),
      }
    },
  )

  return endpoints
}

const namedAgent = (body: { readonly agent?: string; readonly agent_id?: string }) =>
  body.agent ?? body.agent_id

function metricRow(agentId: string, body: MetricBody, nowMs: number): Metric {
  const atMs = body.timestamp === undefined ? nowMs : Date.parse(body.timestamp)
  if (atMs > nowMs + AHEAD_MS_MAX) {
    throw new GatewayError('invalid_request', '`timestamp` is more than a day ahead')
  }
  return {
    id: newId('met', nowMs),
    agentId,
    type: body.metric_type,
    value: body.value,
    unit: body.unit ?? '',
    metadata: JSON.stringify(body.metadata ?? {}),
    at: new Date(atMs),
  }
}

async function filterOf(db: Db, query: FilterQuery, own: string | null): Promise<MetricFilter> {
  const named = namedAgent(query)
  return {
    agent: await agentAsked(db, { agentId: own }, named),
    type: query.metric_type,
    since: query.since === undefined ? undefined : new Date(query.since),
    until: query.until === undefined ? undefined : new Date(query.until),
  }
}

function metricJson(metric: Metric): JsonObject {
  return {
    id: metric.id,
    agent: metric.agentId,
    metric_type: metric.type,
    value: metric.value,
    unit: metric.unit,
    metadata: JSON.parse(metric.metadata) as JsonObject,
    timestamp: metric.at.toISOString(),
  }
}

function figures({ count, sum, mean, min, max, p50, p95 }: MetricAggregate): JsonObject {
  return { count: Number(count), sum, mean, min, max, p50, p95 }
}

function aggregateJson(group: MetricAggregate): JsonObject {
  return {
    agent: group.agent,
    metric_type: group.type,
    period_start: group.periodStart?.toISOString() ?? null,
    ...figures(group),
  }
}
