import { GatewayError } from '../../errors.ts'
import type { Entity, Inquiry } from '../../model/inquiry.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import { obligationType } from '../../model/obligation.ts'
import type { Denied } from '../../inquiries/access-requests/offer.ts'
import type { Evaluation } from '../../inquiries/evaluations.ts'

// AuthZEN Authorization API 1.0: JSON to inquiries and back. Members that the specification does not know are
// passed over, as it demands; what it demands and is not there, or is of another type, is a 400.

const TEXT_CHARS_MAX = 1_000
/** PostgreSQL finds entries by the name of an action, and takes 2,704 for that. */
const TEXT_BYTES_MAX = 2_000

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
  const given = {
    subject: objectOf(subject, 'subject'),
    action: objectOf(action, 'action'),
    resource: objectOf(resource, 'resource'),
    context: context === undefined ? {} : objectOf(context, 'context'),
  }
  return {
    subject: entityOf(subject, 'subject'),
    action: {
      name: textOf(given.action['name'], 'action.name'),
      properties: propertiesOf(given.action, 'action'),
    },
    resource: entityOf(resource, 'resource'),
    context: given.context,
    given,
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

export function textOf(value: Json | undefined, name: string): string {
  if (value === undefined) throw new GatewayError('invalid_request', `\`${name}\` is missing`)
  const isText = typeof value === 'string' && value !== '' && !value.includes('\0')
  if (isText && value.length <= TEXT_CHARS_MAX && Buffer.byteLength(value) <= TEXT_BYTES_MAX) {
    return value
  }
  throw new GatewayError(
    'invalid_request',
    `\`${name}\` must be a string of at most ${TEXT_CHARS_MAX} characters (${TEXT_BYTES_MAX} bytes), without NUL`,
  )
}

/** What `context.access_request` is made by, where a denial can be asked for. */
export type Offer = (denied: Denied) => JsonObject

/** Section 6.2: `decision`, and in `context` what may be told. */
export function decisionJson(evaluation: Evaluation, nowMs: number, offer?: Offer): JsonObject {
  const { decisionId, revision, effect, reasons, obligations, api, consumed } = evaluation
  const isPermitted = effect === 'allow'
  return {
    decision: isPermitted,
    context: {
      evaluation_id: decisionId,
      evaluated_at: new Date(nowMs).toISOString(),
      revision,
      ...(isPermitted ? {} : { reason: reasonCode(evaluation) }),
      ...(!isPermitted && api.disclosesReasons ? { reasons: reasons.map(publicReason) } : {}),
      ...(obligations.length > 0 ? { obligations: obligations.map(obligationJson) } : {}),
      ...(consumed ? { portcullis: { consumed: [...consumed] } } : {}),
      ...accessJson(evaluation, offer),
    },
  }
}

function reasonCode({ effect, reasons, again }: Evaluation): string {
  const said = again?.refusal?.reason
  if (said !== undefined) return said
  return effect === 'require_approval' ? 'approval_required' : (reasons[0]?.code ?? 'denied')
}

// The Access Request and Approval Profile: section 7 for a denial, section 12 for what came of an approval. A new request is
// offered where one is of use.
function accessJson({ denied, again }: Evaluation, offer: Offer | undefined): JsonObject {
  const { approval, refusal } = again ?? {}
  const isOffered = denied && offer && (!refusal || refusal.nextAction === 'request')
  return {
    ...(approval
      ? { approval: { id: approval.id, approved_until: approval.approvedUntil.toISOString() } }
      : {}),
    ...(refusal ? refusalJson(refusal, isOffered !== undefined && isOffered) : {}),
    ...(isOffered ? { access_request: offer(denied) } : {}),
  }
}

// Without a fresh offer there is nothing to request.
const refusalJson = (
  { nextAction, retryAfterS }: NonNullable<NonNullable<Evaluation['again']>['refusal']>,
  isOffered: boolean,
): JsonObject => ({
  next_action: nextAction === 'request' && !isOffered ? 'none' : nextAction,
  ...(retryAfterS === undefined ? {} : { retry_after: retryAfterS }),
})

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
