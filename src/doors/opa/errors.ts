import type { ErrorRequestHandler, Request } from 'express'
import type { ErrorCode, GatewayError } from '../../errors.ts'
import type { Logger } from '../../lib/log.ts'
import { jsonText } from '../../lib/raw-json.ts'
import type { JsonObject } from '../../model/json.ts'
import type { OtherAnswer } from '../edge/endpoints.ts'
import { errorBody, errorHeaders, toGatewayError } from '../edge/errors.ts'
import { stateOf } from '../edge/context.ts'
import { ERROR_MEMBER } from '../edge/openapi.ts'
import { always, STRING } from '../edge/schemas.ts'
import { sendJsonText } from '../edge/send.ts'

// Errors as OPA's clients read them, `code` and `message` on top; the gate's own stands beside, whole.

/** OPA's words for what the gate calls otherwise; others keep the gate's. */
const CODES: Partial<Record<ErrorCode, string>> = {
  invalid_request: 'invalid_parameter',
  unsupported_media_type: 'invalid_parameter',
  payload_too_large: 'invalid_parameter',
  unauthenticated: 'unauthorized',
  forbidden: 'unauthorized',
  not_found: 'resource_not_found',
  method_not_allowed: 'method_not_allowed',
}

const OPA_ERROR = always({ code: STRING, message: STRING, error: ERROR_MEMBER })

/** Every error that a call of this door may answer. */
export const FAILURES: Readonly<Record<number, OtherAnswer>> = Object.fromEntries(
  Object.entries({
    400: 'no input, or one that is not JSON',
    401: 'no key, or a wrong one',
    403: 'a key that may not do this',
    404: 'there is no such document or policy',
    413: 'more than 1 MiB',
    415: 'not JSON',
    429: 'too much at once',
    500: 'the evaluation failed: who enforces refuses',
    501: 'not built',
    503: 'nothing can be decided at the moment: who enforces refuses',
  }).map(([status, means]) => [status, { means, answer: OPA_ERROR }]),
)

export function opaError(error: GatewayError): JsonObject {
  const own = JSON.parse(jsonText(errorBody(error))) as { readonly error: JsonObject }
  return { code: CODES[error.code] ?? error.code, message: error.message, ...own }
}

/** Whether a request is one of this door: `POST /` is, whose path has nothing else to say so. */
export const isOpaRequest = ({ method, path }: Pick<Request, 'method' | 'path'>): boolean =>
  /^\/(?:v[01]|bundles|logs)(?:\/|$)/.test(path) || (method === 'POST' && path === '/')

/** Ends a request of this door that failed. */
export function opaErrors(log: Logger): ErrorRequestHandler {
  return (error: unknown, req, res, next) => {
    if (!isOpaRequest({ method: req.method, path: pathOf(req) })) return next(error)
    if (res.headersSent) return res.destroy()
    const known = toGatewayError(error)
    const requestId = stateOf(req).requestId
    if (known.status >= 500) log.error({ err: error, request_id: requestId }, known.code)
    if (!req.complete) res.setHeader('Connection', 'close') // an unread body must not be parsed as a request
    errorHeaders(res, known)
    sendJsonText(res, known.status, JSON.stringify(opaError(known)))
  }
}

const pathOf = (req: Request): string => req.originalUrl.split('?', 1)[0] ?? ''
