import { knownAgentId } from '../../agents/known.ts'
import { GatewayError } from '../../errors.ts'
import type { Effect } from '../../model/decision.ts'
import type { JsonObject } from '../../model/json.ts'
import type { ReplayAsked } from '../../rehearsal/replays.ts'
import {
  findReplay,
  listReplays,
  type PolicyReplay,
  REPLAY_STATUSES,
} from '../../record/policy-replays.ts'
import { givenFiles, type SentFile } from '../../lifecycle/sent-files.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { OPERATORS, READERS } from '../edge/roles.ts'
import {
  always,
  AT,
  BOOLEAN,
  COUNTS,
  INTEGER,
  list,
  MAYBE_AT,
  MAYBE_STRING,
  page,
  STRING,
} from '../edge/schemas.ts'
import {
  NAME,
  nextCursor,
  object,
  OPEN,
  PAGE,
  PAGE_DEFAULT,
  params,
  shape,
  TIME,
} from '../edge/validate.ts'
import { POLICY_BYTES_MAX, SENT_FILES } from './policy-publish.ts'

interface ReplayBody {
  readonly files?: Record<string, SentFile>
  readonly revision?: string
  readonly from?: string
  readonly to?: string
  readonly agent?: string
  readonly tool?: string
  readonly effect?: Effect
  readonly sample?: number
}

const DAY_MS = 86_400_000
const EFFECT = { enum: ['allow', 'deny', 'require_approval'] } as const
const REPLAY = shape<ReplayBody>(
  object({
    files: { ...SENT_FILES, description: `a draft, whole. ${SENT_FILES.description}` },
    revision: {
      type: 'string',
      pattern: '^[0-9a-f]{8,64}$',
      description: 'a revision that is kept; default, without `files`: the live one',
    },
    from: { ...TIME, description: 'default: a day before `to`' },
    to: { ...TIME, description: 'default: now' },
    agent: { ...NAME, description: "an agent's decisions alone, by name or id" },
    tool: NAME,
    effect: { ...EFFECT, description: 'those that came out so' },
    sample: { type: 'integer', minimum: 1, description: 'about as many, evenly taken' },
  }),
)
const LIST = params<{ limit?: number; cursor?: string }>({ ...PAGE })

const SIDE = always({ reasons: list(OPEN), trace: list(OPEN) })
const RULE = always({
  from: EFFECT,
  to: EFFECT,
  made_by: {
    enum: ['policy', 'counter'],
    description: '`counter`: only because other decisions of the replay came out otherwise',
  },
  policy: {
    enum: ['candidate', 'recorded'],
    description: 'whose rule it is; of what is let through, that of then',
  },
  source: STRING,
  code: STRING,
  message: STRING,
  file: MAYBE_STRING,
  line: { type: ['integer', 'null'] },
  count: INTEGER,
  examples: list(
    always({
      action_id: STRING,
      agent: STRING,
      tool: STRING,
      at: AT,
      revision: STRING,
      recorded: SIDE,
      candidate: SIDE,
    }),
  ),
})
const CHANGED = list(always({ name: STRING, changed: INTEGER }))
const REPORT = always({
  revision: { ...STRING, description: 'of the policy that was asked' },
  decisions: INTEGER,
  same: INTEGER,
  new_allow: INTEGER,
  new_deny: INTEGER,
  new_hold: INTEGER,
  errors: { ...INTEGER, description: 'decisions in which a guard or a module failed' },
  by_policy: INTEGER,
  by_counter: INTEGER,
  unplayable: { ...COUNTS, description: 'what could not be decided again, by why' },
  rules: { ...list(RULE), description: 'the rules that made a difference, most changes first' },
  rules_omitted: INTEGER,
  agents: CHANGED,
  tools: CHANGED,
  begun_at_zero: {
    ...list(STRING),
    description: 'guards whose counters the record does not know',
  },
  sampled: BOOLEAN,
  truncated: { ...BOOLEAN, description: 'more was asked for than one replay decides again' },
})
const MEMBERS = {
  id: STRING,
  status: { enum: [...REPLAY_STATUSES] },
  revision: { ...MAYBE_STRING, description: 'null: of a draft' },
  from: AT,
  to: AT,
  agent: MAYBE_STRING,
  tool: MAYBE_STRING,
  effect: { anyOf: [EFFECT, { type: 'null' }] },
  sample: { type: ['integer', 'null'] },
  requested_by: STRING,
  done: INTEGER,
  total: INTEGER,
  error: MAYBE_STRING,
  created_at: AT,
  started_at: MAYBE_AT,
  finished_at: MAYBE_AT,
}
const ONE = always({ ...MEMBERS, report: { anyOf: [REPORT, { type: 'null' }] } })

/** `POST /policy/replays`, `GET /policy/replays`, `GET /policy/replays/{id}`: what a policy would have decided. */
export function policyReplayEndpoints(parts: PartsOf<'db' | 'lifecycle' | 'replays'>): Endpoints {
  const { db, lifecycle, replays, policies } = parts
  const endpoints = new Endpoints('policy', parts)

  endpoints.write(
    'post',
    '/policy/replays',
    {
      answer: always(MEMBERS),
      summary: 'Decide what is on record again by another policy, with what was known then',
      description:
        'A job: `GET /policy/replays/{id}` says how far it is, and in the end what came out otherwise and by which ' +
        'rule. Nothing is sent, charged or counted. Approvals, the kill switch and pauses are as they were.',
      roles: OPERATORS,
      body: REPLAY,
      bodyBytesMax: POLICY_BYTES_MAX,
      status: 202,
      errors: ['not_found', 'conflict', 'payload_too_large', 'rate_limited', 'audit_unavailable'],
    },
    async ({ body, caller }) => {
      const asked = { ...(await candidate(body)), ...rangeOf(body), ...(await filterOf(body)) }
      const queued = replays.queue(asked, caller.name)
      return async (tx) => replayJson(await queued(tx))
    },
  )

  async function candidate({ files, revision }: ReplayBody) {
    if (files && revision !== undefined) {
      throw new GatewayError('invalid_request', 'give `files`, or name a `revision`')
    }
    if (files) return { files: await replays.keep(await givenFiles(files, lifecycle.history)) }
    const kept = await lifecycle.history.read(revision ?? policies.current.revision)
    if (kept.files) return { revision: kept.made.revision }
    throw new GatewayError('conflict', 'the files of that revision are not kept')
  }

  async function filterOf({ agent, tool, effect, sample }: ReplayBody) {
    return {
      agent_id: agent === undefined ? null : await knownAgentId(db, agent),
      tool: tool ?? null,
      effect: effect ?? null,
      sample: sample ?? null,
    }
  }

  endpoints.on(
    'get',
    '/policy/replays',
    {
      answer: page('replays', always(MEMBERS)),
      summary: 'Replays, newest first; their reports are read one by one',
      roles: READERS,
      query: LIST,
    },
    async ({ query: { limit = PAGE_DEFAULT, cursor = null } }) => {
      const rows = await listReplays(db, { before: cursor, limit })
      return { replays: rows.map(replayJson), next_cursor: nextCursor(rows, limit) }
    },
  )

  endpoints.on(
    'get',
    '/policy/replays/:id',
    {
      answer: ONE,
      summary: 'How far a replay is, and what came of it',
      roles: READERS,
      errors: ['not_found'],
    },
    async ({ id }) => {
      const one = await findReplay(db, id)
      if (!one) throw new GatewayError('not_found', 'there is no such replay')
      const report = one.report === '' ? null : (JSON.parse(one.report) as JsonObject)
      return { ...replayJson(one), report }
    },
  )

  return endpoints
}

function rangeOf({ from, to }: ReplayBody) {
  const until = to === undefined ? new Date() : new Date(to)
  const since = from === undefined ? new Date(until.getTime() - DAY_MS) : new Date(from)
  if (since < until) return { from: since.toISOString(), to: until.toISOString() }
  throw new GatewayError('invalid_request', '`from` is not before `to`')
}

function replayJson(one: Omit<PolicyReplay, 'report'>): JsonObject {
  const asked = JSON.parse(one.asked) as ReplayAsked
  return {
    id: one.id,
    status: one.status,
    revision: asked.revision ?? null,
    from: asked.from,
    to: asked.to,
    agent: asked.agent_id,
    tool: asked.tool,
    effect: asked.effect,
    sample: asked.sample,
    requested_by: one.requestedBy,
    done: Number(one.done),
    total: Number(one.total),
    error: one.error || null,
    created_at: one.createdAt.toISOString(),
    started_at: one.startedAt?.toISOString() ?? null,
    finished_at: one.finishedAt?.toISOString() ?? null,
  }
}
