import { GatewayError } from '../../errors.ts'
import type { Entity, Inquiry } from '../../model/inquiry.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import { obligationType } from '../../model/obligation.ts'
import type { Evaluation } from '../../inquiries/evaluations.ts'

// AuthZEN Authorization API 1.0: JSON to inquiries and back. Members that the specification does not know are
// passed over, as it demands; what it demands and is not there, or is of another type, is a 400.

const TEXT_CHARS_MAX = 1_000

/** The parts of an evaluation request, each as it was given. */
export type Parts = Readonly<
  Record<'subject' | 'action' | 'resource' | 'context', Json | undefined>
>

export const partsOf = (body: JsonObject): Parts => ({
  subject: body['subject'],
  action: body['action'],
  resource: body['resource'],
  context: body['context'],
})

/** @throws GatewayError `invalid_request` */
export function inquiryOf({ subject, action, resource, context }: Parts): Inquiry {
  const acting = objectOf(action, 'action')
  return {
    subject: entityOf(subject, 'subject'),
    action: {
      name: textOf(acting['name'], 'action.name'),
      properties: propertiesOf(acting, 'action'),
    },
    resource: entityOf(resource, 'resource'),
    context: context === undefined ? {} : objectOf(context, 'context'),
  }
}

function entityOf(value: Json | undefined, name: string): Entity {
  const entity = objectOf(value, name)
  return {
    type: textOf(entity['type'], `${name}.type`),
    id: textOf(entity['id'], `${name}.id`),
    properties: propertiesOf(entity, name),
  }
}

function propertiesOf(entity: JsonObject, name: string): JsonObject {
  const { properties } = entity
  return properties === undefined ? {} : objectOf(properties, `${name}.properties`)
}

export function objectOf(value: Json | undefined, name: string): JsonObject {
  if (value === undefined) throw new GatewayError('invalid_request', `\`${name}\` is missing`)
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) {
    return value as JsonObject
  }
  throw new GatewayError('invalid_request', `\`${name}\` must be an object`)
}

function textOf(value: Json | undefined, name: string): string {
  if (value === undefined) throw new GatewayError('invalid_request', `\`${name}\` is missing`)
  if (typeof value === 'string' && value !== '' && value.length <= TEXT_CHARS_MAX) return value
  throw new GatewayError(
    'invalid_request',
    `\`${name}\` must be a string of at most ${TEXT_CHARS_MAX} characters`,
  )
}

/** Section 6.2: `decision`, and in `context` what may be told. */
export function decisionJson(evaluation: Evaluation, nowMs: number): JsonObject {
  const { decisionId, revision, effect, reasons, obligations, api } = evaluation
  const isPermitted = effect === 'allow'
  const code = effect === 'require_approval' ? 'approval_required' : (reasons[0]?.code ?? 'denied')
  return {
    decision: isPermitted,
    context: {
      evaluation_id: decisionId,
      evaluated_at: new Date(nowMs).toISOString(),
      revision,
      ...(isPermitted ? {} : { reason: code }),
      ...(!isPermitted && api.disclosesReasons ? { reasons: reasons.map(publicReason) } : {}),
      ...(obligations.length > 0 ? { obligations: obligations.map(obligationJson) } : {}),
    },
  }
}

// What the profile does not name is `custom`, and says its own type.
function obligationJson({ id, type, properties }: Evaluation['obligations'][number]): JsonObject {
  const shown = obligationType(type)
  return { id, type: shown, properties: shown === type ? properties : { ...properties, type } }
}

const publicReason = ({ code, message, source }: Evaluation['reasons'][number]): JsonObject => ({
  code,
  message: message.toWellFormed(),
  source,
})

/** An item that cannot be decided is a denial that says why, and the call goes on. */
export function refusedItem(error: GatewayError): JsonObject {
  return {
    decision: false,
    context: { error: { status: error.status, message: error.message } },
  }
}
