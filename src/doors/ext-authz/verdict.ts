import type { IncomingMessage } from 'node:http'
import { type ErrorCode, GatewayError } from '../../errors.ts'
import { SentFiles } from '../../lib/spool.ts'
import { denial, wireCode } from '../../model/reason.ts'
import type { Answer } from '../../pipeline/submission.ts'
import { publicReason, refusalOf } from '../api/answers.ts'
import { header, stateOf } from '../edge/context.ts'
import type { HttpParts } from '../edge/parts.ts'
import { type Aimed, aimOf, toAsked, type AskedParts } from '../proxy/asked.ts'

// The one evaluation behind both wires of Envoy's external authorization: a request that somebody else holds is routed
// and judged like one at the proxy, and carried out by whoever asked.

export type ExtAuthzParts = AskedParts & Pick<HttpParts, 'pipeline' | 'policies'>

export const PREFIX = '/ext-authz/'
/** `false` where Envoy sends all of a body. */
const PARTIAL_BODY = 'x-envoy-auth-partial-body'

/** What Envoy is told. A refusal was decided; what could not be decided or recorded is thrown. */
export type Verdict =
  | { readonly allowed: true; readonly decisionId: string; readonly revision: string }
  | { readonly allowed: false; readonly error: GatewayError }

/** Judges a request at `/ext-authz/{upstream}/{path}`. @throws GatewayError where it is none, or cannot be judged */
export async function judged(req: IncomingMessage, parts: ExtAuthzParts): Promise<Verdict> {
  const aimed = aimOf(req, PREFIX)
  // Args travel in the path here, and the log knows nothing of masks.
  stateOf(req).shownPath = () =>
    parts.policies.current.record.args.length > 0 ? `${PREFIX}${aimed.upstream}/…` : undefined
  if ((header(req, PARTIAL_BODY) ?? 'false') !== 'false') throw cutShort()
  assertSaidOnce(req, aimed)
  const files = new SentFiles()
  try {
    const { submission } = toAsked(req, aimed, files, parts)
    return verdictOf(await parts.pipeline.evaluate({ ...submission, surface: 'ext_authz' }))
  } finally {
    files.discard()
  }
}

/** Of these an upstream may learn another method or path than the one that was judged; `/proxy` passes none of them on. */
const OTHER_REQUESTS = [
  ...['x-http-method', 'x-http-method-override', 'x-method-override'],
  ...['x-original-url', 'x-rewrite-url'],
]

// What is carried out is the request as it was sent, and not what was understood of it.
function assertSaidOnce({ headers }: IncomingMessage, { query }: Aimed): void {
  if (query.includes(';')) {
    const message = 'the query has `;`, which servers read in different ways'
    throw new GatewayError('invalid_request', message)
  }
  const other = OTHER_REQUESTS.find((name) => headers[name] !== undefined)
  if (other === undefined) return
  throw new GatewayError('invalid_request', `header \`${other}\` may say another method or path`)
}

/** A body of which not all is there. */
export const cutShort = (): GatewayError =>
  new GatewayError('policy_denied', 'a part of the body is no body to judge', {
    details: { reasons: [publicReason(denial('body_truncated', 'the body was cut short'))] },
  })

/** @throws Error for what answers no question */
export function verdictOf(answer: Answer): Verdict {
  if (answer.type === 'refused') return { allowed: false, error: refusalOf(answer) }
  if (answer.type !== 'dry_run') throw new Error(`a question was answered with ${answer.type}`)
  const { effect, decisionId, revision } = answer
  if (effect !== 'allow') return { allowed: false, error: refusal(answer) }
  return { allowed: true, decisionId, revision }
}

function refusal({
  effect,
  decisionId,
  reasons,
  revision,
}: Extract<Answer, { type: 'dry_run' }>): GatewayError {
  const [first] = reasons
  const details = { decision_id: decisionId, reasons: reasons.map(publicReason), revision }
  if (effect === 'require_approval') {
    return new GatewayError('approval_required', 'a person must approve this call first', {
      details,
    })
  }
  const code = first ? (wireCode(first) as ErrorCode) : 'policy_denied'
  return new GatewayError(code, first?.message ?? 'denied', { details })
}

/** The gate's keys are none of the upstream's business. */
export const keysIn = ({ headers }: IncomingMessage): readonly string[] =>
  ['x-api-key', 'authorization'].filter((name) => Object.hasOwn(headers, name))
