import type { Json, JsonObject } from '../model/json.ts'
import { textIn, type LoggedDecision } from '../record/decision-log.ts'
import { erased } from './erase.ts'

// A decision of the record as an event of OPA's decision log (EventV1). What the record does not hold is not in it: a document
// that was too large, values that are masked. What it holds under one id twice, an action that was decided again after a
// person approved it, has the entry's number behind the id the second time, so that a sink which goes by ids keeps both.

export interface EventParts {
  /** Of this gate, on every event. */
  readonly labels: Readonly<Record<string, string>>
  /** Pointers below `/input` and `/result`, split into steps. */
  readonly masks: readonly (readonly string[])[]
}

export function eventOf(decision: LoggedDecision, { labels, masks }: EventParts): JsonObject {
  const { body, at, seq, isAgain } = decision
  const id = textIn(body, 'decision_id')
  const said = decision.kind === 'decision.document' ? documentOf(decision) : actionOf(decision)
  const event: JsonObject = {
    labels: { ...labels },
    decision_id: isAgain ? `${id}.${seq}` : id,
    bundles: { portcullis: { revision: textIn(body, 'revision') } },
    ...said,
    requested_by: textIn(body, 'key_id'),
    timestamp: at.toISOString(),
    metrics: {},
    req_id: Number(seq),
    custom: {
      decision_id: id,
      kind: decision.kind,
      request_id: textIn(body, 'request_id'),
      seq: Number(seq),
      surface: textIn(body, 'surface') || 'act',
    },
  }
  return erased(event, masks)
}

/** Documents that were asked for by path: what OPA would log, as far as the record has it. */
function documentOf({ body }: LoggedDecision): JsonObject {
  return {
    path: textIn(body, 'path').replace(/^data\//, ''),
    ...given('input', body['input']),
    ...given('result', body['result']),
    ...(textIn(body, 'error') === '' ? {} : { error: { message: textIn(body, 'error') } }),
  }
}

function actionOf({ body, tool, effect, request }: LoggedDecision): JsonObject {
  const { subject = null, resource = null, args = null, reasons = [], agent_name: name = '' } = body
  const agent = { type: 'agent', id: textIn(body, 'agent_id') }
  return {
    path: 'agent/decision',
    input: {
      subject: subject ?? { ...agent, name },
      action: { name: tool, ...(args === null ? {} : { properties: args }) },
      resource,
      ...given('context', request?.['context']),
    },
    result: { effect, allow: effect === 'allow', reasons: (reasons as Json[]).map(reasonOf) },
  }
}

const given = (name: string, value: Json | undefined): JsonObject =>
  value === undefined ? {} : { [name]: value }

function reasonOf(reason: Json): JsonObject {
  const { code = '', message = '', source = '' } = reason as JsonObject
  return { code, message, source }
}
