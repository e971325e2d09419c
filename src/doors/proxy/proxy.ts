import { Readable } from 'node:stream'
import { pipeline as streamed } from 'node:stream/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Router } from 'express'
import { methodsFor } from '../../bundle/route.ts'
import { GatewayError } from '../../errors.ts'
import { SentFiles } from '../../lib/spool.ts'
import type { StoredResult } from '../../model/result.ts'
import type { Tool } from '../../model/tool.ts'
import type { KeptResult } from '../../record/kept-results.ts'
import type { ActionSink } from '../../protocols/http/exchange.ts'
import type { Answer } from '../../pipeline/submission.ts'
import { markReplayed, publicReason, refusalOf, sendHeld } from '../api/answers.ts'
import type { Endpoint } from '../edge/endpoints.ts'
import { header, stateOf } from '../edge/context.ts'
import { allow, middleware } from '../edge/edge.ts'
import type { DirectCall } from '../edge/front.ts'
import { sendError } from '../edge/errors.ts'
import type { HttpParts } from '../edge/parts.ts'
import { idempotencyKey, sealOf } from '../edge/once.ts'
import { AGENTS } from '../edge/roles.ts'
import { HELD_ANSWER } from '../edge/schemas.ts'
import { ACT_ERRORS, WAIT_S_MAX } from '../api/act.ts'
import { aimOf, toAsked, type Asked } from './asked.ts'
import { ResponseSink, sendHead } from './sink.ts'

// Agents that know nothing of the gate but a base URL and a key. The request target is taken as it was sent,
// since whatever normalises it may make another path of it than the one that policy judges; which tool it
// stands for, the bundle says that judges. Towards the agent the upstream's answer is passed on but for
// headers that would lead it, or a browser, past the gate.

type ProxyParts = Pick<
  HttpParts,
  'pipeline' | 'policies' | 'heldFiles' | 'config' | 'keyRing' | 'streams'
>

const PREFIX = '/proxy/'
/** What the documentation says of the proxy, which takes any method and answers like the upstream. */
export const PROXY_ENDPOINTS: readonly Endpoint[] = (
  ['get', 'post', 'put', 'patch', 'delete'] as const
).map((method) => ({
  method,
  path: '/proxy/:upstream/*path',
  tag: 'actions',
  summary: 'An HTTP call of an agent, carried out through the gate',
  description: 'Method and path choose the tool; the answer is the upstream’s own.',
  roles: AGENTS,
  answer: { description: 'what the upstream said' },
  media: '*/*',
  also: {
    202: {
      means: 'held: send the same request with `Portcullis-Action` to collect its answer',
      answer: HELD_ANSWER,
    },
  },
  errors: [...ACT_ERRORS, 'no_such_tool', 'approval_required'],
}))

/**
 * `ANY /proxy/{upstream}/{path}`: an agent's own HTTP calls, unchanged but for base URL and key. Method
 * and path choose the tool; the answer is the upstream's own. A held action answers 202, and the
 * same request with `Portcullis-Action: <action_id>` collects its result.
 */
export function proxyRoutes(parts: ProxyParts): Router {
  const router = Router({ caseSensitive: true })
  router.use('/proxy', middleware(allow('agent')), (req, res) => proxied(req, res, parts))
  return router
}

/** The same without the framework. */
export function directProxy(parts: ProxyParts): DirectCall {
  return {
    takes: (_method, target) => target.startsWith(PREFIX),
    steps: [allow('agent'), (req, res) => proxied(req, res, parts)],
  }
}

async function proxied(
  req: IncomingMessage,
  res: ServerResponse,
  parts: ProxyParts,
): Promise<void> {
  if (req.method === 'OPTIONS') {
    sendMethods(req, res, parts)
    return
  }
  const files = new SentFiles()
  try {
    await answerProxied(req, res, proxyAsked(req, files, parts), parts)
  } finally {
    files.discard()
  }
}

// Asking what may be called has no effect, so it is answered here and never forwarded.
function sendMethods(req: IncomingMessage, res: ServerResponse, { policies }: ProxyParts): void {
  const { upstream, path } = aimOf(req, PREFIX)
  const methods = methodsFor(policies.current.routes, upstream, path)
  res.setHeader('Allow', [...methods, 'OPTIONS'].join(', '))
  res.statusCode = 204
  res.end()
}

async function answerProxied(
  req: IncomingMessage,
  res: ServerResponse,
  { submission, tool }: ProxyAsked,
  { pipeline, policies, heldFiles, streams }: ProxyParts,
): Promise<void> {
  const { upstream } = submission.call
  // Args travel in the path here, and the log knows nothing of masks.
  stateOf(req).shownPath = () =>
    policies.current.record.args.length > 0 ? `${PREFIX}${upstream}/…` : undefined
  const collected = header(req, 'portcullis-action')
  // Where the end of an answer is the end of its connection, half of one looks like all of it.
  const canStream = req.httpVersion !== '1.0' && req.method !== 'HEAD' && !collected
  const watch = () => streams.watch(submission.caller, res)
  const sink = canStream ? new ResponseSink(req, res, watch) : undefined
  if (waitMs(req) > 0) watch()
  if (sink) submission.sink = sink
  const answer = collected
    ? await pipeline.collect(submission, collected)
    : await pipeline.act(submission)
  if (sink?.isOpen) {
    if (answer.type === 'executed' && answer.isStreamed) sink.end()
    else res.destroy()
    return
  }
  markReplayed(res, answer)
  // What nobody read of a body must not be taken for a request.
  if (!req.complete) res.setHeader('Connection', 'close')
  if (answer.type === 'executed' && answer.result.truncated) {
    await sendLarge(res, answer, heldFiles.results.find(answer.actionId))
  } else sendProxied(res, answer, tool())
}

// It was answered before, or to nobody who could read it as it came. Its beginning is no answer.
async function sendLarge(
  res: ServerResponse,
  answer: Extract<Answer, { type: 'executed' }>,
  kept: KeptResult | undefined,
): Promise<void> {
  const { actionId, decisionId, result } = answer
  res.setHeader('Portcullis-Action', actionId)
  if (!kept) {
    const message = 'the answer is too large to be on record, and was not kept'
    throw new GatewayError('response_too_large', message, { details: { action_id: actionId } })
  }
  res.setHeader('Portcullis-Decision', decisionId)
  sendHead(res, result)
  res.setHeader('Content-Length', String(kept.bytes.bytes))
  await streamed(Readable.from(kept.bytes.read()), res)
}

type ProxyAsked = Asked & { readonly submission: { sink?: ActionSink } }

function proxyAsked(req: IncomingMessage, files: SentFiles, parts: ProxyParts): ProxyAsked {
  const { submission, tool } = toAsked(req, aimOf(req, PREFIX), files, parts)
  return {
    submission: {
      ...submission,
      idempotencyKey: idempotencyKey(req),
      seal: sealOf(req),
      // Of a client that takes 202 for a success the gate waits by itself.
      get waitMs() {
        return Math.max(waitMs(req), tool()?.http.waitMs ?? 0)
      },
    },
    tool,
  }
}

/** RFC 7240: `Prefer: wait=10` waits that many seconds for a held action. */
function waitMs(req: IncomingMessage): number {
  const seconds = /(?:^|[,;\s])wait=(\d{1,3})/.exec(header(req, 'prefer') ?? '')?.[1]
  return Math.min(Number(seconds ?? 0), WAIT_S_MAX) * 1000
}

function sendProxied(res: ServerResponse, answer: Answer, tool: Tool | undefined): void {
  if (answer.type === 'held') {
    res.setHeader('Portcullis-Action', answer.actionId)
    if ((tool?.http.onHold ?? 'accepted') === 'accepted') sendHeld(res, answer)
    else sendError(res, refusedHold(answer))
  } else if (answer.type === 'refused') {
    res.setHeader('Portcullis-Action', answer.actionId)
    sendError(res, refusalOf(answer))
  } else if (answer.type === 'executed') {
    res.setHeader('Portcullis-Action', answer.actionId)
    res.setHeader('Portcullis-Decision', answer.decisionId)
    sendResult(res, answer.result)
  }
}

/** What is held, for clients that read 202 as a success and an error as something to look at. */
function refusedHold(answer: Extract<Answer, { type: 'held' }>): GatewayError {
  const { approval } = answer
  return new GatewayError('approval_required', 'a person must approve this call first', {
    details: {
      ...{ action_id: answer.actionId, decision_id: answer.decisionId, revision: answer.revision },
      approval: {
        id: approval.id,
        status: approval.status,
        expires_at: approval.expiresAt.toISOString(),
      },
      reasons: answer.reasons.map(publicReason),
      next_action: 'ask a person; the same request again joins this one and gets its answer',
    },
  })
}

function sendResult(res: ServerResponse, result: StoredResult): void {
  sendHead(res, result)
  if (result.masked) res.setHeader('Portcullis-Masked', 'true')
  res.end(result.base64 === undefined ? (result.text ?? '') : Buffer.from(result.base64, 'base64'))
}
