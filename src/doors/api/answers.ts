import type { ServerResponse } from 'node:http'
import { GatewayError } from '../../errors.ts'
import { jsonText, shownJson } from '../../lib/raw-json.ts'
import type { Reason } from '../../model/decision.ts'
import type { Json } from '../../model/json.ts'
import type { StoredResult } from '../../model/result.ts'
import type { Answer } from '../../pipeline/submission.ts'
import { sendError } from '../edge/errors.ts'
import { sendJsonText } from '../edge/send.ts'

/** Seconds after which asking for a held action again makes sense. */
const HELD_RETRY_AFTER_S = 5

/** Sends a value whose parts may be JSON of an upstream, which is handed on as it came. */
export function sendJson(res: ServerResponse, status: number, value: unknown): void {
  sendJsonText(res, status, jsonText(value))
}

/** Says of an answer that it was given before, so that a client which counts its calls does not count this one. */
export function markReplayed(res: ServerResponse, answer: Answer): void {
  if ('replayed' in answer) res.setHeader('Idempotent-Replayed', 'true')
}

/** Puts an answer of the pipeline into the words of `POST /act`. */
export function sendAnswer(res: ServerResponse, answer: Answer): void {
  markReplayed(res, answer)
  switch (answer.type) {
    case 'executed':
      if (answer.result.kept) res.setHeader('Location', `/actions/${answer.actionId}/result`)
      sendJson(res, 200, {
        action_id: answer.actionId,
        decision_id: answer.decisionId,
        decision: 'allow',
        status: answer.state,
        result: resultJson(answer.result),
        revision: answer.revision,
        ...(answer.joined ? { joined: true } : {}),
      })
      return
    case 'held':
      sendHeld(res, answer)
      return
    case 'dry_run':
      sendJson(res, 200, {
        dry_run: true,
        decision_id: answer.decisionId,
        decision: answer.effect,
        reasons: answer.reasons.map(publicReason),
        shadow: answer.shadow.map(publicReason),
        trace: answer.trace,
        revision: answer.revision,
      })
      return
    case 'refused':
      sendError(res, refusalOf(answer))
  }
}

export function sendHeld(res: ServerResponse, answer: Extract<Answer, { type: 'held' }>): void {
  res.setHeader('Location', `/actions/${answer.actionId}`)
  res.setHeader('Retry-After', String(HELD_RETRY_AFTER_S))
  sendJson(res, 202, {
    action_id: answer.actionId,
    decision_id: answer.decisionId,
    decision: 'require_approval',
    approval: {
      id: answer.approval.id,
      status: answer.approval.status,
      expires_at: answer.approval.expiresAt.toISOString(),
    },
    reasons: answer.reasons.map(publicReason),
    revision: answer.revision,
    ...(answer.joined ? { joined: true } : {}),
    next_action: `wait for a person: GET /actions/${answer.actionId}?wait_s=60 answers when it ended; the same request again joins this one`,
  })
}

/** A refusal as the error it is on the wire. */
export function refusalOf(answer: Extract<Answer, { type: 'refused' }>): GatewayError {
  return new GatewayError(answer.code, answer.message, {
    details: {
      action_id: answer.actionId,
      decision_id: answer.decisionId,
      reasons: answer.reasons.map(publicReason),
      revision: answer.revision,
      ...(answer.joined ? { joined: true } : {}),
      ...(answer.retryAtMs === undefined ? {} : opening(answer.retryAtMs)),
    },
    ...(answer.retryAtMs === undefined ? {} : { retryable: true }),
    ...retryAfter(answer),
  })
}

const opening = (atMs: number) => ({
  retry_at: new Date(atMs).toISOString(),
  next_action: 'wait until retry_at, then repeat it',
})

function retryAfter({ retryAtMs, retryAfterS }: { retryAtMs?: number; retryAfterS?: number }) {
  const seconds =
    retryAtMs === undefined ? retryAfterS : Math.max(1, Math.ceil((retryAtMs - Date.now()) / 1000))
  return seconds === undefined ? {} : { retryAfterS: seconds }
}

/** What an agent may know of a reason: not where in the policy it stands. */
export function publicReason({ code, message, source }: Reason) {
  return { code, message, source }
}

export function resultJson(result: StoredResult) {
  const { status, truncated, masked, bytes, sha256 } = result
  return {
    status,
    ...shownHeaders(result),
    body: bodyOf(result),
    ...(truncated ? { truncated } : {}),
    ...(bytes === undefined ? {} : { bytes }),
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(masked ? { masked } : {}),
  }
}

const RETURNED = /^(?:retry-after|location|etag|link|x-ratelimit-.+)$/

/** What matters to a caller beside the answer itself. */
function shownHeaders({ headers, returns = [] }: StoredResult) {
  const entries = Object.entries(headers).filter(
    ([name]) => RETURNED.test(name) || returns.includes(name),
  )
  return entries.length === 0 ? {} : { headers: Object.fromEntries(entries) }
}

function bodyOf({ base64, text = '', truncated, headers }: StoredResult): Json {
  const type = String(headers['content-type'] ?? '')
  if (base64 !== undefined) return { base64, ...(type === '' ? {} : { content_type: type }) }
  const isJson = /^application\/(?:[\w.+-]+\+)?json\b/i.test(type)
  if (!isJson || truncated) return text === '' ? null : text
  return shownJson(text)
}
