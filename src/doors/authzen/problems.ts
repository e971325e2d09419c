import type { ErrorRequestHandler } from 'express'
import { GatewayError, type ErrorCode } from '../../errors.ts'
import type { OtherAnswer } from '../edge/endpoints.ts'
import { errorHeaders } from '../edge/errors.ts'
import { always, INTEGER, STRING } from '../edge/schemas.ts'

// The Access Request and Approval Profile, section 14: its errors are problems (RFC 9457). What is wrong with any request (no
// key, a body that is no JSON, a record that cannot be written) is the gate's error as everywhere.

const URN = 'urn:openid:authzen:access-request:error:'

const TITLES = {
  not_requestable: 'Access is not requestable',
  invalid_denial_binding: 'The request is not bound to a denial',
  expired_denial: 'The denial has expired',
  duplicate_request: 'The Idempotency-Key was used for another request',
  unknown_task: 'There is no such task',
  task_expired: 'The task has expired',
  invalid_task_state: 'The task is not in a state for this',
} as const satisfies Partial<Record<ErrorCode, string>>

export type ProblemCode = keyof typeof TITLES
const isProblem = (code: string): code is ProblemCode => Object.hasOwn(TITLES, code)

/** JSON Schema of a problem. */
export const PROBLEM = always({ type: STRING, title: STRING, status: INTEGER, detail: STRING })

/** The problems of a status, as a call declares them. */
export const problems = (means: string): OtherAnswer => ({
  means,
  answer: PROBLEM,
  media: 'application/problem+json',
})

/** Ends a request that failed with one of the profile's problems. */
export function accessProblems(): ErrorRequestHandler {
  return (error: unknown, req, res, next) => {
    const isOurs = error instanceof GatewayError && isProblem(error.code)
    if (!isOurs || res.headersSent) return next(error)
    const { code, status, message } = error
    const problem = {
      type: URN + code,
      title: TITLES[code as ProblemCode],
      status,
      detail: message,
    }
    const text = JSON.stringify(problem)
    if (!req.complete) res.setHeader('Connection', 'close') // an unread body must not be parsed as a request
    errorHeaders(res, error)
    res.statusCode = status
    res.setHeader('Content-Type', 'application/problem+json')
    res.setHeader('Content-Length', Buffer.byteLength(text))
    res.end(text)
  }
}
