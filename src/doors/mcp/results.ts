import { jsonText, RawJson } from '../../lib/raw-json.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import { isObject } from '../../mcp/wire.ts'
import type { Answer } from '../../pipeline/submission.ts'
import type { GatewayError } from '../../errors.ts'
import { publicReason, refusalOf } from '../api/answers.ts'
import { errorBody } from '../edge/errors.ts'
import type { CalledTool, Executed } from './served.ts'

// A refusal is a result and not a protocol error: clients of both protocols lose code and data of an error, and an agent
// can act on a result. What a program reads stands in `_meta`. `structuredContent` has it too where the tool promises no
// shape of its own, since a client holds it against that shape even where the call failed, and would lose the reason.

export const ERROR_KEY = 'dev.portcullis/error'
export const ACTION_KEY = 'dev.portcullis/action'

type Held = Extract<Answer, { type: 'held' }>
type Refused = Extract<Answer, { type: 'refused' }>

interface Told extends JsonObject {
  readonly code: string
  readonly message: string
  readonly decision_id?: string
  readonly next_action?: string
}

/** A result that says what went wrong. */
function failure(error: Told, { hasOutputSchema }: CalledTool): JsonObject {
  const { code, message, decision_id: decision, next_action: next } = error
  const text = [
    `${code}: ${message}.`,
    ...(decision === undefined ? [] : [`Decision ${decision}.`]),
    ...(next === undefined ? [] : [`${next}.`]),
  ].join(' ')
  return {
    content: [{ type: 'text', text }],
    ...(hasOutputSchema ? {} : { structuredContent: error }),
    isError: true,
    _meta: { [ERROR_KEY]: error },
  }
}

export const refusedResult = (answer: Refused, tool: CalledTool): JsonObject =>
  errorResult(refusalOf(answer), tool)

/** An error of the gate that an agent can act on. */
export function errorResult(error: GatewayError, tool: CalledTool): JsonObject {
  return failure(JSON.parse(jsonText(errorBody(error).error)) as Told, tool)
}

const JOIN =
  'wait for a person; the same call with the same arguments joins this one and answers how it ended'

/** A call that a person has not decided on while its client waited. */
export const pendingResult = (answer: Held, tool: CalledTool): JsonObject =>
  failure(pendingTold(answer), tool)

export function pendingTold(answer: Held): Told {
  const { actionId, decisionId, revision, approval, reasons } = answer
  return {
    code: 'approval_pending',
    message: `a person must approve this call first: ${approval.id}`,
    action_id: actionId,
    decision_id: decisionId,
    approval_id: approval.id,
    expires_at: approval.expiresAt.toISOString(),
    reasons: reasons.map((one) => ({ ...publicReason(one) })),
    revision,
    retryable: true,
    next_action: JOIN,
  }
}

/** What is said of an action beside its result. */
export function actionMeta(answer: Executed): JsonObject {
  const { actionId, decisionId, revision, state, result, joined } = answer
  return {
    [ACTION_KEY]: {
      action_id: actionId,
      decision_id: decisionId,
      revision,
      status: state,
      http_status: result.status,
      ...(joined ? { joined: true } : {}),
    },
  }
}

/** The answer of an HTTP upstream as content. */
export function httpResult(answer: Executed): JsonObject {
  const { result, state, actionId } = answer
  const isError = state === 'failed'
  const { content, structured } = contentOf(answer)
  const said = isError
    ? [{ type: 'text', text: `the upstream answered ${result.status}` }, ...content]
    : content
  const rest = result.truncated
    ? [
        {
          type: 'text',
          text: `this is its beginning; GET /actions/${actionId}/result has all of it`,
        },
      ]
    : []
  return {
    content: [...said, ...rest],
    ...(structured === undefined ? {} : { structuredContent: structured }),
    ...(isError ? { isError } : {}),
    _meta: actionMeta(answer),
  }
}

interface Content {
  readonly content: readonly JsonObject[]
  readonly structured?: Json
}

function contentOf({ result, actionId }: Executed): Content {
  const { base64, text = '', truncated, headers } = result
  const type = String(headers['content-type'] ?? 'application/octet-stream').split(';', 1)[0] ?? ''
  if (base64 !== undefined) return { content: [binary(base64, type.trim(), actionId)] }
  if (text === '') return { content: [{ type: 'text', text: `${result.status}` }] }
  const content = [{ type: 'text', text }]
  const isJson = /^application\/(?:[\w.+-]+\+)?json$/i.test(type.trim())
  if (!isJson || truncated) return { content }
  // As it came: numbers that JavaScript has none of stay what they are.
  return isJsonObject(text)
    ? { content, structured: new RawJson(text) as unknown as Json }
    : { content }
}

function binary(base64: string, type: string, actionId: string): JsonObject {
  const [kind] = type.split('/', 1)
  if (kind === 'image' || kind === 'audio') return { type: kind, data: base64, mimeType: type }
  const uri = `portcullis://actions/${actionId}/result`
  return { type: 'resource', resource: { uri, mimeType: type, blob: base64 } }
}

function isJsonObject(text: string): boolean {
  try {
    return isObject(JSON.parse(text) as Json)
  } catch {
    return false
  }
}
