import type { Caller } from '../../agents/keys.ts'
import { agentAsked, shownTo } from '../../agents/known.ts'
import { approvalOfAction, votesOf, type ApprovalRow } from '../../approvals/tasks.ts'
import { GatewayError } from '../../errors.ts'
import type { JsonObject } from '../../model/json.ts'
import { voteView } from '../../operations/approval-view.ts'
import { explainAction } from '../../operations/explain.ts'
import { settleAction } from '../../operations/settle.ts'
import type { StoredResult } from '../../model/result.ts'
import { findAction, listActions, stored, type ActionRow } from '../../record/actions.ts'
import { readTimeline } from '../../record/audit.ts'
import { resultJson } from './answers.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { HttpParts } from '../edge/parts.ts'
import { neededReason, REASON, type ReasonBody } from './reason.ts'
import { ANYONE, OPERATORS } from '../edge/roles.ts'
import { ACTION_ANSWER, ACTION_STATES, EXPLANATION, page } from '../edge/schemas.ts'
import { NAME, object, PAGE, nextCursor, PAGE_DEFAULT, params, shape } from '../edge/validate.ts'
import { entryJson } from './audit.ts'

const STATES = [...ACTION_STATES]
const LIST = params<{
  status?: string
  state?: string
  tool?: string
  agent?: string
  limit?: number
  cursor?: string
}>({
  status: { enum: STATES },
  state: { enum: STATES, description: 'the same as `status`', deprecated: true },
  tool: NAME,
  agent: NAME,
  ...PAGE,
})
const WAIT = params<{ wait_s?: number }>({ wait_s: { type: 'integer', minimum: 0, maximum: 60 } })
const OPEN = new Set(['held', 'executing'])
const ENTRIES_MAX = 100

const SETTLE = shape<ReasonBody & { outcome: 'succeeded' | 'failed' }>(
  object({ outcome: { enum: ['succeeded', 'failed'] }, ...REASON }, ['outcome']),
)

/** `GET /actions`, `GET /actions/{id}`, `/explain`, and settling what is indeterminate. */
export function actionEndpoints(parts: HttpParts): Endpoints {
  const { db, pipeline } = parts
  const tag = 'actions'
  const endpoints = new Endpoints(parts)

  endpoints.on(
    {
      method: 'get',
      path: '/actions',
      tag,
      summary: 'List actions, newest first; an agent sees its own',
      roles: ANYONE,
      query: LIST,
      errors: ['not_found'],
      answer: page('actions', ACTION_ANSWER),
    },
    async ({ caller, query: { limit = PAGE_DEFAULT, cursor, tool, agent, ...is } }) => {
      const rows = await listActions(db, {
        agentId: await agentAsked(db, caller, agent),
        tool,
        state: statusIn(is),
        before: cursor,
        limit,
      })
      return { actions: rows.map(actionJson), next_cursor: nextCursor(rows, limit) }
    },
  )

  endpoints.on(
    {
      method: 'get',
      path: '/actions/:id',
      answer: ACTION_ANSWER,
      tag,
      summary: 'Read an action; `wait_s` waits for one that is not final',
      roles: ANYONE,
      query: WAIT,
      errors: ['not_found'],
    },
    async ({ id, caller, query: { wait_s: waitS = 0 } }) => {
      let row = await visible(db, caller, id)
      if (waitS > 0 && OPEN.has(row.state)) {
        await pipeline.answerOf(row.id, waitS * 1000)
        row = await visible(db, caller, row.id)
      }
      if (caller.agentId !== null) await pipeline.noteCollected(row)
      const approval = await approvalOfAction(db, row.id)
      return {
        ...actionJson(row),
        ...(approval ? { approval: await decidedJson(db, approval) } : {}),
      }
    },
  )

  endpoints.on(
    {
      method: 'get',
      path: '/actions/:id/explain',
      answer: EXPLANATION,
      tag,
      summary: 'Why it was decided so, rule by rule',
      description: 'An agent gets the rule that decided; everybody else the whole trace.',
      roles: ANYONE,
      errors: ['not_found'],
    },
    async ({ id, caller }) =>
      explain(parts, await visible(db, caller, id), caller.role === 'agent'),
  )

  endpoints.write(
    {
      method: 'post',
      path: '/actions/:id/settle',
      answer: ACTION_ANSWER,
      tag,
      summary: 'Say what became of an action whose outcome is unknown',
      roles: OPERATORS,
      body: SETTLE,
      errors: ['not_found', 'conflict'],
    },
    ({ id, body: { outcome, ...why }, caller }) =>
      async (tx) =>
        actionJson(await settleAction(tx, id, outcome, neededReason(why), caller)),
  )

  return endpoints
}

type Db = HttpParts['db']

// `state` is what `status` was called before.
function statusIn({ status, state }: { status?: string; state?: string }): string | undefined {
  if (status === undefined || state === undefined || status === state) return status ?? state
  throw new GatewayError('invalid_request', '`status` and `state` are one: give `status`')
}

/** What became of the approval of an action, for the agent that waits for it: who decided, and why. */
async function decidedJson(db: Db, { id, status }: ApprovalRow): Promise<JsonObject> {
  const votes = await votesOf(db, id)
  const decided = status === 'denied' ? votes.filter(({ vote }) => vote === 'deny') : votes
  const last = status === 'pending' ? undefined : decided.at(-1)
  return { id, status, decided_by: last?.approver ?? null, reason: last?.comment || null }
}

const visible = async (db: Db, caller: Caller, id: string): Promise<ActionRow> =>
  shownTo(caller, await findAction(db, id), 'action', id)

export function actionJson(row: ActionRow): JsonObject {
  const result = stored(row.result) as unknown as StoredResult | null
  return {
    id: row.id,
    decision_id: row.decision_id,
    agent: row.agent_id,
    agent_name: row.agent_name || null,
    request: JSON.parse(row.request) as JsonObject,
    effect: row.effect,
    status: row.state,
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
    status: row.state,
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
    approvals: approval ? (await votesOf(db, approval.id)).map(voteView) : [],
    audit: entries.toReversed().map(entryJson),
  }
}
