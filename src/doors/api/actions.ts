import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline as streamed } from 'node:stream/promises'
import type { Caller } from '../../agents/keys.ts'
import { agentAsked, shownTo } from '../../agents/known.ts'
import { approvalOfAction, votesOf, type Approval } from '../../approvals/tasks.ts'
import { GatewayError } from '../../errors.ts'
import type { JsonObject } from '../../model/json.ts'
import { voteView } from '../../operations/approval-view.ts'
import { explainAction } from '../../operations/explain.ts'
import { settleAction } from '../../operations/settle.ts'
import type { StoredResult } from '../../model/result.ts'
import { countActions, findAction, listActions, stored, type Action } from '../../record/actions.ts'
import { factsOfAction } from '../../record/decision-facts.ts'
import type { KeptResult } from '../../record/kept-results.ts'
import { readTimeline } from '../../record/audit.ts'
import { resultJson } from './answers.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { HttpParts, PartsOf } from '../edge/parts.ts'
import { neededReason, REASON, type ReasonBody } from './reason.ts'
import { AGENTS, ANYONE, OPERATORS } from '../edge/roles.ts'
import {
  ACTION_ANSWER,
  ACTION_STATES,
  always,
  EXPLANATION,
  INTEGER,
  list,
  MAYBE_STRING,
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
} from '../edge/validate.ts'
import { entryJson } from './audit.ts'

const STATES = [...ACTION_STATES]
const LIST = params<{
  status?: string
  state?: string
  tool?: string
  agent?: string
  effect?: string
  upstream?: string
  error_code?: string
  since?: string
  until?: string
  limit?: number
  cursor?: string
}>({
  status: { enum: STATES },
  state: { enum: STATES, description: 'the same as `status`', deprecated: true },
  tool: NAME,
  agent: NAME,
  effect: { enum: ['allow', 'deny', 'require_approval'] },
  upstream: NAME,
  error_code: NAME,
  since: { ...TIME, description: 'asked for at this time or later' },
  until: { ...TIME, description: 'asked for before this time' },
  ...PAGE,
})
const WAIT = params<{ wait_s?: number }>({ wait_s: { type: 'integer', minimum: 0, maximum: 60 } })
const OPEN = new Set(['held', 'executing'])
const ENTRIES_MAX = 100
const TOTAL_MAX = 1_000

const SETTLE = shape<ReasonBody & { outcome: 'succeeded' | 'failed' }>(
  object({ outcome: { enum: ['succeeded', 'failed'] }, ...REASON }, ['outcome']),
)

/** `GET /actions`, `GET /actions/{id}`, `/explain`, and settling what is indeterminate. */
export function actionEndpoints(
  parts: PartsOf<'db' | 'pipeline' | 'heldFiles' | 'lifecycle' | 'streams'>,
): Endpoints {
  const { db } = parts
  const endpoints = new Endpoints('actions', parts)

  endpoints.on(
    'get',
    '/actions',
    {
      summary: 'List actions, newest first; an agent sees its own',
      roles: ANYONE,
      query: LIST,
      errors: ['not_found'],
      answer: always({
        actions: list(ACTION_ANSWER),
        total: {
          ...INTEGER,
          description: `how many match, whatever the page; ${TOTAL_MAX} stands for that or more`,
        },
        next_cursor: MAYBE_STRING,
      }),
    },
    async ({ caller, query }) => {
      const { limit = PAGE_DEFAULT, cursor, since, until, error_code: errorCode } = query
      const { tool, effect, upstream } = query
      const filter = {
        ...{ tool, effect, upstream, errorCode },
        agentId: await agentAsked(db, caller, query.agent),
        state: statusIn(query),
        since: since === undefined ? undefined : new Date(since),
        until: until === undefined ? undefined : new Date(until),
        before: cursor,
        limit,
      }
      const actions = await listActions(db, filter)
      const total = await countActions(db, filter, TOTAL_MAX)
      return { actions: actions.map(actionJson), total, next_cursor: nextCursor(actions, limit) }
    },
  )

  endpoints.on(
    'get',
    '/actions/:id',
    {
      answer: ACTION_ANSWER,
      summary: 'Read an action; `wait_s` waits for one that is not final',
      roles: ANYONE,
      query: WAIT,
      errors: ['not_found'],
    },
    ({ id, caller, res, query: { wait_s: waitS = 0 } }) => {
      if (waitS > 0) parts.streams.watch(caller, res)
      return readAction(parts, caller, id, waitS)
    },
  )

  endpoints.on(
    'get',
    '/actions/:id/explain',
    {
      answer: EXPLANATION,
      summary: 'Why it was decided so, rule by rule',
      description: 'An agent gets the rule that decided; everybody else the whole trace.',
      roles: ANYONE,
      errors: ['not_found'],
    },
    async ({ id, caller }) =>
      explain(parts, await visible(db, caller, id), caller.role === 'agent'),
  )

  endpoints.stream(
    'get',
    '/actions/:id/result',
    {
      summary: 'The whole of an answer that was too large for `POST /act`, while it is kept',
      description:
        'For the agent whose action it is, from the replica that made the call, for `result_ttl_s`.',
      roles: AGENTS,
      answer: { description: 'what the upstream said' },
      media: 'application/octet-stream',
      errors: ['not_found'],
    },
    async ({ id, caller, res }) => sendKept(res, parts.heldFiles.results.find(id), caller),
  )

  endpoints.write(
    'post',
    '/actions/:id/settle',
    {
      answer: ACTION_ANSWER,
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

/** One action for whoever may see it; waits for one that is not final. @throws GatewayError `not_found` */
export async function readAction(
  { db, pipeline }: Pick<HttpParts, 'db' | 'pipeline'>,
  caller: Caller,
  id: string,
  waitS: number,
): Promise<JsonObject> {
  let action = await visible(db, caller, id)
  if (waitS > 0 && OPEN.has(action.state)) {
    await pipeline.answerOf(action.id, waitS * 1000)
    action = await visible(db, caller, action.id)
  }
  if (caller.agentId !== null) await pipeline.noteCollected(action)
  const approval = await approvalOfAction(db, action.id)
  return {
    ...actionJson(action),
    ...(approval ? { approval: await decidedJson(db, approval) } : {}),
  }
}

async function sendKept(
  res: ServerResponse,
  kept: KeptResult | undefined,
  { agentId }: Caller,
): Promise<void> {
  if (!kept || kept.agentId !== agentId) {
    throw new GatewayError('not_found', 'there is no such answer, or it is not kept any more')
  }
  const { result, bytes } = kept
  res.setHeader(
    'Content-Type',
    String(result.headers['content-type'] ?? 'application/octet-stream'),
  )
  res.setHeader('Content-Length', String(bytes.bytes))
  res.setHeader('X-Content-Type-Options', 'nosniff')
  await streamed(Readable.from(bytes.read()), res)
}

// `state` is what `status` was called before.
function statusIn({ status, state }: { status?: string; state?: string }): string | undefined {
  if (status === undefined || state === undefined || status === state) return status ?? state
  throw new GatewayError('invalid_request', '`status` and `state` are one: give `status`')
}

/** What became of the approval of an action, for the agent that waits for it: who decided, and why. */
async function decidedJson(db: Db, { id, status }: Approval): Promise<JsonObject> {
  const votes = await votesOf(db, id)
  const decided = status === 'denied' ? votes.filter(({ vote }) => vote === 'deny') : votes
  const last = status === 'pending' ? undefined : decided.at(-1)
  return { id, status, decided_by: last?.approver ?? null, reason: last?.comment || null }
}

const visible = async (db: Db, caller: Caller, id: string): Promise<Action> =>
  shownTo(caller, await findAction(db, id), 'action', id)

export function actionJson(action: Action): JsonObject {
  const result = stored(action.result) as unknown as StoredResult | null
  return {
    id: action.id,
    decision_id: action.decisionId,
    agent: action.agentId,
    agent_name: action.agentName || null,
    request: JSON.parse(action.request) as JsonObject,
    effect: action.effect,
    status: action.state,
    state: action.state,
    revision: action.revision,
    ...(action.errorCode === ''
      ? {}
      : { error: { code: action.errorCode, message: action.errorMessage } }),
    ...(result ? { result: resultJson(result) } : {}),
    created_at: action.createdAt.toISOString(),
    started_at: action.startedAt?.toISOString() ?? null,
    finished_at: action.finishedAt?.toISOString() ?? null,
  }
}

/** The rule that decided, which is what an agent gets: the whole trace would teach it where the gaps are. */
export function explainedToAgent(action: Action): JsonObject {
  const { reasons = [] } = JSON.parse(action.explain) as { reasons?: JsonObject[] }
  const own = reasons.map(({ code, message, source }) => ({ code, message, source }))
  return { ...identified(action), reasons: own as JsonObject[] }
}

const identified = (action: Action) => ({
  action_id: action.id,
  decision_id: action.decisionId,
  tool: action.tool,
  effect: action.effect,
  status: action.state,
  state: action.state,
  revision: action.revision,
})

async function explain(
  { db, policies, lifecycle }: Pick<HttpParts, 'db' | 'policies' | 'lifecycle'>,
  action: Action,
  forAgent: boolean,
) {
  if (forAgent) return explainedToAgent(action)
  const { reasons, shadow, obligations } = JSON.parse(action.explain) as Record<
    string,
    JsonObject[]
  >
  const approval = await approvalOfAction(db, action.id)
  const entries = await readTimeline(db, {
    agentId: null,
    tool: null,
    effect: null,
    kind: null,
    actionId: action.id,
    since: null,
    until: null,
    before: null,
    limit: ENTRIES_MAX,
  })
  return {
    ...identified(action),
    reasons,
    shadow,
    obligations,
    live: action.revision === policies.current.revision,
    trace: await explainAction(
      action,
      () => factsOfAction(db, action.id),
      (revision) => lifecycle.history.bundleOf(revision),
    ),
    approvals: approval ? (await votesOf(db, approval.id)).map(voteView) : [],
    audit: entries.toReversed().map(entryJson),
  }
}
