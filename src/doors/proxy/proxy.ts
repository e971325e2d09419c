import { Router, type Request, type Response } from 'express'
import type { SentHeaders } from '../../bundle/headers.ts'
import type { KeyRing } from '../../agents/keys.ts'
import { methodsFor } from '../../bundle/route.ts'
import { GatewayError } from '../../errors.ts'
import { SentFiles } from '../../lib/spool.ts'
import type { HttpCall } from '../../pipeline/submission.ts'
import { UNSAID } from '../../model/request.ts'
import type { StoredResult } from '../../model/result.ts'
import type { Answer, Submission } from '../../pipeline/submission.ts'
import { refusalOf, sendHeld } from '../api/answers.ts'
import type { Endpoint } from '../edge/endpoints.ts'
import { callerOf, header, stateOf } from '../edge/context.ts'
import { allow, middleware } from '../edge/edge.ts'
import { sendError } from '../edge/errors.ts'
import type { HttpParts } from '../edge/parts.ts'
import { idempotencyKey, sealOf } from '../edge/once.ts'
import { AGENTS } from '../edge/roles.ts'
import { HELD_ANSWER } from '../edge/schemas.ts'
import { ACT_ERRORS, WAIT_S_MAX } from '../api/act.ts'
import { readProxied } from './body.ts'

// Agents that know nothing of the gate but a base URL and a key. The request target is taken as it was sent,
// since whatever normalises it may make another path of it than the one that policy judges; which tool it
// stands for, the bundle says that judges. Towards the agent the upstream's answer is passed on but for
// headers that would lead it, or a browser, past the gate.

type ProxyParts = Pick<HttpParts, 'pipeline' | 'policies' | 'heldFiles' | 'config' | 'keyRing'>

const PREFIX = '/proxy/'
const UPSTREAM = /^[A-Za-z0-9._-]{1,64}$/
/**
 * What an upstream may not say through the gate: whom browsers trust, where else it can be reached,
 * and cookies, which belong to the session of the gate's own credential.
 */
const WITHHELD =
  /^(?:portcullis-.*|access-control-.*|set-cookie2?|alt-svc|strict-transport-security)$/

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
  router.use('/proxy', middleware(allow('agent')), async (req, res) => {
    if (req.method === 'OPTIONS') {
      sendMethods(req, res, parts)
      return
    }
    const files = new SentFiles()
    try {
      await answerProxied(req, res, toSubmission(req, files, parts), parts)
    } finally {
      files.discard()
    }
  })
  return router
}

// Asking what may be called has no effect, so it is answered here and never forwarded.
function sendMethods(req: Request, res: Response, { policies }: ProxyParts): void {
  const { upstream, path } = split(req.originalUrl)
  const methods = methodsFor(policies.current.routes, upstream, path)
  res.setHeader('Allow', [...methods, 'OPTIONS'].join(', '))
  res.status(204).end()
}

async function answerProxied(
  req: Request,
  res: Response,
  submission: Submission & { readonly call: HttpCall },
  { pipeline, policies }: ProxyParts,
): Promise<void> {
  const { upstream } = submission.call
  // Args travel in the path here, and the log knows nothing of masks.
  stateOf(req).shownPath = () =>
    policies.current.record.args.length > 0 ? `${PREFIX}${upstream}/…` : undefined
  const collected = header(req, 'portcullis-action')
  const answer = collected
    ? await pipeline.collect(submission, collected)
    : await pipeline.act(submission)
  // What nobody read of a body must not be taken for a request.
  if (!req.complete) res.setHeader('Connection', 'close')
  sendProxied(res, answer, upstream)
}

// The target as it was sent: nothing that normalises may touch it before the route match.
function split(url: string): { upstream: string; path: string; query: string } {
  const at = url.indexOf('?')
  const path = at < 0 ? url : url.slice(0, at)
  const rest = path.startsWith(PREFIX) ? path.slice(PREFIX.length) : ''
  const slash = rest.indexOf('/')
  const upstream = slash < 0 ? rest : rest.slice(0, slash)
  if (!UPSTREAM.test(upstream)) throw new GatewayError('not_found', 'use /proxy/{upstream}/{path}')
  return {
    upstream,
    path: slash < 0 ? '/' : rest.slice(slash),
    query: at < 0 ? '' : url.slice(at + 1),
  }
}

function toSubmission(
  req: Request,
  files: SentFiles,
  { heldFiles: { spool }, config, keyRing }: ProxyParts,
): Submission & { readonly call: HttpCall } {
  const at = split(req.originalUrl)
  const { uploadBytesMax } = config
  return {
    caller: callerOf(req),
    requestId: stateOf(req).requestId,
    files,
    call: {
      ...at,
      method: req.method,
      headers: sentHeaders(req),
      body: async (tool) => {
        const startedAt = performance.now()
        const body = await readProxied(req, tool, { spool, files, uploadBytesMax })
        if (performance.now() - startedAt > KEY_CACHE_MS) await assertStillKnown(req, keyRing)
        return body
      },
    },
    ...UNSAID,
    idempotencyKey: idempotencyKey(req),
    seal: sealOf(req),
    waitMs: waitMs(req),
  }
}

/** As long as a key that was looked up is believed in. */
const KEY_CACHE_MS = 1_000

// A body may take minutes to come in, and a key that was revoked meanwhile acts no more.
async function assertStillKnown(req: Request, keyRing: KeyRing): Promise<void> {
  const { presentedKey, caller } = stateOf(req)
  const again = presentedKey === undefined ? null : await keyRing.authenticate(presentedKey)
  if (again?.keyId === caller?.keyId) return
  throw new GatewayError('unauthenticated', 'the key is unknown or revoked')
}

/** As they came: Node drops some of what is there twice, and joins the rest. */
function sentHeaders({ rawHeaders }: Request): SentHeaders {
  const sent = new Map<string, string[]>()
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] ?? '').toLowerCase()
    sent.set(name, [...(sent.get(name) ?? []), rawHeaders[at + 1] ?? ''])
  }
  return sent
}

/** RFC 7240: `Prefer: wait=10` waits that many seconds for a held action. */
function waitMs(req: Request): number {
  const seconds = /(?:^|[,;\s])wait=(\d{1,3})/.exec(header(req, 'prefer') ?? '')?.[1]
  return Math.min(Number(seconds ?? 0), WAIT_S_MAX) * 1000
}

function sendProxied(res: Response, answer: Answer, upstream: string): void {
  if (answer.type === 'held') {
    res.setHeader('Portcullis-Action', answer.actionId)
    sendHeld(res, answer)
  } else if (answer.type === 'refused') {
    res.setHeader('Portcullis-Action', answer.actionId)
    sendError(res, refusalOf(answer))
  } else if (answer.type === 'executed') {
    res.setHeader('Portcullis-Action', answer.actionId)
    res.setHeader('Portcullis-Decision', answer.decisionId)
    sendResult(res, answer.result, upstream)
  }
}

function sendResult(res: Response, result: StoredResult, upstream: string): void {
  res.status(result.status)
  for (const [name, value] of Object.entries(result.headers)) {
    if (WITHHELD.test(name)) continue
    const kept = name === 'location' ? localLocation(value, upstream) : value
    if (kept !== undefined) res.setHeader(name, kept)
  }
  if (result.truncated) res.setHeader('Portcullis-Truncated', 'true')
  if (result.masked) res.setHeader('Portcullis-Masked', 'true')
  res.end(result.base64 === undefined ? (result.text ?? '') : Buffer.from(result.base64, 'base64'))
}

// A redirect must not lead the agent past the gate.
function localLocation(value: string | readonly string[], upstream: string): string | undefined {
  const location = String(value)
  const isLocal = /^\/(?![/\\])/.test(location)
  return isLocal ? `${PREFIX}${upstream}${location}` : undefined
}
