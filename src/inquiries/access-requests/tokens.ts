import { createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto'
import { keyIdOf } from '../../lib/checkpoint.ts'
import { parseStrictJson } from '../../lib/strict-json.ts'
import type { Json, JsonObject } from '../../model/json.ts'

// What goes out to an enforcement point and comes back is signed: what was denied, and what was approved. A token is a compact
// JWS (RFC 7515) with Ed25519 and no choice of algorithm: its header is one of two texts, and anything else is none of ours.
// The key is made of the secret that replicas share, so that any of them reads what another one signed.

const KEY_PURPOSE = 'portcullis access request tokens v1'
/** PKCS #8 around 32 bytes of an Ed25519 key (RFC 8410). */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')
const TOKEN_CHARS_MAX = 100_000
const TOKEN = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/

/** `binding`: what was denied. `approval`: what was approved. Neither passes for the other. */
export type TokenKind = 'binding' | 'approval'

/** Signs and verifies. Without a public https URL there is nobody to be the issuer, and nothing is offered. */
export class AccessTokens {
  readonly #private: KeyObject
  readonly #public: KeyObject
  /** The PDP, as its metadata names it: the issuer, and for whom approvals are. */
  readonly #url: string | null

  constructor(keyFor: (purpose: string) => Buffer, publicServerUrl: string | null) {
    const der = Buffer.concat([PKCS8, keyFor(KEY_PURPOSE)])
    this.#private = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    this.#public = createPublicKey(this.#private)
    this.#url = isPublic(publicServerUrl) ? publicServerUrl : null
  }

  /** Whether access may be requested at all. */
  get isOffered(): boolean {
    return this.#url !== null
  }

  /** Where access is requested; for whom denials are. */
  get endpoint(): string {
    return `${(this.#url ?? '').replace(/\/+$/, '')}/access/v1/requests`
  }

  /** The JWK Set (RFC 7517) that both kinds are verified with. */
  get keys(): JsonObject {
    const { kty, crv, x } = this.#public.export({ format: 'jwk' })
    const key = { kty, crv, x, kid: keyIdOf(this.#public), use: 'sig', alg: 'EdDSA' }
    return { keys: [key as JsonObject] }
  }

  sign(kind: TokenKind, claims: JsonObject): string {
    const payload = { iss: this.#url, aud: this.#audience(kind), ...claims }
    const signed = `${base64url(this.#header(kind))}.${base64url(JSON.stringify(payload))}`
    return `${signed}.${sign(null, Buffer.from(signed), this.#private).toString('base64url')}`
  }

  /** The claims of a token of this gate, for this gate and of this kind, whether or not it is over; undefined for any other. */
  read(kind: TokenKind, token: Json | undefined): JsonObject | undefined {
    if (typeof token !== 'string' || token.length > TOKEN_CHARS_MAX || !TOKEN.test(token)) {
      return undefined
    }
    const [header = '', payload = '', signature = ''] = token.split('.')
    if (header !== base64url(this.#header(kind))) return undefined
    const bytes = Buffer.from(signature, 'base64url')
    // The same bytes can be spelt in several ways; one token is one text.
    if (bytes.toString('base64url') !== signature) return undefined
    if (!verify(null, Buffer.from(`${header}.${payload}`), this.#public, bytes)) return undefined
    const claims = parseStrictJson(Buffer.from(payload, 'base64url').toString('utf8')) as JsonObject
    const isOurs = claims['iss'] === this.#url && claims['aud'] === this.#audience(kind)
    return isOurs && this.isOffered ? claims : undefined
  }

  #header(kind: TokenKind): string {
    const typ = kind === 'binding' ? 'authzen-denial+jwt' : 'authzen-approval+jwt'
    return JSON.stringify({ alg: 'EdDSA', kid: keyIdOf(this.#public), typ })
  }

  #audience(kind: TokenKind): string {
    return kind === 'binding' ? this.endpoint : (this.#url ?? '')
  }
}

/** What other parts may be found under: https, without a query (AuthZEN 1.0, section 9). */
export const isPublic = (url: string | null): url is string =>
  url !== null && /^https:\/\/[^?#]+$/.test(url)

const base64url = (text: string): string => Buffer.from(text).toString('base64url')
