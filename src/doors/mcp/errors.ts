import type { ErrorRequestHandler } from 'express'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type ErrorCode, GatewayError } from '../../errors.ts'
import { jsonText } from '../../lib/raw-json.ts'
import type { Logger } from '../../lib/log.ts'
import type { JsonObject } from '../../model/json.ts'
import { errorMessage, INVALID_REQUEST, McpError, type MessageId } from '../../mcp/wire.ts'
import { PeerError } from '../../protocols/mcp/connection.ts'
import { stateOf } from '../edge/context.ts'
import { errorBody, toGatewayError } from '../edge/errors.ts'
import { sendJsonText } from '../edge/send.ts'

/** An error of the gate in JSON-RPC: the code is that of HTTP, and `data` says the gate's own. */
export function toMcpError(error: unknown, id: MessageId | null): McpError {
  if (error instanceof McpError) return error
  const known = toGatewayError(error)
  const { error: data } = errorBody(known)
  const { code, status } = known
  const number = status === 400 ? INVALID_REQUEST : status
  return new McpError(number, `${code}: ${known.message}`, {
    status,
    id,
    data: JSON.parse(jsonText(data)) as JsonObject,
  })
}

/** The same as an answer of its own: under an HTTP error clients lose what stands in the body. */
export function toldError(error: GatewayError, id: MessageId | null = null): McpError {
  const { code, message, data } = toMcpError(error, id)
  return new McpError(code, message, { id, ...(data ? { data } : {}) })
}

/** @throws GatewayError `upstream_unreachable` for a server that cannot be listed */
export function unlisted(error: unknown): never {
  if (!(error instanceof PeerError)) throw error
  throw new GatewayError('upstream_unreachable', `its list cannot be had: ${error.message}`)
}

/** Ends a request of MCP that failed before it was read as a message. */
export function mcpErrors(log: Logger): ErrorRequestHandler {
  return (error: unknown, req, res, _next) => {
    if (res.headersSent) res.destroy()
    else sendMcpError(req, res, error, null, log)
  }
}

/** Sends an error as the whole answer. */
export function sendMcpError(
  req: IncomingMessage,
  res: ServerResponse,
  error: unknown,
  id: MessageId | null,
  log: Logger,
): void {
  const told = toMcpError(error, id)
  if (!(error instanceof McpError)) headersOf(toGatewayError(error), req, res)
  if (told.status >= 500) {
    log.error({ err: error, request_id: stateOf(req).requestId }, 'an MCP request failed')
  }
  if (!req.complete) res.setHeader('Connection', 'close') // an unread body must not be parsed as a request
  res.setHeader('Cache-Control', 'no-store')
  sendJsonText(res, told.status, JSON.stringify(errorMessage(told)))
}

const CHALLENGED: ReadonlySet<ErrorCode> = new Set(['unauthenticated', 'insufficient_scope'])

function headersOf(error: GatewayError, req: IncomingMessage, res: ServerResponse): void {
  if (error.retryAfterS !== undefined) res.setHeader('Retry-After', String(error.retryAfterS))
  const { challenge = 'Bearer' } = stateOf(req)
  if (CHALLENGED.has(error.code)) res.setHeader('WWW-Authenticate', challenge)
  if (error.code === 'method_not_allowed' && !res.hasHeader('Allow')) res.setHeader('Allow', 'POST')
}
