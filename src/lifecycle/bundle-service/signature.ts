import { createHash, createPublicKey, type KeyObject } from 'node:crypto'
import fs from 'node:fs'
import { compactVerify } from 'jose'
import type { Json, JsonObject } from '../../model/json.ts'
import { parseStrictJson } from '../../lib/strict-json.ts'
import { Findings } from '../../sources/diagnostics.ts'
import { readTarGz } from '../../sources/tar.ts'
import { parseYaml } from '../../sources/yaml.ts'
import { documentHash } from './document-hash.ts'

// A signed bundle says in one token what each of its files hashes to, and is worth as much as the check that it says so of all of
// them and of nothing else. Where a key is configured an unsigned bundle is refused; where none is, a signed one is, since whoever
// signs expects that somebody looks.

const SIGNATURES = '.signatures.json'
/** Of the hashes that OPA knows, those that are still worth something. */
const HASHES: Readonly<Record<string, string>> = {
  'SHA-224': 'sha224',
  'SHA-256': 'sha256',
  'SHA-384': 'sha384',
  'SHA-512': 'sha512',
  'SHA-512-224': 'sha512-224',
  'SHA-512-256': 'sha512-256',
}

type Members = ReadonlyMap<string, Uint8Array>

/** The key whose signature is believed. @throws Error when the file holds no public key that bundles are signed with */
export function bundleKey(file: string): KeyObject {
  const key = createPublicKey(fs.readFileSync(file))
  if (algorithmsOf(key).length > 0) return key
  throw new Error(`${file} must hold a public key of Ed25519, P-256, P-384 or RSA`)
}

/** A bundle as it came, and whose signature on it is believed. */
export interface ToCheck {
  readonly bundle: Uint8Array
  /** Null: bundles are not signed. */
  readonly key: KeyObject | null
  readonly scope: string
}

/** What is wrong with a bundle; null: nothing. */
export async function problemOf({ bundle, key, scope }: ToCheck): Promise<string | null> {
  try {
    const members = readTarGz(bundle)
    if (key) await new BundleTrust(key, scope).check(members)
    else assertUnsigned(members)
    return null
  } catch (error) {
    return (error instanceof Error && error.message) || 'it cannot be read'
  }
}

/** Whose signature on a bundle is believed. */
class BundleTrust {
  readonly #key: KeyObject
  readonly #algorithms: readonly string[]
  readonly #scope: string

  constructor(key: KeyObject, scope: string) {
    this.#key = key
    this.#algorithms = algorithmsOf(key)
    this.#scope = scope
  }

  /** @throws Error with what is wrong */
  async check(members: Members): Promise<void> {
    const token = tokenIn(members)
    const said = await this.#said(token)
    const { files, scope = '' } = objectOf(said)
    if (scope !== this.#scope) throw new Error('its signature is for another scope')
    const hashes = new Map((Array.isArray(files) ? files : []).map(fileOf))
    const names = [...members.keys()].filter((name) => name !== SIGNATURES)
    const unsigned = names.find((name) => !hashes.has(name))
    if (unsigned !== undefined) throw new Error(`its signature does not cover ${unsigned}`)
    const missing = [...hashes.keys()].find((name) => !members.has(name))
    if (missing !== undefined)
      throw new Error(`${missing}, which its signature covers, is not in it`)
    for (const name of names) assertHash(name, members.get(name) ?? EMPTY, hashes.get(name))
  }

  async #said(token: string): Promise<Json> {
    try {
      const { payload } = await compactVerify(token, this.#key, {
        algorithms: [...this.#algorithms],
      })
      return parseStrictJson(Buffer.from(payload).toString('utf8'))
    } catch (error) {
      throw new Error('its signature is not by the key that is configured', { cause: error })
    }
  }
}

/** @throws Error for a bundle that is signed, where nobody can check it */
function assertUnsigned(members: Members): void {
  if (!members.has(SIGNATURES)) return
  throw new Error('it is signed, and POLICY_BUNDLE_PUBLIC_KEY is not set')
}

const EMPTY = new Uint8Array()

function algorithmsOf({ asymmetricKeyType: type, asymmetricKeyDetails: of }: KeyObject): string[] {
  if (type === 'ed25519') return ['EdDSA', 'Ed25519']
  if (type === 'rsa') return ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']
  if (type !== 'ec') return []
  if (of?.namedCurve === 'prime256v1') return ['ES256']
  return of?.namedCurve === 'secp384r1' ? ['ES384'] : []
}

function tokenIn(all: Members): string {
  const content = all.get(SIGNATURES)
  if (!content) throw new Error('it is not signed')
  const { signatures } = objectOf(parseStrictJson(Buffer.from(content).toString('utf8')))
  const [token, ...others] = Array.isArray(signatures) ? signatures : []
  if (typeof token !== 'string' || others.length > 0) {
    throw new Error(`its ${SIGNATURES} does not hold exactly one signature`)
  }
  return token
}

interface SignedFile {
  readonly hash: string
  readonly algorithm: string
}

function fileOf(file: Json): [string, SignedFile] {
  const { name, hash, algorithm = 'SHA-256' } = objectOf(file)
  if (typeof name !== 'string' || typeof hash !== 'string' || typeof algorithm !== 'string') {
    throw new Error('its signature lists what is no file')
  }
  return [name.replace(/^\/+/, ''), { hash, algorithm }]
}

function assertHash(name: string, content: Uint8Array, signed: SignedFile | undefined): void {
  const algorithm = HASHES[signed?.algorithm ?? '']
  if (!algorithm) throw new Error(`${name} is signed by a hash that is not accepted`)
  if (fileHash(name, content, algorithm) !== signed?.hash.toLowerCase()) {
    throw new Error(`${name} is not what was signed`)
  }
}

// What OPA takes for a document, by its whole name; any other JSON is hashed as it is.
const JSON_DOCUMENT = /(?:^|\/)(?:data\.json|\.manifest)$/
const YAML_DOCUMENT = /(?:^|\/)data\.yaml$/

/** What is signed of a file. @throws Error for a document that cannot be read */
export function fileHash(name: string, content: Uint8Array, algorithm: string): string {
  if (JSON_DOCUMENT.test(name)) {
    return documentHash(Buffer.from(content).toString('utf8'), algorithm)
  }
  if (YAML_DOCUMENT.test(name)) {
    const value = parseYaml(name, Buffer.from(content).toString('utf8'), new Findings())?.value
    if (value === undefined) throw new Error(`its ${name} cannot be read`)
    return documentHash(JSON.stringify(value), algorithm)
  }
  return createHash(algorithm).update(content).digest('hex')
}

function objectOf(value: Json): JsonObject {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  return isObject ? (value as JsonObject) : {}
}
