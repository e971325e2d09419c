import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { bytesOfBase64 } from './base64.ts'

const IV_BYTES = 12
const TAG_BYTES = 16
const KEY_BYTES = 32
const INFO = 'portcullis sealed answer v1'

/** Keeps text so that only who holds `secret` can read it: AES-256-GCM under a key derived by HKDF. */
export class Seal {
  readonly #key: Buffer

  constructor(secret: string, salt: string) {
    this.#key = Buffer.from(hkdfSync('sha256', secret, salt, INFO, KEY_BYTES))
  }

  close(text: string): string {
    const iv = randomBytes(IV_BYTES)
    const cipher = createCipheriv('aes-256-gcm', this.#key, iv)
    const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
    return Buffer.concat([iv, cipher.getAuthTag(), sealed]).toString('base64')
  }

  /** Throws when the secret is another one, or a bit changed. */
  open(sealed: string): string {
    const bytes = bytesOfBase64(sealed)
    if (!bytes) throw new Error('sealed text is not base64')
    const decipher = createDecipheriv('aes-256-gcm', this.#key, bytes.subarray(0, IV_BYTES))
    decipher.setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES))
    const text = decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES))
    return Buffer.concat([text, decipher.final()]).toString('utf8')
  }
}
