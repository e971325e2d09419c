import { holderOf, type Caller } from '../../agents/keys.ts'
import type { AccessRequestRules } from '../../bundle/types.ts'
import type { Given } from '../../model/inquiry.ts'
import type { JsonObject } from '../../model/json.ts'
import type { RecordMask } from '../../record/mask.ts'
import { boundHash, boundNames, boundOf, boundText } from './bound.ts'
import type { AccessTokens } from './tokens.ts'

// A requestable denial (section 7): what who enforces needs in order to ask people for it. It is bound to the denial twice, by
// a token that goes along and by a digest in the denial's entry of the record, so that either is enough to ask.

/** More of it is too much to carry about, and cannot be asked for. */
const BOUND_CHARS_MAX = 16_384

/** What makes a denial one that can be asked for. */
export interface Requestable {
  readonly given: Given
  readonly boundHash: string
  /** Names of the members of the context that are bound. */
  readonly boundContext: readonly string[]
  /** Until when; RFC 3339. */
  readonly until: string
}

export interface OfferParts {
  readonly tokens: AccessTokens
  readonly mask: RecordMask
}

/** What a denial is to be bound to; undefined where it cannot be asked for. */
export function requestable(
  given: Given | undefined,
  rules: AccessRequestRules,
  caller: Caller,
  { tokens, mask }: OfferParts,
): Requestable | undefined {
  if (!given || !tokens.isOffered) return undefined
  const names = boundNames(given.context, rules)
  if (boundText(given, names).length > BOUND_CHARS_MAX) return undefined
  return {
    given,
    boundHash: boundHash(mask, given, names, holderOf(caller)),
    boundContext: names,
    until: new Date(Date.now() + rules.requestableMs).toISOString(),
  }
}

/** A denial that can be asked for, as it was decided. */
export interface Denied {
  readonly decisionId: string
  readonly requestable: Requestable
  readonly targetHash: string
  /** What it may be called to who asks; undefined: nothing. */
  readonly template: string | undefined
}

/** `context.access_request` of a denial. */
export function offerJson(denied: Denied, caller: Caller, tokens: AccessTokens): JsonObject {
  const { decisionId, targetHash, template } = denied
  const { given, boundContext, until } = denied.requestable
  const token = tokens.sign('binding', {
    iat: Math.floor(Date.now() / 1000),
    exp: Math.floor(Date.parse(until) / 1000),
    jti: decisionId,
    azp: holderOf(caller),
    denial_expires_at: until,
    evaluation_id: decisionId,
    ...boundOf(given, boundContext),
    binding_context_members: [...boundContext],
    target_hash: targetHash,
  })
  return {
    endpoint: tokens.endpoint,
    ...(template === undefined ? {} : { template }),
    expires_at: until,
    binding_token: token,
    request_schema_url: tokens.endpoint.replace(/requests$/, 'request-schema'),
    display: {
      title: 'Approval needed',
      description: 'A person has to approve this before it is allowed.',
    },
  }
}
