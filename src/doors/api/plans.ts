import type { Request } from 'express'
import type { Caller } from '../../agents/keys.ts'
import { agentAsked, shownTo } from '../../agents/known.ts'
import { GatewayError, type ErrorCode } from '../../errors.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import { changesOfGoal } from '../../plans/plan-model.ts'
import { planJson, type PlanChange, type PlanVerdict } from '../../plans/plans.ts'
import { findPlan, listPlans } from '../../record/plans.ts'
import { refusalOf } from './answers.ts'
import { Endpoints, Reply } from '../edge/endpoints.ts'
import { idempotencyKey, onceOf } from '../edge/once.ts'
import type { PartsOf } from '../edge/parts.ts'
import { ACTORS, ANYONE } from '../edge/roles.ts'
import { always, AT, list, MAYBE_STRING, page, REASONS, STRING } from '../edge/schemas.ts'
import {
  NAME,
  object,
  PAGE,
  nextCursor,
  OPEN,
  PAGE_DEFAULT,
  params,
  shape,
  TEXT,
} from '../edge/validate.ts'

const CHANGES_MAX = 200
/** Longer than any path that may be used: what is wrong with a path the policy says. */
const PATH = { type: 'string', minLength: 1, maxLength: 2_000 } as const
const CONTENT = { type: ['string', 'null'], description: 'null or absent: there is no such file' }

const PLAN = shape<{ goal?: string; changes?: PlanChange[] }>(
  object({
    goal: TEXT,
    changes: {
      type: 'array',
      minItems: 1,
      maxItems: CHANGES_MAX,
      items: object(
        {
          path: PATH,
          before: CONTENT,
          after: CONTENT,
          patch: { type: 'string', description: 'a unified diff of this file alone' },
        },
        ['path'],
      ),
    },
  }),
)

const PLAN_MEMBERS: JsonObject = {
  id: STRING,
  status: { enum: ['accepted', 'refused'] },
  agent: MAYBE_STRING,
  actor: STRING,
  goal: MAYBE_STRING,
  paths: list(STRING),
  diff_sha256: STRING,
  reasons: REASONS,
  revision: STRING,
  created_at: AT,
}
const ARTIFACT = {
  anyOf: [OPEN, { type: 'null' }],
  description: 'what PLANS_DIR/<id>.json holds',
} as const
const PLAN_ANSWER = always({ ...PLAN_MEMBERS, artifact: ARTIFACT })
const PROPOSED = always({
  ...PLAN_MEMBERS,
  artifact: ARTIFACT,
  file: { ...MAYBE_STRING, description: 'its name in PLANS_DIR' },
})

const LIST = params<{ status?: string; agent?: string; limit?: number; cursor?: string }>({
  status: { enum: ['accepted', 'refused'] },
  agent: NAME,
  ...PAGE,
})

const PLAN_ERRORS: readonly ErrorCode[] = [
  'policy_denied',
  'agent_paused',
  'budget_exceeded',
  'upstream_unreachable',
  'outcome_unknown',
  'risky_content',
  'idempotency_mismatch',
  'rate_limited',
  'kill_switch_engaged',
  'kill_state_unknown',
  'llm_unconfigured',
  'audit_unavailable',
]

/** `POST /plan`, `GET /plans`, `GET /plans/{id}`: changes that are proposed, never made. */
export function planEndpoints(parts: PartsOf<'db' | 'plans' | 'config' | 'pipeline'>): Endpoints {
  const { db, plans } = parts
  const endpoints = new Endpoints('plans', parts)

  endpoints.on(
    'post',
    '/plan',
    {
      summary: 'Propose changes of files; an accepted plan becomes an artifact',
      description:
        'Judged by the path rules, the size limit and the risk patterns of the live policy. The files ' +
        'themselves are never touched: the artifact holds a diff that `git apply` takes.',
      roles: ACTORS,
      body: PLAN,
      status: 201,
      answer: PROPOSED,
      errors: PLAN_ERRORS,
    },
    async ({ body, caller, requestId, req }) => {
      const { goal = null } = body
      const changes = body.changes ?? (await ofGoal(goal, caller, requestId, req))
      const work = await plans.propose({ caller, requestId, goal, changes })
      const once = onceOf(req, parts)
      const { plan, refusal } = (await parts.operations.once(once, async (tx) => {
        return (await work(tx)) as unknown as JsonObject
      })) as unknown as PlanVerdict
      const id = plan['id'] as string
      if (refusal) throw refused(plan, refusal)
      const file = await plans.publish(id)
      const artifact = artifactOf(await findPlan(db, id))
      return new Reply(201, { ...plan, artifact, file }, { Location: `/plans/${id}` })
    },
  )

  endpoints.on(
    'get',
    '/plans',
    {
      summary: 'List plans, newest first; an agent sees its own',
      roles: ANYONE,
      query: LIST,
      errors: ['not_found'],
      answer: page('plans', always(PLAN_MEMBERS)),
    },
    async ({ caller, query: { limit = PAGE_DEFAULT, cursor = null, status = null, agent } }) => {
      const agentId = (await agentAsked(db, caller, agent)) ?? null
      const rows = await listPlans(db, { agentId, status, before: cursor, limit })
      return { plans: rows.map(planJson), next_cursor: nextCursor(rows, limit) }
    },
  )

  endpoints.on(
    'get',
    '/plans/:id',
    {
      summary: 'Read a plan with its artifact',
      roles: ANYONE,
      answer: PLAN_ANSWER,
      errors: ['not_found'],
    },
    async ({ id, caller }) => {
      const row = shownTo(caller, await findPlan(db, id), 'plan', id)
      return { ...planJson(row), artifact: artifactOf(row) }
    },
  )

  /** Changes that the model makes of a goal. @throws GatewayError */
  async function ofGoal(
    goal: string | null,
    caller: Caller,
    requestId: string,
    req: Request,
  ): Promise<readonly PlanChange[]> {
    if (goal === null)
      throw new GatewayError('invalid_request', 'a plan needs `changes` or a `goal`')
    if (parts.config.model === null) {
      const message = 'no model is configured that could make changes of a goal; give `changes`'
      throw new GatewayError('llm_unconfigured', message)
    }
    const idempotency = idempotencyKey(req)
    const asking = { caller, requestId, goal, idempotencyKey: idempotency }
    const answer = await changesOfGoal(parts.pipeline, parts.policies.current.plans, asking)
    if ('json' in answer) return proposed(answer.json)
    const { refused: end } = answer
    if (end.type === 'refused') throw refusalOf(end)
    throw new Error(`a model call ended as ${end.type}`)
  }

  return endpoints
}

// What is wrong with it is the model's doing, and nothing the caller could mend.
function proposed(changes: Json): readonly PlanChange[] {
  try {
    return PLAN({ changes }).changes ?? []
  } catch (error) {
    const message = 'the model proposed no changes that can be read'
    throw new GatewayError('upstream_unreachable', message, { cause: error })
  }
}

function artifactOf(row: { readonly artifact: string } | undefined): JsonObject | null {
  return row && row.artifact !== '' ? (JSON.parse(row.artifact) as JsonObject) : null
}

function refused(
  plan: JsonObject,
  { code, message }: NonNullable<PlanVerdict['refusal']>,
): GatewayError {
  return new GatewayError(code, message, {
    details: { plan_id: plan['id'], reasons: plan['reasons'], revision: plan['revision'] },
  })
}
