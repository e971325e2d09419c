import type { JsonObject } from '../../model/json.ts'
import type { StoredResult } from '../../model/result.ts'
import type { Tool } from '../../model/tool.ts'
import { isObject } from '../../mcp/wire.ts'
import { spansAt } from '../../lib/json-spans.ts'
import type { CallOutcome } from '../../record/actions.ts'
import { outcomeOf } from '../http/outcome.ts'
import type { Sent } from './sending.ts'

// What a response means for its action. The result is kept as the text it came as; of a large one the record has the
// beginning. An answer without a response is one that nobody can read: what it was for may have happened.

const STORED_CHARS_MAX = 256 * 1024
const JSON_HEADERS = { 'content-type': 'application/json' } as const
const BROKEN_FROM = 400

export function mcpOutcome({ response, exchange, isTooLarge }: Sent, tool: Tool): CallOutcome {
  if (exchange.type === 'not_sent') return outcomeOf(exchange, tool)
  if (response && isReadTwoWays(response.text)) {
    return failed('response_unreadable', 'the server answered what can be read in two ways', 200)
  }
  if (response) return ofResponse(response.text, response.message)
  if (exchange.type === 'unknown') return outcomeOf(exchange, tool)
  const { status } = exchange
  if (isTooLarge) return failed('response_too_large', TOO_LARGE, status)
  if (status >= BROKEN_FROM) {
    return failed('upstream_unreachable', `the server answered ${status}`, status)
  }
  const message = 'the server answered without a response'
  return { ...outcomeOf({ type: 'unknown', message }, tool), upstreamStatus: status }
}

const TOO_LARGE = 'the server answered more than may be handed on'

// The value is handed on as it came, so what was judged of it must be all that anybody can read there.
const JUDGED = [
  ['result'],
  ['error'],
  ['result', 'resultType'],
  ['result', 'isError'],
  ['result', '_meta'],
] as const

const isReadTwoWays = (text: string): boolean =>
  JUDGED.some((path) => spansAt(text, [path]).length > 1)

function ofResponse(text: string, { result, error }: JsonObject): CallOutcome {
  if (isObject(error)) return done('failed', raw(text, 'error'))
  if (!isObject(result)) return failed('response_unreadable', 'the server answered no result', 200)
  const { resultType = 'complete', isError } = result
  if (resultType !== 'complete') {
    return failed(
      'response_unreadable',
      'the server answered a result of a kind nobody asked for',
      200,
    )
  }
  return done(isError === true ? 'failed' : 'succeeded', raw(text, 'result'))
}

/** `{"result":…}` or `{"error":…}`, with the value as it came. */
function raw(text: string, member: 'result' | 'error'): string {
  const [span] = spansAt(text, [[member]])
  const value = span ? text.slice(span.from, span.to) : 'null'
  return `{"${member}":${value}}`
}

function done(state: 'succeeded' | 'failed', text: string): CallOutcome {
  const result: StoredResult = { status: 200, headers: JSON_HEADERS, text, truncated: false }
  const isLong = text.length > STORED_CHARS_MAX
  const cut = text.slice(0, STORED_CHARS_MAX).toWellFormed()
  const kept = isLong ? { ...result, text: cut, truncated: true } : result
  return {
    outcome: {
      state,
      errorCode: '',
      errorMessage: '',
      result: JSON.stringify(kept),
      freesIdempotencyKey: false,
    },
    result,
    upstreamStatus: 200,
  }
}

function failed(errorCode: string, errorMessage: string, upstreamStatus: number): CallOutcome {
  const outcome = { state: 'failed', errorCode, errorMessage, result: '' } as const
  return { outcome: { ...outcome, freesIdempotencyKey: false }, result: null, upstreamStatus }
}
