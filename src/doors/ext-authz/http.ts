import type { IncomingMessage, ServerResponse } from 'node:http'
import { Router } from 'express'
import { GatewayError } from '../../errors.ts'
import { SentFiles } from '../../lib/spool.ts'
import { denial } from '../../model/reason.ts'
import type { Answer } from '../../pipeline/submission.ts'
import { publicReason, refusalOf } from '../api/answers.ts'
import { header, stateOf } from '../edge/context.ts'
import { allow, middleware } from '../edge/edge.ts'
import type { Endpoint } from '../edge/endpoints.ts'
import { sendError } from '../edge/errors.ts'
import type { HttpParts } from '../edge/parts.ts'
import { AGENTS } from '../edge/roles.ts'
import { aimOf, toAsked, type AskedParts } from '../proxy/asked.ts'

// Envoy's external authorization over HTTP (`ext_authz` with an `http_service` and a `path_prefix`): Envoy sends the request
// that it holds, without its effect, and carries it out where the answer is 200. It is routed and judged like one at the
// proxy, and an error is a refusal.

type ExtAuthzParts = AskedParts & Pick<HttpParts, 'pipeline' | 'policies'>

const PREFIX = '/ext-authz/'

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
  answer: { description: 'empty' },
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
  const aimed = aimOf(req, PREFIX)
  // Args travel in the path here, and the log knows nothing of masks.
  stateOf(req).shownPath = () =>
    parts.policies.current.record.args.length > 0 ? `${PREFIX}${aimed.upstream}/…` : undefined
  if (header(req, 'x-envoy-auth-partial-body')?.toLowerCase() === 'true') {
    throw new GatewayError('policy_denied', 'a part of the body is no body to judge', {
      details: { reasons: [publicReason(denial('body_truncated', 'the body was cut short'))] },
    })
  }
  const files = new SentFiles()
  try {
    const { submission } = toAsked(req, aimed, files, parts)
    const answer = await parts.pipeline.evaluate({ ...submission, surface: 'ext_authz' })
    if (!req.complete) res.setHeader('Connection', 'close')
    sendVerdict(res, answer)
  } finally {
    files.discard()
  }
}

function sendVerdict(res: ServerResponse, answer: Answer): void {
  if (answer.type === 'refused') return sendError(res, refusalOf(answer))
  if (answer.type !== 'dry_run') throw new Error(`a question was answered with ${answer.type}`)
  const { effect, decisionId, revision } = answer
  if (effect !== 'allow') return sendError(res, refusal(answer))
  res.setHeader('Portcullis-Decision', decisionId)
  res.setHeader('Portcullis-Revision', revision)
  res.statusCode = 200
  res.end()
}

function refusal({
  effect,
  decisionId,
  reasons,
  revision,
}: Extract<Answer, { type: 'dry_run' }>): GatewayError {
  const [first] = reasons
  const details = { decision_id: decisionId, reasons: reasons.map(publicReason), revision }
  return effect === 'require_approval'
    ? new GatewayError('approval_required', 'a person must approve this call first', { details })
    : new GatewayError(first?.wire ?? 'policy_denied', first?.message ?? 'denied', { details })
}
