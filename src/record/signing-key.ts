import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { keyIdOf } from '../lib/checkpoint.ts'
import { publicKeysOf } from '../lib/manifest.ts'

// The private key is a file that only the gate's user can read, made at the first start and never replaced
// by itself: a record that was signed by a key which is gone refuses to start, because a new key would sign
// whatever had been put in its place.

const KEY_FILE = 'audit-signing-key.pem'
const PUBLIC_FILE = 'audit-public-key.pem'

/** `code` of the error of a start whose key cannot be read. */
export const KEY_UNREADABLE = 'AUDIT_KEY_UNREADABLE'

/** `code` of the error of a start that does not have the key which signed this record. */
export const KEY_LOST = 'AUDIT_KEY_LOST'

/**
 * The Ed25519 key of this gate in its data directory, and the public keys of all it ever had, newest first:
 * what an earlier key signed still counts.
 */
export class SigningKey {
  readonly #keyFile: string
  readonly #publicFile: string

  constructor(dataDir: string) {
    this.#keyFile = path.join(dataDir, KEY_FILE)
    this.#publicFile = path.join(dataDir, PUBLIC_FILE)
  }

  get exists(): boolean {
    return fs.existsSync(this.#keyFile)
  }

  /** Read each time: taking the file away stops the signing, as an operator would expect. */
  get private(): KeyObject {
    const pem = fs.readFileSync(this.#keyFile)
    try {
      return createPrivateKey(pem)
    } catch (cause) {
      const message = `${this.#keyFile} is no private key; restore it, or say that it is gone: portcullis audit new-key`
      throw Object.assign(new Error(message, { cause }), { code: KEY_UNREADABLE })
    }
  }

  get public(): KeyObject {
    return createPublicKey(this.private)
  }

  get id(): string {
    return keyIdOf(this.public)
  }

  /** Public keys of this data directory, the present one first. */
  get known(): readonly KeyObject[] {
    const own = this.public
    return [own, ...this.#kept().filter((key) => keyIdOf(key) !== keyIdOf(own))]
  }

  /** All known public keys as PEM. */
  get publicPem(): string {
    return this.known.map(toPem).join('')
  }

  /** Makes a key; one that was there is kept beside it under another name. */
  create(): void {
    if (this.exists) fs.renameSync(this.#keyFile, `${this.#keyFile}.${Date.now()}.old`)
    const { privateKey } = generateKeyPairSync('ed25519')
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' })
    fs.writeFileSync(this.#keyFile, pem, { mode: 0o600, flag: 'wx' })
  }

  /** Leaves the public keys where verifiers find them. */
  publish(): void {
    fs.writeFileSync(this.#publicFile, this.publicPem)
  }

  #kept(): KeyObject[] {
    try {
      return publicKeysOf(fs.readFileSync(this.#publicFile, 'utf8'))
    } catch {
      return [] // not there yet, or of no use
    }
  }
}

export const toPem = (key: KeyObject): string =>
  key.export({ type: 'spki', format: 'pem' }) as string
