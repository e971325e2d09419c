import { createPublicKey, sign, verify, type KeyObject } from 'node:crypto'
import type { JsonObject } from '../model/json.ts'
import { bytesOfBase64 } from './base64.ts'
import { canonicalJson } from './canonical.ts'
import { keyIdOf } from './checkpoint.ts'

/** A manifest with its Ed25519 signature over the RFC 8785 bytes of `manifest`. */
export interface SignedManifest {
  readonly manifest: JsonObject
  /** First 16 hex digits of the SHA-256 of the public key (SPKI DER). */
  readonly key_id: string
  /** Base64. */
  readonly signature: string
}

export function signManifest(manifest: JsonObject, privateKey: KeyObject): SignedManifest {
  const signature = sign(null, Buffer.from(canonicalJson(manifest)), privateKey)
  return {
    manifest,
    key_id: keyIdOf(createPublicKey(privateKey)),
    signature: signature.toString('base64'),
  }
}

export type ManifestVerdict = 'valid' | 'untrusted_key' | 'bad_signature'

/** Whether one of `keys` signed exactly this manifest. Only its own key id is tried. */
export function verifyManifest(
  signed: SignedManifest,
  keys: readonly KeyObject[],
): ManifestVerdict {
  const key = keys.find((one) => keyIdOf(one) === signed.key_id)
  if (!key) return 'untrusted_key'
  const signature = bytesOfBase64(signed.signature)
  if (!signature) return 'bad_signature'
  const bytes = Buffer.from(canonicalJson(signed.manifest))
  return verify(null, bytes, key, signature) ? 'valid' : 'bad_signature'
}

/** The Ed25519 public keys of PEM text, which may hold several. @throws Error for any other key */
export function publicKeysOf(pem: string): KeyObject[] {
  const blocks = pem.match(/-----BEGIN PUBLIC KEY-----[\s\S]*?-----END PUBLIC KEY-----/g) ?? []
  if (blocks.length === 0) throw new Error('no PEM public key')
  return blocks.map((block) => {
    const key = createPublicKey(block)
    if (key.asymmetricKeyType !== 'ed25519') throw new Error('not an Ed25519 public key')
    return key
  })
}
