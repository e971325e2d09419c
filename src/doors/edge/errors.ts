import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ErrorRequestHandler, RequestHandler, Router } from 'express'
import { GatewayError, type ErrorCode } from '../../errors.ts'
import type { Logger } from '../../lib/log.ts'
import { stateOf } from './context.ts'
import { methodsOn } from './methods.ts'
import { sendJsonText } from './send.ts'

/** What the caller should do next, where there is something better than giving up. */
const NEXT_ACTIONS: Partial<Record<ErrorCode, string>> = {
  unauthenticated: 'send a valid key as X-API-Key',
  policy_denied: 'do not repeat it unchanged; GET /actions/{action_id}/explain says why',
  agent_paused: 'stop; an operator has to resume this agent',
  budget_exceeded: 'stop; an operator has to raise the budget or resume this agent',
  rate_limited: 'wait for Retry-After seconds, then repeat it',
  overloaded: 'wait for Retry-After seconds, then repeat it',
  in_flight: 'repeat it later with the same Idempotency-Key to get its answer',
  kill_switch_engaged: 'stop; an operator has released nothing yet',
  outcome_unknown: 'do not repeat it: it may have happened; an operator will settle it',
  outcome_unrecorded: 'do not repeat it: it happened; GET /actions/{action_id} will tell',
  upstream_unreachable: 'repeat it later; nothing was sent or nothing changed',
  risky_content: 'remove what the reasons name',
}

/** Ends routing in the one error shape: 405 where the path takes other methods, else 404. */
export function noRoute(routers: readonly Router[]): RequestHandler {
  return (req, res) => {
    const asked = `${req.method} ${shortPath(req.originalUrl)}`
    const methods = methodsOn(req.path, routers)
    if (methods.length === 0) throw new GatewayError('not_found', `there is no ${asked}`)
    res.setHeader('Allow', methods.join(', '))
    throw new GatewayError('method_not_allowed', `there is no ${asked}; use ${methods.join(', ')}`)
  }
}

/** The last middleware. */
export function errorHandler(log: Logger): ErrorRequestHandler {
  const failed = failureHandler(log)
  return (error: unknown, req, res, _next) => failed(error, req, res)
}

/** Ends a request that failed; the only place that writes an error. */
export function failureHandler(
  log: Logger,
): (error: unknown, req: IncomingMessage, res: ServerResponse) => void {
  return (error, req, res) => {
    const known = toGatewayError(error)
    const requestId = requestIdOf(req)
    if (known.status >= 500) log.error({ err: error, request_id: requestId }, known.code)
    if (res.headersSent) {
      res.destroy()
      return
    }
    if (!req.complete) res.setHeader('Connection', 'close') // an unread body must not be parsed as a request
    sendError(res, known)
  }
}

export function sendError(res: ServerResponse, error: GatewayError, status = error.status): void {
  errorHeaders(res, error)
  sendJsonText(res, status, JSON.stringify(errorBody(error)))
}

/** What an error says in headers. */
export function errorHeaders(res: Pick<ServerResponse, 'setHeader'>, error: GatewayError): void {
  if (error.retryAfterS !== undefined) res.setHeader('Retry-After', String(error.retryAfterS))
  // Client libraries repeat what looks like trouble of a server by themselves, unless they are told.
  if (!error.retryable) res.setHeader('x-should-retry', 'false')
  if (error.code === 'unauthenticated') res.setHeader('WWW-Authenticate', 'Bearer')
}

/** The one shape of every error. */
export function errorBody(error: GatewayError) {
  const nextAction = error.details['next_action'] ?? NEXT_ACTIONS[error.code]
  return {
    error: {
      code: error.code,
      message: error.message,
      ...error.details,
      retryable: error.retryable,
      ...(nextAction ? { next_action: nextAction } : {}),
    },
  }
}

/** What an error is on the wire; one that nobody foresaw is `internal_error`. */
export function toGatewayError(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error
  if (error instanceof URIError) return new GatewayError('invalid_request', 'malformed path')
  if (isDatabaseError(error)) {
    return new GatewayError('store_unavailable', 'the database cannot be reached', {
      cause: error,
      retryAfterS: 1,
    })
  }
  return new GatewayError('internal_error', 'something went wrong inside the gate', {
    cause: error,
  })
}

const NETWORK_CODES = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ENOTFOUND', 'ETIMEDOUT'])
/** SQLSTATE classes: connection, resources, operator intervention, system, lock, read-only, XX. */
const SERVER_STATES = /^(?:08|53|57|58|55|25|XX)/

function isDatabaseError(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown }
  if (typeof code === 'string') return NETWORK_CODES.has(code) || SERVER_STATES.test(code)
  // The driver has no code for these three; its texts are pinned by a test.
  return /^(Connection terminated|timeout exceeded|Client was closed|the embedded database)/i.test(
    String(message),
  )
}

function requestIdOf(req: object): string | undefined {
  try {
    return stateOf(req).requestId
  } catch {
    return undefined // failed before it was given one
  }
}

function shortPath(url: string): string {
  return (url.split('?', 1)[0] ?? '').slice(0, 200)
}
