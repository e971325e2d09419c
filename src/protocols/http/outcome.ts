import type { Answered, CallResult } from './exchange.ts'
import type { JsonObject } from '../../model/json.ts'
import type { StoredResult } from '../../model/result.ts'
import type { Tool } from '../../model/tool.ts'
import type { ActionOutcome, CallOutcome } from '../../record/actions.ts'

/** Longer answers reach the agent whole; the record keeps their beginning. */
const STORED_BYTES_MAX = 256 * 1024
/** Of an answer that was streamed and is longer than that. */
const BEGINNING_CHARS = 1_000
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** What of a tool an answer is read with. */
type Called = Pick<Tool, 'effectClass' | 'http'>

/** What an upstream call means for the action's state. */
export function outcomeOf(call: CallResult, tool: Called): CallOutcome {
  if (call.type === 'answered') return answered(call, tool)
  if (call.type === 'not_sent') return notSent(call)
  // A read that got no answer had no effect worth settling: it simply failed.
  if (tool.effectClass === 'read') {
    if (call.isKilled) return ended('failed', 'kill_switch_engaged', 'stopped while it answered')
    return ended('failed', 'upstream_unreachable', `the upstream gave no answer: ${call.message}`)
  }
  const message = `the request was sent, its outcome is unknown: ${call.message}`
  return ended('indeterminate', 'outcome_unknown', message)
}

const FAILED_FROM = 400

function answered(call: Answered, tool: Called): CallOutcome {
  const { status } = call
  const refusal = isRefusedRedirect(status, tool) ? redirected(status) : unread(call)
  const freesIdempotencyKey = mayBeSentAgain(call, tool)
  const state =
    status < FAILED_FROM && refusal?.code !== 'upstream_redirected' ? 'succeeded' : 'failed'
  const seen = detailOf(call)
  const base = { upstreamStatus: status, ...(seen ? { detail: seen } : {}) }
  if (refusal) {
    const { code: errorCode, message: errorMessage } = refusal
    const outcome = { state, errorCode, errorMessage, result: '', freesIdempotencyKey } as const
    return { outcome, result: null, ...base }
  }
  const result = toResult(call, call.body, tool)
  const kept = JSON.stringify(stored(call, result, tool))
  const outcome = {
    state,
    errorCode: '',
    errorMessage: '',
    result: kept,
    freesIdempotencyKey,
  } as const
  return { outcome, result, ...base }
}

/** Statuses that say, with `Retry-After`, that nothing has happened yet. */
const BUSY: ReadonlySet<number> = new Set([429, 503])

function mayBeSentAgain({ status, headers }: Answered, { http }: Called): boolean {
  if (http.retryableStatus) return http.retryableStatus.includes(status)
  return BUSY.has(status) && headers['retry-after'] !== undefined
}

// 304 is an answer to `If-None-Match`, and leads nowhere.
function isRefusedRedirect(status: number, { effectClass, http }: Called): boolean {
  if (status < 300 || status >= FAILED_FROM || status === 304) return false
  const { redirects } = http.response
  return redirects === 'refuse' || (redirects === 'pass_on_read' && effectClass !== 'read')
}

interface Refusal {
  readonly code: string
  readonly message: string
}

const redirected = (status: number): Refusal => ({
  code: 'upstream_redirected',
  message: `the upstream answered ${status}, which is not followed`,
})

/** Why there is no answer to hand on, although there was one. */
function unread({ status, stopped, isStreamed }: Answered): Refusal | undefined {
  const said = `the upstream answered ${status}`
  if (stopped === 'too_large') {
    return { code: 'response_too_large', message: `${said} with more than may be handed on` }
  }
  if (stopped === 'unreadable') {
    return { code: 'response_unreadable', message: `${said} in a way that cannot be unpacked` }
  }
  return stopped === 'client_left' && isStreamed
    ? { code: '', message: `${said}, and its client left` }
    : undefined
}

/** What the record says of an answer that it does not hold. */
function detailOf({ whole, stopped }: Answered): JsonObject | undefined {
  if (!whole && !stopped) return undefined
  return {
    ...(whole ? { response_bytes: whole.bytes, response_sha256: whole.sha256 } : {}),
    ...(stopped ? { response_stopped: stopped } : {}),
  }
}

function stored(call: Answered, result: StoredResult, tool: Called): StoredResult {
  const { body, whole } = call
  if (body.length <= STORED_BYTES_MAX && !whole) return result
  if (!whole)
    return toResult({ ...call, truncated: true }, body.subarray(0, STORED_BYTES_MAX), tool)
  const beginning = body.subarray(0, STORED_BYTES_MAX)
  if (!call.isStreamed) return toResult(call, beginning, tool)
  const text = beginning
    .subarray(0, BEGINNING_CHARS * 4)
    .toString('utf8')
    .slice(0, BEGINNING_CHARS)
  const { text: _, base64: __, ...rest } = toResult(call, body.subarray(0, 0), tool)
  return { ...rest, text: text.toWellFormed().replaceAll('\0', '') }
}

function notSent(call: Extract<CallResult, { type: 'not_sent' }>): CallOutcome {
  if (call.code === 'no_credential') {
    return ended('failed', 'credential_unavailable', `nothing was sent: ${call.message}`, true)
  }
  return call.code === 'refused'
    ? ended('failed', 'kill_switch_engaged', 'stopped before it was sent', true)
    : ended('failed', 'upstream_unreachable', `nothing was sent: ${call.message}`, true)
}

function ended(
  state: ActionOutcome['state'],
  errorCode: string,
  errorMessage: string,
  freesIdempotencyKey = false,
): CallOutcome {
  const outcome = { state, errorCode, errorMessage, result: '', freesIdempotencyKey }
  return { outcome, result: null, upstreamStatus: null }
}

function toResult(call: Answered, body: Buffer, { http }: Called): StoredResult {
  const { status, headers, truncated, whole, kept } = call
  const rest = {
    status,
    headers,
    truncated,
    ...(whole ? { bytes: whole.bytes, sha256: whole.sha256 } : {}),
    ...(kept ? { kept: true as const } : {}),
    ...(http.returnHeaders.length > 0 ? { returns: http.returnHeaders } : {}),
  }
  try {
    return { ...rest, text: utf8.decode(body, { stream: false }) }
  } catch {
    return { ...rest, base64: body.toString('base64') }
  }
}
