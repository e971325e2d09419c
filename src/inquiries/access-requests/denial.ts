import { GatewayError } from '../../errors.ts'
import type { Given } from '../../model/inquiry.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import { decisionOnRecord, type RecordedDenial } from '../../record/denials.ts'
import type { RecordMask } from '../../record/mask.ts'
import type { Db } from '../../store/tx.ts'
import { boundHash, boundText } from './bound.ts'
import type { AccessTokens } from './tokens.ts'

// A submission proves what it was denied (section 10.1, section 21.1.4): by the token that came with the denial, or by the
// denial's id, which is looked up in the record. Whatever it says of the denial besides is checked against that or unused.

/** What a submission says of its denial, as far as it is looked at. */
export interface DenialClaim {
  readonly evaluationId: string | undefined
  readonly bindingToken: string | undefined
  /** As it was echoed. */
  readonly expiresAt: string
}

/** A denial that was this one's, for this. */
export interface ProvenDenial {
  readonly evaluationId: string
  readonly boundContext: readonly string[]
  readonly targetHash: string
  /** What people are told: why it is not simply allowed. */
  readonly reason: string
}

export interface DenialParts {
  readonly db: Db
  readonly tokens: AccessTokens
  readonly mask: RecordMask
}

/** What is asked for, and by whom. */
export interface AskedFor {
  readonly given: Given
  readonly holder: string
  readonly denial: DenialClaim | undefined
}

/** @throws GatewayError `invalid_denial_binding`, `expired_denial`, `not_requestable` */
export async function provenDenial(
  asked: AskedFor,
  nowMs: number,
  parts: DenialParts,
): Promise<ProvenDenial> {
  const { denial } = asked
  if (denial?.bindingToken !== undefined) {
    const proven = byToken(denial, asked, parts.tokens)
    if (nowMs > proven.untilMs) throw expired()
    const entry = await decisionOnRecord(parts.db, proven.evaluationId)
    return { ...proven, reason: reasonIn(entry) }
  }
  if (denial?.evaluationId !== undefined) return byRecord(denial, asked, nowMs, parts)
  throw unbound('a `denial` with a `binding_token` or an `evaluation_id` is needed')
}

function byToken(
  { bindingToken, evaluationId, expiresAt }: DenialClaim,
  { given, holder }: AskedFor,
  tokens: AccessTokens,
): Omit<ProvenDenial, 'reason'> & { readonly untilMs: number } {
  const claims = tokens.read('binding', bindingToken)
  if (!claims) throw unbound('`denial.binding_token` is none of this gate')
  const named = claims['evaluation_id'] as string
  if (claims['azp'] !== holder) throw unbound('`denial.binding_token` was given to somebody else')
  if (evaluationId !== undefined && evaluationId !== named) {
    throw unbound('`denial.evaluation_id` is of another denial')
  }
  // The echo must be the protected value before it is relied on (section 21.1.4).
  if (claims['denial_expires_at'] !== expiresAt) {
    throw unbound('`denial.expires_at` is not what the denial said')
  }
  const names = claims['binding_context_members'] as string[]
  if (boundText(given, names) !== boundText(claims as unknown as Given, names)) throw other()
  const untilMs = Math.min(Date.parse(expiresAt), (claims['exp'] as number) * 1000)
  const targetHash = claims['target_hash'] as string
  return { evaluationId: named, boundContext: names, targetHash, untilMs }
}

async function byRecord(
  { evaluationId = '', expiresAt }: DenialClaim,
  { given, holder }: AskedFor,
  nowMs: number,
  { db, mask }: DenialParts,
): Promise<ProvenDenial> {
  const entry = await decisionOnRecord(db, evaluationId)
  if (!entry) throw unbound('`denial.evaluation_id` is of no denial that can still be asked for')
  const { boundContext, requestableUntil } = entry
  if (entry.boundHash === '') {
    throw new GatewayError('not_requestable', 'the evaluation was no denial that can be asked for')
  }
  if (boundHash(mask, given, boundContext, holder) !== entry.boundHash) throw other()
  if (requestableUntil !== expiresAt)
    throw unbound('`denial.expires_at` is not what the denial said')
  if (nowMs > Date.parse(requestableUntil)) throw expired()
  return { evaluationId, boundContext, targetHash: entry.targetHash, reason: reasonIn(entry) }
}

const reasonIn = (entry: RecordedDenial | undefined): string =>
  (entry?.reasons ?? []).flatMap(messageOf).join('; ')

function messageOf(reason: Json): readonly string[] {
  const { message } = reason as JsonObject
  return typeof message === 'string' ? [message] : []
}

const unbound = (message: string): GatewayError =>
  new GatewayError('invalid_denial_binding', message)

const other = (): GatewayError =>
  unbound('subject, resource, action and context are not those of the denial')

const expired = (): GatewayError =>
  new GatewayError('expired_denial', 'the denial can no longer be asked for: evaluate again')
