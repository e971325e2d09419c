import type { IncomingMessage } from 'node:http'
import type { Request } from 'express'
import { GatewayError } from '../../errors.ts'
import { canonicalJson, sha256 } from '../../lib/canonical.ts'
import { Seal } from '../../lib/seal.ts'
import { maskingOf } from '../../pipeline/claim.ts'
import type { Once } from '../../operations/once.ts'
import { holderOf } from '../../agents/keys.ts'
import { callerOf, stateOf } from './context.ts'
import type { HttpParts } from './parts.ts'

// An Idempotency-Key belongs to its holder (an agent, or a person's role and name) and not to the API key
// that was presented, so that a rotation between two tries changes nothing. With it goes the hash of the
// request: the same key for another one is an error, never the first answer.

/** Not of quotes alone: `""` is an empty key of whoever writes it as a structured field. */
const IDEMPOTENCY_KEY = /^(?!"+$)[\x21-\x7e]{1,255}$/

/** @throws GatewayError `invalid_request` when the header is there and unusable */
export function idempotencyKey(req: IncomingMessage): string | null {
  // A blank one is a mistake of whoever meant to be safe, and must not count as none.
  const key = req.headers['idempotency-key']
  if (key === undefined) return null
  if (typeof key === 'string' && IDEMPOTENCY_KEY.test(key)) return key
  throw new GatewayError(
    'invalid_request',
    'Idempotency-Key must be 1 to 255 visible ASCII characters',
  )
}

/**
 * What makes a write happen once, or null without an `Idempotency-Key`. API keys in the stored answer are
 * sealed with the caller's own: who reads the database reads none.
 */
export function onceOf(
  req: Request,
  { mask, policies }: Pick<HttpParts, 'mask' | 'policies'>,
): Once | null {
  const key = idempotencyKey(req)
  if (key === null) return null
  const { body, presentedKey } = stateOf(req)
  const hash = sha256(canonicalJson([req.method, req.originalUrl, body ?? null]))
  // A body may hold what is masked, and a plain hash could be tried.
  const isMasked = maskingOf(mask, policies.current) !== null
  return {
    holder: holderOf(callerOf(req)),
    keyId: callerOf(req).keyId,
    key,
    requestHash: isMasked ? mask.keyed(hash) : hash,
    seal: new Seal(presentedKey ?? '', key),
    onReplay: () => req.res?.setHeader('Idempotent-Replayed', 'true'),
  }
}

/** What the answer to a request with an `Idempotency-Key` is sealed with, where the record has it masked. */
export function sealOf(req: IncomingMessage): Seal | null {
  const key = idempotencyKey(req)
  return key === null ? null : new Seal(stateOf(req).presentedKey ?? '', key)
}
