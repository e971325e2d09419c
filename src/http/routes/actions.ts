import { Router } from 'express'
import { approvalOfAction, votesOf } from '../../approvals/tasks.ts'
import { GatewayError } from '../../errors.ts'
import type { JsonObject } from '../../model/json.ts'
import { explainAction } from '../../pipeline/explain.ts'
import type { StoredResult } from '../../pipeline/submission.ts'
import { findAction, listActions, stored, type ActionRow } from '../../record/actions.ts'
import { readTimeline } from '../../record/audit.ts'
import { resultJson } from '../answers.ts'
import { bodyObject, callerOf, idParam } from '../context.ts'
import { allow, strictBody } from '../edge.ts'
import type { HttpParts } from '../parts.ts'
import { Query } from '../query.ts'
import { object, shape, TEXT } from '../validate.ts'
import { entryJson } from './audit.ts'

const STATES = [
  'held',
  'executing',
  'succeeded',
  'failed',
  'indeterminate',
  'denied',
  'expired',
  'cancelled',
]
const OPEN = new Set(['held', 'executing'])
const ENTRIES_MAX = 100

const checkSettle = shape<{ outcome: 'succeeded' | 'failed'; note: string }>(
  object({ outcome: { enum: ['succeeded', 'failed'] }, note: TEXT }, ['outcome', 'note']),
)

/** `GET /actions`, `GET /actions/{id}`, `/explain`, and settling what is indeterminate. */
export function actionRoutes(parts: HttpParts): Router {
  const { db, pipeline, operations } = parts
  const router = Router({ caseSensitive: true })
  const readers = allow('agent', 'observer', 'approver', 'operator', 'admin')

  router.get('/actions', readers, async (req, res) => {
    const query = new Query(req, ['state', 'tool', 'agent', 'limit', 'cursor'])
    const limit = query.limit()
    const { agentId } = callerOf(req)
    const rows = await listActions(db, {
      agentId: agentId ?? query.text('agent') ?? undefined,
      tool: query.text('tool') ?? undefined,
      state: query.oneOf('state', STATES) ?? undefined,
      before: query.text('cursor') ?? undefined,
      limit,
    })
    const next = rows.length === limit ? (rows.at(-1)?.id ?? null) : null
    res.json({ actions: rows.map(actionJson), next_cursor: next })
  })

  router.get('/actions/:id', readers, async (req, res) => {
    const query = new Query(req, ['wait_s'])
    const waitS = query.integer('wait_s', 0, 60) ?? 0
    let row = await visible(db, req, idParam(req))
    if (waitS > 0 && OPEN.has(row.state)) {
      await pipeline.answerOf(row.id, waitS * 1000)
      row = await visible(db, req, row.id)
    }
    const approval = await approvalOfAction(db, row.id)
    res.json({
      ...actionJson(row),
      ...(approval ? { approval: { id: approval.id, status: approval.status } } : {}),
    })
  })

  router.get('/actions/:id/explain', readers, async (req, res) => {
    const row = await visible(db, req, idParam(req))
    res.json(await explain(parts, row, callerOf(req).role === 'agent'))
  })

  router.post('/actions/:id/settle', allow('operator', 'admin'), strictBody, async (req, res) => {
    const { outcome, note } = checkSettle(bodyObject(req))
    const row = await operations.settle(idParam(req), outcome, note, callerOf(req))
    res.json(actionJson(row))
  })

  return router
}

type Db = HttpParts['db']

/** The action, unless it belongs to another agent than the one asking. */
async function visible(db: Db, req: object, id: string): Promise<ActionRow> {
  const row = await findAction(db, id)
  const { agentId } = callerOf(req)
  if (row && (agentId === null || row.agent_id === agentId)) return row
  throw new GatewayError('not_found', `there is no action \`${id.slice(0, 64)}\``)
}

export function actionJson(row: ActionRow) {
  const result = stored(row.result) as unknown as StoredResult | null
  return {
    id: row.id,
    decision_id: row.decision_id,
    agent: row.agent_id,
    request: JSON.parse(row.request) as JsonObject,
    effect: row.effect,
    state: row.state,
    revision: row.revision,
    ...(row.error_code === ''
      ? {}
      : { error: { code: row.error_code, message: row.error_message } }),
    ...(result ? { result: resultJson(result) } : {}),
    created_at: row.created_at.toISOString(),
    started_at: row.started_at?.toISOString() ?? null,
    finished_at: row.finished_at?.toISOString() ?? null,
  }
}

// An agent gets the rule that decided; the whole trace would teach it where the gaps are.
async function explain({ db, policies }: HttpParts, row: ActionRow, forAgent: boolean) {
  const { reasons, shadow, obligations } = JSON.parse(row.explain) as Record<string, JsonObject[]>
  const base = {
    action_id: row.id,
    decision_id: row.decision_id,
    tool: row.tool,
    effect: row.effect,
    state: row.state,
    revision: row.revision,
  }
  if (forAgent) {
    const own = reasons?.map(({ code, message, source }) => ({ code, message, source }))
    return { ...base, reasons: own }
  }
  const approval = await approvalOfAction(db, row.id)
  const entries = await readTimeline(db, {
    agentId: null,
    tool: null,
    effect: null,
    kind: null,
    actionId: row.id,
    since: null,
    until: null,
    before: null,
    limit: ENTRIES_MAX,
  })
  return {
    ...base,
    reasons,
    shadow,
    obligations,
    trace: await explainAction(row, policies.current),
    approvals: approval ? await votesOf(db, approval.id) : [],
    audit: entries.toReversed().map(entryJson),
  }
}
