import { Router, type Request, type RequestHandler } from 'express'
import { GatewayError } from '../../errors.ts'
import { microsFromJson } from '../../lib/money.ts'
import type { JsonObject } from '../../model/json.ts'
import type { Resource } from '../../model/request.ts'
import type { Submission } from '../../pipeline/submission.ts'
import { sendAnswer } from '../answers.ts'
import { bodyObject, callerOf, header, stateOf } from '../context.ts'
import { allow, strictBody } from '../edge.ts'
import type { HttpParts } from '../parts.ts'
import { NAME, object, shape, TEXT } from '../validate.ts'

export const WAIT_S_MAX = 60
const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,255}$/

interface ActBody {
  readonly tool: string
  readonly args?: JsonObject
  readonly resource?: Resource
  readonly context?: JsonObject
  readonly reason?: string
  readonly cost?: string | number
  readonly dry_run?: boolean
  readonly wait_s?: number
}

const checkAct = shape<ActBody>(
  object(
    {
      tool: NAME,
      args: { type: 'object' },
      resource: object({ type: NAME, id: NAME }, ['type', 'id']),
      context: { type: 'object' },
      reason: TEXT,
      cost: { type: ['string', 'number'] },
      dry_run: { type: 'boolean' },
      wait_s: { type: 'number', minimum: 0, maximum: WAIT_S_MAX },
    },
    ['tool'],
  ),
)

/** `POST /act` and its alias `POST /action`. */
export function actRoutes({ pipeline }: HttpParts): Router {
  const act: RequestHandler = async (req, res) => {
    sendAnswer(res, await pipeline.act(toSubmission(req, checkAct(bodyObject(req)))))
  }
  const router = Router({ caseSensitive: true })
  router.post(['/act', '/action'], allow('agent'), strictBody, act)
  return router
}

function toSubmission(req: Request, body: ActBody): Submission {
  return {
    caller: callerOf(req),
    requestId: stateOf(req).requestId,
    tool: body.tool,
    args: body.args ?? {},
    resource: body.resource ?? null,
    context: body.context ?? {},
    reason: body.reason ?? null,
    costMicros: body.cost === undefined ? null : parseCost(body.cost),
    idempotencyKey: idempotencyKey(req),
    dryRun: body.dry_run ?? false,
    waitMs: (body.wait_s ?? 0) * 1000,
  }
}

/** @throws GatewayError `invalid_request` when the header is there and unusable */
export function idempotencyKey(req: Request): string | null {
  const key = header(req, 'idempotency-key')
  if (key === undefined) return null
  if (IDEMPOTENCY_KEY.test(key)) return key
  throw new GatewayError(
    'invalid_request',
    'Idempotency-Key must be 1 to 255 visible ASCII characters',
  )
}

function parseCost(cost: string | number): bigint {
  const micros = microsFromJson(cost)
  if (micros !== undefined) return micros
  throw new GatewayError(
    'invalid_request',
    '`cost` must be a non-negative amount with at most six decimals, such as "0.05"',
  )
}
