import { sha256 } from '../../lib/canonical.ts'
import { microsToText } from '../../lib/money.ts'
import type { JsonObject } from '../../model/json.ts'
import type { Completion, ModelResult, ProposedCall, TokenUsage } from './call.ts'
import { MODEL_TOOL_DECLARATION, tokenCost } from './tool.ts'
import type { Bundle } from '../../bundle/types.ts'
import type { Reading } from '../transport.ts'
import type { CallOutcome } from '../../record/actions.ts'
import { outcomeOf } from '../http/outcome.ts'
import type { StoredResult } from '../../model/result.ts'

// Reads what a model said by what the gate needs and nothing else: text, proposed calls, usage. Usage is
// only what the server says; where it says nothing or what cannot be, the whole charge is spent, so that an
// unclear answer never makes calls cheaper. Text is screened like any other that goes to an agent; risky
// text fails the action and stays hidden, though it was paid for.

const CALLS_MAX = 100
const TOKENS_MAX = 100_000_000
const HTTP_OK = 200
/** More than any charge: what is not known to be less is spent in full. */
const EVERYTHING = 9_000_000_000_000_000n

/** What a call of the model means for its action: judged like an upstream's, and its text screened. */
export function modelOutcome({ call, answer }: ModelResult, reading: Reading): CallOutcome {
  if (call.type !== 'answered') return outcomeOf(call, MODEL_TOOL_DECLARATION)
  const status = call.status
  if (status !== HTTP_OK) {
    return failed('upstream_unreachable', `the model answered ${status}`, status, 0n, {})
  }
  const completion = call.truncated ? undefined : readCompletion(answer)
  if (!completion) {
    const message = 'the answer of the model cannot be read'
    return failed('upstream_unreachable', message, status, EVERYTHING, {})
  }
  const { spent, detail } = spendingOf(completion, reading.bundle)
  const [risk] = reading.screen({ text: completion.text })
  if (risk) {
    const message = `the answer of the model is withheld: ${risk.message}`
    const more = { ...detail, reason: risk.code, text_sha256: sha256(completion.text) }
    return failed('risky_content', message, status, spent, more)
  }
  const stored: StoredResult = {
    status,
    headers: { 'content-type': 'application/json' },
    text: JSON.stringify(completionJson(completion)),
    truncated: false,
  }
  return {
    outcome: {
      state: 'succeeded',
      errorCode: '',
      errorMessage: '',
      result: JSON.stringify(stored),
      freesIdempotencyKey: false,
    },
    result: stored,
    upstreamStatus: status,
    spentMicros: spent,
    detail,
  }
}

/** The completion that a stored result holds: as much of it as the record has not masked. */
export function completionOf(result: StoredResult): Completion {
  const said = JSON.parse(result.text ?? '{}') as unknown
  const { model, text, finish_reason: finishReason, tool_calls: calls, usage } = members(said)
  const whole = isText(said) ? said : '' // masked altogether
  return {
    model: isText(model) ? model : '',
    text: isText(text) ? text : whole,
    finishReason: isText(finishReason) ? finishReason : '',
    calls: Array.isArray(calls) ? calls.map(storedCall) : [],
    usage: readUsage(members(usage)),
  }
}

function storedCall(call: unknown): ProposedCall {
  const { id, name, arguments: args } = members(call)
  return {
    id: isText(id) ? id : '',
    name: isText(name) ? name : '',
    args: isText(args) ? args : '{}',
  }
}

export function usageJson(usage: TokenUsage | null): JsonObject | null {
  if (!usage) return null
  const { promptTokens, completionTokens } = usage
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  }
}

function completionJson(completion: Completion): JsonObject {
  return {
    model: completion.model,
    text: completion.text,
    finish_reason: completion.finishReason,
    tool_calls: completion.calls.map(({ id, name, args }) => ({ id, name, arguments: args })),
    usage: usageJson(completion.usage),
  }
}

// An unknown use is spent as the worst: the charge, which was made for it.
function spendingOf({ model, usage, finishReason }: Completion, { llm }: Bundle) {
  const cost =
    llm.price && usage ? tokenCost(llm.price, usage.promptTokens, usage.completionTokens) : null
  const spent = llm.price ? (cost ?? EVERYTHING) : 0n
  const detail: JsonObject = {
    model,
    finish_reason: finishReason,
    usage: usageJson(usage),
    cost: cost === null ? null : microsToText(cost),
  }
  return { spent, detail }
}

function failed(
  errorCode: string,
  errorMessage: string,
  upstreamStatus: number,
  spentMicros: bigint,
  detail: JsonObject,
): CallOutcome {
  return {
    outcome: { state: 'failed', errorCode, errorMessage, result: '', freesIdempotencyKey: false },
    result: null,
    upstreamStatus,
    spentMicros,
    detail,
  }
}

/** The first choice of a chat completion, or undefined when it is none. */
function readCompletion(answer: unknown): Completion | undefined {
  const { choices, model, usage } = members(answer)
  const choice = members(Array.isArray(choices) ? choices[0] : undefined)
  const message = members(choice['message'])
  const { content, tool_calls: proposed } = message
  if (!('role' in message || 'content' in message || 'tool_calls' in message)) return undefined
  const text = content ?? ''
  const calls = readCalls(proposed ?? [])
  if (!isText(text) || !calls) return undefined
  return {
    model: isText(model) ? model.slice(0, 200).toWellFormed() : '',
    text,
    calls,
    finishReason: isText(choice['finish_reason'])
      ? choice['finish_reason'].slice(0, 64).toWellFormed()
      : '',
    usage: readUsage(members(usage)),
  }
}

function readCalls(proposed: unknown): ProposedCall[] | undefined {
  if (!Array.isArray(proposed) || proposed.length > CALLS_MAX) return undefined
  const calls: ProposedCall[] = []
  for (const one of proposed) {
    const { id, function: called } = members(one)
    const { name, arguments: args } = members(called)
    if (!isText(id) || !isText(name) || !isText(args)) return undefined
    calls.push({ id, name, args })
  }
  return calls
}

function readUsage(usage: Readonly<Record<string, unknown>>): TokenUsage | null {
  const { prompt_tokens: promptTokens, completion_tokens: completionTokens } = usage
  return isCount(promptTokens) && isCount(completionTokens)
    ? { promptTokens, completionTokens }
    : null
}

const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= TOKENS_MAX

/** Text that the record can hold: PostgreSQL stores no NUL, and canonical JSON no lone surrogate. */
const isText = (value: unknown): value is string =>
  typeof value === 'string' && value.isWellFormed() && !value.includes('\0')

function members(value: unknown): Readonly<Record<string, unknown>> {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  return isObject ? (value as Record<string, unknown>) : {}
}
