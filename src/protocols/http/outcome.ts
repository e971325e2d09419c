import type { CallResult } from './upstream-client.ts'
import type { EffectClass } from '../../model/tool.ts'
import type { ActionOutcome } from '../../record/actions.ts'
import type { CallOutcome } from '../../record/actions.ts'
import type { StoredResult } from '../../model/result.ts'

/** Longer answers reach the agent whole; the record keeps their beginning. */
const STORED_BYTES_MAX = 256 * 1024
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** What an upstream call means for the action's state. */
export function outcomeOf(call: CallResult, effectClass: EffectClass): CallOutcome {
  if (call.type === 'answered') return answered(call)
  if (call.type === 'not_sent') return notSent(call)
  // A read that got no answer had no effect worth settling: it simply failed.
  if (effectClass === 'read') {
    return ended('failed', 'upstream_unreachable', `the upstream gave no answer: ${call.message}`)
  }
  const message = `the request was sent, its outcome is unknown: ${call.message}`
  return ended('indeterminate', 'outcome_unknown', message)
}

function answered(call: Extract<CallResult, { type: 'answered' }>): CallOutcome {
  const result = toResult(call, call.body, call.truncated)
  const isLong = call.body.length > STORED_BYTES_MAX
  const kept = isLong ? toResult(call, call.body.subarray(0, STORED_BYTES_MAX), true) : result
  return {
    outcome: {
      state: call.status < 400 ? 'succeeded' : 'failed',
      errorCode: '',
      errorMessage: '',
      result: JSON.stringify(kept),
      freesIdempotencyKey: false,
    },
    result,
    upstreamStatus: call.status,
  }
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

function toResult(
  call: Extract<CallResult, { type: 'answered' }>,
  body: Buffer,
  truncated: boolean,
): StoredResult {
  const { status, headers } = call
  try {
    return { status, headers, text: utf8.decode(body, { stream: false }), truncated }
  } catch {
    return { status, headers, base64: body.toString('base64'), truncated }
  }
}
