import { assertOwn, knownAgentId } from '../../agents/known.ts'
import { agentOf } from '../../agents/registry.ts'
import type { Caller } from '../../agents/keys.ts'
import { newId } from '../../lib/ids.ts'
import type { AuditEntry } from '../../model/audit.ts'
import type { JsonObject } from '../../model/json.ts'
import { readTimeline } from '../../record/audit.ts'
import { auditStats } from '../../record/audit-stats.ts'
import type { Db, Tx } from '../../store/tx.ts'
import { maskingOf } from '../../pipeline/claim.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { ACTORS, READERS } from '../edge/roles.ts'
import { always, AT, COUNTS, INTEGER, MAYBE_STRING, page, STRING } from '../edge/schemas.ts'
import {
  NAME,
  object,
  PAGE_DEFAULT,
  PAGE,
  params,
  shape,
  TEXT,
  TIME,
  OPEN,
  withNulls,
} from '../edge/validate.ts'

/** The words of whoever sends events, and ours. */
const EFFECTS = { allowed: 'allow', denied: 'deny', requires_approval: 'require_approval' } as const
type Verdict = keyof typeof EFFECTS
const VERDICTS = Object.keys(EFFECTS) as Verdict[]

interface EventBody {
  readonly event_type: string
  readonly agent?: string
  readonly agent_id?: string
  readonly agent_role?: string
  readonly operation?: string
  readonly decision?: Verdict
  readonly target?: string
  readonly resources?: string[]
  readonly reason?: string
  readonly timestamp?: string
  readonly metadata?: JsonObject
}

const INGEST = withNulls(
  shape<EventBody>(
    object(
      {
        event_type: NAME,
        agent: { ...NAME, description: 'id or name; absent: the agent of the key' },
        agent_id: { ...NAME, description: 'the same as `agent`' },
        agent_role: NAME,
        operation: NAME,
        decision: { enum: VERDICTS },
        target: TEXT,
        resources: { type: 'array', items: TEXT, maxItems: 100 },
        reason: TEXT,
        timestamp: TIME,
        metadata: OPEN,
      },
      ['event_type'],
    ),
  ),
)

interface AuditQuery {
  readonly agent?: string
  readonly agent_id?: string
  readonly operation?: string
  readonly decision?: Verdict
  readonly kind?: string
  readonly since?: string
  readonly until?: string
  readonly limit?: number
  readonly cursor?: number
}

const RANGE = {
  agent: NAME,
  agent_id: { ...NAME, description: 'the same as `agent`' },
  since: TIME,
  until: TIME,
} as const
const AUDIT = params<AuditQuery>({
  ...RANGE,
  operation: NAME,
  decision: { enum: VERDICTS },
  kind: NAME,
  limit: PAGE.limit,
  cursor: { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
})
const STATS = params<AuditQuery>(RANGE)

/** `/api/v1/events`: what other systems tell the record, and the record in their words. */
export function ingestEndpoints(parts: PartsOf<'db' | 'config'>): Endpoints {
  const { db } = parts
  const endpoints = new Endpoints('events', parts)

  endpoints.write(
    'post',
    '/api/v1/events/ingest',
    {
      answer: always({
        event: always({ id: STRING, event_type: STRING, agent: MAYBE_STRING, recorded_at: AT }),
      }),
      summary: 'Put an event of another system on the record',
      description: 'It stands there as what it is: somebody else’s word, of kind `event.ingested`.',
      roles: ACTORS,
      body: INGEST,
      status: 201,
      errors: ['not_found'],
    },
    ({ body, caller }) =>
      async (tx) =>
        ingest(
          tx,
          maskingOf(parts.mask, parts.policies.current)?.said({ ...body }) ?? body,
          caller,
        ),
  )

  endpoints.on(
    'get',
    '/api/v1/events/audit',
    {
      answer: page(
        'events',
        always({
          id: INTEGER,
          timestamp: AT,
          kind: STRING,
          agent_id: MAYBE_STRING,
          operation: MAYBE_STRING,
          decision: { enum: [...VERDICTS, null] },
          action_id: MAYBE_STRING,
          details: OPEN,
          hash: STRING,
        }),
      ),
      summary: 'Query the record by agent, operation, decision and time; newest first',
      roles: READERS,
      query: AUDIT,
      errors: ['not_found'],
    },
    async ({ query }) => {
      const { limit = PAGE_DEFAULT, cursor, decision } = query
      const entries = await readTimeline(db, {
        agentId: await idOf(db, query),
        tool: query.operation ?? null,
        effect: decision === undefined ? null : EFFECTS[decision],
        kind: query.kind ?? null,
        actionId: null,
        since: query.since === undefined ? null : new Date(query.since),
        until: query.until === undefined ? null : new Date(query.until),
        before: cursor === undefined ? null : BigInt(cursor),
        limit,
      })
      const last = entries.at(-1)
      const next = entries.length === limit && last ? String(last.seq) : null
      return { events: entries.map(auditJson), next_cursor: next }
    },
  )

  endpoints.on(
    'get',
    '/api/v1/events/audit/stats',
    {
      answer: always({
        total: INTEGER,
        by_decision: COUNTS,
        by_kind: COUNTS,
        by_agent: COUNTS,
        by_operation: COUNTS,
        by_day: COUNTS,
        kept_days: { type: ['integer', 'null'] },
      }),
      summary: 'Count the record by decision, kind, agent, operation and day',
      roles: READERS,
      query: STATS,
      errors: ['not_found'],
    },
    async ({ query }) => {
      const { by_decision: byEffect, ...stats } = await auditStats(db, {
        agentId: await idOf(db, query),
        since: query.since === undefined ? null : new Date(query.since),
        until: query.until === undefined ? null : new Date(query.until),
      })
      const byDecision = Object.fromEntries(
        VERDICTS.map((verdict) => [verdict, byEffect[EFFECTS[verdict]] ?? 0]),
      )
      return { ...stats, by_decision: byDecision, kept_days: parts.config.auditRetentionDays }
    },
  )

  return endpoints
}

async function ingest(tx: Tx, body: EventBody, caller: Caller): Promise<JsonObject> {
  const { event_type: type, operation = '', decision, agent: _agent, agent_id: _id, ...rest } = body
  const which = body.agent ?? body.agent_id ?? caller.agentId
  const agent = which === null ? null : await agentOf(tx, which)
  if (agent) assertOwn(caller, agent.id)
  const eventId = newId('evt', tx.nowMs)
  tx.append({
    kind: 'event.ingested',
    agentId: agent?.id ?? '',
    tool: operation,
    effect: decision === undefined ? '' : EFFECTS[decision],
    actionId: '',
    detail: {
      ...rest,
      event_id: eventId,
      event_type: type,
      agent_name: agent?.name ?? null,
      actor: caller.name,
      key_id: caller.keyId,
    },
  })
  const at = new Date(tx.nowMs).toISOString()
  return { event: { id: eventId, event_type: type, agent: agent?.id ?? null, recorded_at: at } }
}

async function idOf(db: Db, query: AuditQuery): Promise<string | null> {
  const named = query.agent ?? query.agent_id
  return named === undefined ? null : knownAgentId(db, named)
}

function auditJson(entry: AuditEntry): JsonObject {
  const verdict = VERDICTS.find((one) => EFFECTS[one] === entry.effect) ?? null
  return {
    id: Number(entry.seq),
    timestamp: entry.at,
    kind: entry.kind,
    agent_id: entry.agentId || null,
    operation: entry.tool || null,
    decision: verdict,
    action_id: entry.actionId || null,
    details: JSON.parse(entry.body) as JsonObject,
    hash: entry.hash,
  }
}
