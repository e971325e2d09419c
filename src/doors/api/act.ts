import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ErrorCode } from '../../errors.ts'
import { SentFiles } from '../../lib/spool.ts'
import type { AskedAction } from '../../model/request.ts'
import type { Submission } from '../../pipeline/submission.ts'
import { sendAnswer } from './answers.ts'
import { money } from './agent-json.ts'
import { saidContext } from './said-context.ts'
import { Endpoints } from '../edge/endpoints.ts'
import { strictBody } from '../edge/body.ts'
import { bodyObject, callerOf, stateOf } from '../edge/context.ts'
import { allow } from '../edge/edge.ts'
import type { DirectCall } from '../edge/front.ts'
import { idempotencyKey, sealOf } from '../edge/once.ts'
import type { PartsOf } from '../edge/parts.ts'
import { AGENTS } from '../edge/roles.ts'
import { ACT_ANSWER, HELD_ANSWER } from '../edge/schemas.ts'
import { MONEY, NAME, object, shape, TEXT, OPEN, withNulls } from '../edge/validate.ts'

export const WAIT_S_MAX = 60

interface ActBody extends AskedAction {
  readonly dry_run?: boolean
  readonly wait_s?: number
}

const ACT = withNulls(
  shape<ActBody>(
    object(
      {
        tool: NAME,
        args: OPEN,
        resource: object({ type: NAME, id: NAME }, ['type', 'id']),
        context: OPEN,
        reason: TEXT,
        cost: MONEY,
        dry_run: { type: 'boolean' },
        wait_s: { type: 'number', minimum: 0, maximum: WAIT_S_MAX },
      },
      ['tool'],
    ),
  ),
)

/** `POST /act` and its alias `POST /action`. */
export function actEndpoints(parts: PartsOf<'pipeline' | 'streams'>): Endpoints {
  const endpoints = new Endpoints('actions', parts)
  for (const path of ['/act', '/action']) {
    endpoints.stream(
      'post',
      path,
      {
        summary: 'Take one action through the gate',
        description:
          'Decided, recorded, carried out at most once and recorded again before the answer. With an ' +
          '`Idempotency-Key` the same request gets the same answer; a dry run keeps nothing under it and says ' +
          'what would become of the action now.',
        roles: AGENTS,
        body: ACT,
        answer: ACT_ANSWER,
        also: {
          202: {
            means: 'a person must approve it first: `GET` the `Location` later',
            answer: HELD_ANSWER,
          },
        },
        errors: ACT_ERRORS,
      },
      ({ req, res, body }) => act(parts, req, res, body),
    )
  }
  return endpoints
}

/** The same without the framework. */
export function directAct(parts: PartsOf<'pipeline' | 'streams'>): DirectCall {
  return {
    takes: (method, target) => method === 'POST' && (target === '/act' || target === '/action'),
    steps: [allow(...AGENTS), strictBody, (req, res) => act(parts, req, res, ACT(bodyObject(req)))],
  }
}

async function act(
  { pipeline, streams }: PartsOf<'pipeline' | 'streams'>,
  req: IncomingMessage,
  res: ServerResponse,
  body: ActBody,
): Promise<void> {
  const files = new SentFiles()
  const submission = { ...toSubmission(req, body), files, fetchesLater: true }
  if (submission.waitMs > 0) streams.watch(submission.caller, res)
  try {
    const answer = body.dry_run ? pipeline.evaluate(submission) : pipeline.act(submission)
    sendAnswer(res, await answer)
  } finally {
    files.discard()
  }
}

/** What taking an action may answer beyond what every call may. */
export const ACT_ERRORS: readonly ErrorCode[] = [
  'per_action_limit_exceeded',
  'policy_denied',
  'agent_paused',
  'budget_exceeded',
  'in_flight',
  'risky_content',
  'idempotency_mismatch',
  'rate_limited',
  'overloaded',
  'upstream_unreachable',
  'credential_unavailable',
  'upstream_redirected',
  'response_too_large',
  'response_unreadable',
  'outcome_unrecorded',
  'kill_switch_engaged',
  'kill_state_unknown',
  'audit_unavailable',
  'clock_skew',
  'shutting_down',
  'llm_unconfigured',
  'no_policy',
  'outcome_unknown',
]

function toSubmission(req: IncomingMessage, body: ActBody): Submission {
  return {
    caller: callerOf(req),
    requestId: stateOf(req).requestId,
    call: { tool: body.tool, args: body.args ?? {} },
    resource: body.resource ?? null,
    context: saidContext(body.context),
    reason: body.reason ?? null,
    costMicros: body.cost === undefined ? null : money('cost', body.cost),
    idempotencyKey: idempotencyKey(req),
    seal: sealOf(req),
    waitMs: (body.wait_s ?? 0) * 1000,
  }
}
