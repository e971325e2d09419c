import type { IncomingMessage, ServerResponse } from 'node:http'
import { Router } from 'express'
import { hasBody } from '../../bundle/target.ts'
import { header } from '../edge/context.ts'
import { allow, middleware } from '../edge/edge.ts'
import type { Endpoint } from '../edge/endpoints.ts'
import { sendError } from '../edge/errors.ts'
import { AGENTS } from '../edge/roles.ts'
import { isDecided } from '../grpc/answering.ts'
import { cutShort, type ExtAuthzParts, judged, keysIn } from './verdict.ts'

// Envoy's external authorization over HTTP (`ext_authz` with an `http_service` and a `path_prefix`): Envoy sends the request
// that it holds, without its effect, and carries it out where the answer is 200. It is routed and judged like one at the
// proxy, and an error is a refusal.

const FORBIDDEN = 403

/** What the documentation says of it. */
export const EXT_AUTHZ_ENDPOINTS: readonly Endpoint[] = (
  ['get', 'post', 'put', 'patch', 'delete'] as const
).map((method) => ({
  method,
  path: '/ext-authz/:upstream/*path',
  tag: 'decisions',
  summary: 'Whether Envoy may pass an HTTP call of an agent on',
  description:
    'Method and path choose the tool; 200 with an empty body permits, anything else refuses.',
  roles: AGENTS,
  errors: [
    ...(['invalid_request', 'policy_denied', 'approval_required', 'agent_paused'] as const),
    ...(['no_such_tool', 'budget_exceeded', 'overloaded', 'risky_content'] as const),
    ...(['per_action_limit_exceeded', 'kill_switch_engaged', 'kill_state_unknown'] as const),
    ...(['audit_unavailable', 'no_policy', 'clock_skew', 'shutting_down', 'not_found'] as const),
  ],
}))

/** `ANY /ext-authz/{upstream}/{path}`. */
export function extAuthzRoutes(parts: ExtAuthzParts): Router {
  const router = Router({ caseSensitive: true })
  router.use('/ext-authz', middleware(allow('agent')), (req, res) => checked(req, res, parts))
  return router
}

async function checked(
  req: IncomingMessage,
  res: ServerResponse,
  parts: ExtAuthzParts,
): Promise<void> {
  assertSent(req)
  const verdict = await judged(req, parts)
  if (!req.complete) res.setHeader('Connection', 'close')
  if (!verdict.allowed) {
    const { error } = verdict
    // Envoy takes a 5xx for trouble of the gate, which `failure_mode_allow: true` would let through.
    const isDenial = error.status >= 500 && isDecided(error)
    return sendError(res, error, isDenial ? FORBIDDEN : error.status)
  }
  res.setHeader('Portcullis-Decision', verdict.decisionId)
  res.setHeader('Portcullis-Revision', verdict.revision)
  res.setHeader('x-envoy-auth-headers-to-remove', keysIn(req).join(','))
  res.statusCode = 200
  res.end()
}

// Without `with_request_body` Envoy says that the body is empty, whatever it is: only its type tells that there is one.
function assertSent(req: IncomingMessage): void {
  const isEmpty =
    req.headers['transfer-encoding'] === undefined && !Number(req.headers['content-length'] ?? 0)
  const hasType = hasBody(req.method ?? '') && header(req, 'content-type') !== undefined
  if (isEmpty && hasType) throw cutShort()
}
