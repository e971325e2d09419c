import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import fs from 'node:fs'
import { canonicalJson } from '../lib/canonical.ts'
import { keyIdOf } from '../lib/checkpoint.ts'
import { publicKeysOf, signManifest, verifyManifest, type SignedManifest } from '../lib/manifest.ts'
import { parseStrictJson } from '../lib/strict-json.ts'
import type { Json, JsonObject } from '../model/json.ts'
import { CliError, EXIT, print } from './exit.ts'

/** Makes an Ed25519 key pair: the private key with mode 0600, the public one beside it. */
export function manifestKeygen(out: string): void {
  for (const file of [`${out}.key.pem`, `${out}.pub.pem`]) {
    if (fs.existsSync(file))
      throw new CliError(EXIT.usage, `${file} exists already; nothing was written`)
  }
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const secret = privateKey.export({ type: 'pkcs8', format: 'pem' })
  fs.writeFileSync(`${out}.key.pem`, secret, { mode: 0o600 })
  fs.writeFileSync(`${out}.pub.pem`, publicKey.export({ type: 'spki', format: 'pem' }))
  print(`wrote ${out}.key.pem and ${out}.pub.pem, key id ${keyIdOf(publicKey)}`)
  print(`trust it: MANIFEST_TRUSTED_KEYS=${out}.pub.pem`)
}

export function manifestSign(file: string, options: { key: string; out?: string }): void {
  const manifest = readObject(file)
  for (const [member, type] of [
    ['name', 'string'],
    ['manifest_version', 'number'],
  ] as const) {
    if (typeof manifest[member] !== type) {
      throw new CliError(EXIT.usage, `${file}: a manifest needs \`${member}\`, a ${type}`)
    }
  }
  const signed = signManifest(manifest, readPrivateKey(options.key))
  const text = `${JSON.stringify(signed, null, 2)}\n`
  if (options.out === undefined) process.stdout.write(text)
  else fs.writeFileSync(options.out, text)
}

/** Exit 5 when no given key signed exactly this manifest. */
export function manifestVerify(file: string, options: { publicKey: string[] }): void {
  const signed = readObject(file) as unknown as SignedManifest
  if (!isSigned(signed)) {
    throw new CliError(EXIT.usage, `${file}: not a signed manifest {manifest, key_id, signature}`)
  }
  const keys = options.publicKey.flatMap((one) => readPublicKeys(one))
  const verdict = verifyManifest(signed, keys)
  const { name, manifest_version: version } = signed.manifest
  print(`${verdict}: ${canonicalJson(name ?? null)} version ${canonicalJson(version ?? null)}`)
  if (verdict !== 'valid') throw new CliError(EXIT.finding, `${file} is not to be believed`)
}

function isSigned(signed: SignedManifest): boolean {
  const { manifest, key_id: keyId, signature } = signed
  const isObject = manifest !== null && typeof manifest === 'object' && !Array.isArray(manifest)
  return isObject && typeof keyId === 'string' && typeof signature === 'string'
}

function readObject(file: string): JsonObject {
  let value: Json
  try {
    value = parseStrictJson(fs.readFileSync(file, 'utf8'))
  } catch (error) {
    throw new CliError(EXIT.usage, `${file}: ${(error as Error).message}`)
  }
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) {
    return value as JsonObject
  }
  throw new CliError(EXIT.usage, `${file}: not a JSON object`)
}

function readPrivateKey(file: string): KeyObject {
  try {
    const key = createPrivateKey(fs.readFileSync(file))
    if (key.asymmetricKeyType === 'ed25519') return key
  } catch (error) {
    throw new CliError(EXIT.usage, `${file}: ${(error as Error).message}`)
  }
  throw new CliError(EXIT.usage, `${file}: not an Ed25519 private key`)
}

function readPublicKeys(file: string): KeyObject[] {
  try {
    return publicKeysOf(fs.readFileSync(file, 'utf8'))
  } catch (error) {
    throw new CliError(EXIT.usage, `${file}: ${(error as Error).message}`)
  }
}
