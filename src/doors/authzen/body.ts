import type { IncomingMessage } from 'node:http'
import { GatewayError } from '../../errors.ts'
import type { JsonObject } from '../../model/json.ts'
import type { Asker } from '../../inquiries/evaluations.ts'
import { readJson } from '../edge/body.ts'
import { bodyObject, callerOf, stateOf } from '../edge/context.ts'

/** What a question may be answered with instead of a decision. */
export const AUTHZEN_ERRORS = [
  ...(['invalid_request', 'audit_unavailable', 'overloaded', 'kill_state_unknown'] as const),
  ...(['no_policy', 'clock_skew', 'shutting_down'] as const),
] as const

/** The body. Another media type is a malformed request here (AuthZEN 1.0, section 10.1.1). @throws GatewayError */
export async function authzenBody(req: IncomingMessage): Promise<JsonObject> {
  try {
    await readJson(req)
  } catch (error) {
    const isOther = error instanceof GatewayError && error.code === 'unsupported_media_type'
    if (!isOther) throw error
    throw new GatewayError('invalid_request', error.message)
  }
  if (stateOf(req).body === undefined) {
    throw new GatewayError('invalid_request', 'the body must be a JSON object')
  }
  return bodyObject(req)
}

/** The same where a body may be left out. @throws GatewayError */
export async function bodyIfAny(req: IncomingMessage): Promise<JsonObject> {
  const { 'content-length': length, 'transfer-encoding': coding } = req.headers
  const isEmpty = coding === undefined && (length === undefined || length === '0')
  return isEmpty ? {} : authzenBody(req)
}

export const askerOf = (req: IncomingMessage): Asker => ({
  caller: callerOf(req),
  requestId: stateOf(req).requestId,
  surface: 'authzen',
})
