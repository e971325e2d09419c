import type { Caller } from '../../agents/keys.ts'
import { GatewayError } from '../../errors.ts'
import type { DenialClaim } from '../../inquiries/access-requests/denial.ts'
import type { AskedItem, Submission } from '../../inquiries/access-requests/submission.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import { inquiryOf, objectOf, textOf } from './wire.ts'

// The Access Request and Approval Profile, section 10.1: a submission as JSON to the noun. Members that the profile does not
// know are passed over; a submission that is none is a 400 of the gate's own, as any malformed request.

const ITEMS_MAX = 100
const TOKEN_CHARS_MAX = 100_000
/** RFC 3339, to which what `Date` reads besides is no answer. */
const TIME = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)$/

/** What a submission is made of beside its body. */
export interface Sender {
  readonly caller: Caller
  readonly requestId: string
  readonly idempotencyKey: string | null
  /** URLs that may be called back. */
  readonly callbacks: readonly string[]
}

/** @throws GatewayError `invalid_request`, `invalid_denial_binding`, `forbidden` */
export function submissionOf(body: JsonObject, sender: Sender): Submission {
  const { caller, requestId, idempotencyKey, callbacks } = sender
  const { items } = body
  const client = optionalObject(body['client'], 'client')
  return {
    ...{ caller, requestId, idempotencyKey, body, client },
    isBundle: items !== undefined,
    items: items === undefined ? [itemOf(body, body)] : itemsOf(items, body),
    actors: actorsOf(client, caller),
    callback: callbackOf(body['callback'], callbacks),
  }
}

function itemsOf(items: Json, body: JsonObject): AskedItem[] {
  if (body['resource'] !== undefined || body['action'] !== undefined) {
    throw invalid('`resource` and `action` stand in the `items` where there are any')
  }
  if (!Array.isArray(items) || items.length === 0 || items.length > ITEMS_MAX) {
    throw invalid(`\`items\` must be a list of 1 to ${ITEMS_MAX}`)
  }
  return items.map((item: Json, at) => itemOf(objectOf(item, `items[${at}]`), body))
}

/** One item, with what the whole request says for all. */
function itemOf(item: JsonObject, body: JsonObject): AskedItem {
  const { subject, context } = body
  const { resource, action } = item
  const requested = {
    ...optionalObject(body['requested_access'], 'requested_access'),
    ...optionalObject(item['requested_access'], 'requested_access'),
  }
  const until = requested['requested_until']
  return {
    inquiry: inquiryOf({ subject, action, resource, context }),
    denial: denialOf(item['denial'] ?? body['denial']),
    requestedAccess: requested,
    requestedUntil: until === undefined ? null : new Date(timeIn(until, 'requested_until')),
  }
}

function denialOf(value: Json | undefined): DenialClaim | undefined {
  if (value === undefined) return undefined
  const denial = objectOf(value, 'denial')
  const text = (name: string) => optionalText(denial[name], `denial.${name}`)
  return {
    evaluationId: text('evaluation_id'),
    bindingToken: text('binding_token'),
    expiresAt: timeIn(denial['expires_at'], 'denial.expires_at'),
  }
}

// An agent's key speaks for that agent and no chain behind it; who asks about anybody is believed whom it acts for, for the
// record and as one whose own approval does not count, and for nothing else (section 19.1, Delegation and On-Behalf-Of).
function actorsOf({ actor }: JsonObject, caller: Caller): string[] {
  if (actor === undefined) return []
  const said = objectOf(actor, 'client.actor')
  const id = textOf(said['id'], 'client.actor.id')
  const isItself = said['act'] === undefined && (id === caller.name || id === caller.agentId)
  if (caller.role === 'agent' && !isItself) {
    throw new GatewayError('forbidden', 'an agent acts for itself: `client.actor` is another')
  }
  return [id, ...chainOf(said['act'])]
}

function chainOf(act: Json | undefined): string[] {
  if (act === undefined) return []
  const { sub, act: next } = objectOf(act, 'client.actor.act')
  return [...(typeof sub === 'string' ? [sub] : []), ...chainOf(next)]
}

/** Section 13: only what the operator listed is called back, so that nobody makes the gate call what it can reach. */
function callbackOf(value: Json | undefined, allowed: readonly string[]): JsonObject | null {
  if (value === undefined) return null
  const callback = objectOf(value, 'callback')
  const endpoint = textOf(callback['endpoint'], 'callback.endpoint')
  if (!allowed.includes(endpoint)) {
    throw invalid('`callback.endpoint` is not one that this gate may call')
  }
  const { state = null, events = null } = callback
  if (events !== null && !(Array.isArray(events) && events.every(isText))) {
    throw invalid('`callback.events` must be a list of names')
  }
  return { endpoint, state, events }
}

const isText = (value: Json): boolean => typeof value === 'string'

const optionalObject = (value: Json | undefined, name: string): JsonObject =>
  value === undefined ? {} : objectOf(value, name)

function optionalText(value: Json | undefined, name: string): string | undefined {
  if (value === undefined) return undefined
  if (typeof value === 'string' && value !== '' && value.length <= TOKEN_CHARS_MAX) return value
  throw invalid(`\`${name}\` must be a text`)
}

function timeIn(value: Json | undefined, name: string): string {
  if (typeof value === 'string' && TIME.test(value) && !Number.isNaN(Date.parse(value)))
    return value
  throw invalid(`\`${name}\` must be a time such as 2026-05-01T00:15:00Z`)
}

const invalid = (message: string): GatewayError => new GatewayError('invalid_request', message)
