import type { KeyObject } from 'node:crypto'
import fs from 'node:fs'
import { GatewayError } from '../errors.ts'
import { digest } from '../lib/canonical.ts'
import { publicKeysOf, verifyManifest, type SignedManifest } from '../lib/manifest.ts'
import type { JsonObject } from '../model/json.ts'
import type { Tx } from '../store/tx.ts'

/** Which manifests this gate believes, and which agents need one. */
export interface ManifestTrust {
  readonly keys: readonly KeyObject[]
  /** Profiles whose agents are registered from a signed manifest or not at all. */
  readonly profiles: ReadonlySet<string>
}

interface ManifestRow {
  readonly name: string
  readonly version: bigint
  readonly hash: string
}

/** Reads the public keys that are trusted. @throws GatewayError when a file cannot be read or holds another kind of key */
export function trustedKeys(files: readonly string[]): KeyObject[] {
  return files.flatMap((file) => {
    try {
      return publicKeysOf(fs.readFileSync(file, 'utf8'))
    } catch (error) {
      const cause = (error as Error).message
      throw new GatewayError('invalid_request', `MANIFEST_TRUSTED_KEYS: ${file}: ${cause}`)
    }
  })
}

/**
 * Checks signature and validity at `nowMs`; the manifest's content and its SHA-256.
 * @throws GatewayError `invalid_signature`
 */
export function openManifest(
  signed: SignedManifest,
  trust: ManifestTrust,
  nowMs: number,
): { content: JsonObject; hash: string } {
  const verdict = verifyManifest(signed, trust.keys)
  if (verdict === 'untrusted_key') throw refused('no trusted key has the id of this manifest')
  if (verdict === 'bad_signature') throw refused('the signature does not fit the manifest')
  const { manifest } = signed
  const { expires_at: expiresAt } = manifest
  if (typeof expiresAt === 'string' && !(Date.parse(expiresAt) > nowMs)) {
    throw refused('the manifest has expired')
  }
  return { content: manifest, hash: digest(manifest) }
}

/**
 * Remembers the newest manifest of a name; what is older than that is a replay, and so is another
 * one of the same version.
 * @throws GatewayError `manifest_replayed`
 */
export async function admitManifest(
  tx: Tx,
  seen: {
    readonly name: string
    readonly version: number
    readonly hash: string
    readonly keyId: string
  },
): Promise<void> {
  const [prior] = await tx.query<ManifestRow>(
    'select name, version, hash from manifests where name = $1',
    [seen.name],
  )
  const version = BigInt(seen.version)
  const isReplay =
    prior && (version < prior.version || (version === prior.version && seen.hash !== prior.hash))
  if (isReplay) {
    throw new GatewayError(
      'manifest_replayed',
      `a manifest of \`${seen.name}\` with version ${prior.version} was seen before`,
    )
  }
  await tx.query(
    `insert into manifests (name, version, hash, key_id, at) values ($1, $2, $3, $4, $5)
     on conflict (name) do update set version = excluded.version, hash = excluded.hash,
       key_id = excluded.key_id, at = excluded.at`,
    [seen.name, version, seen.hash, seen.keyId, new Date(tx.nowMs)],
  )
}

/** @throws GatewayError `invalid_signature` for a profile whose agents need a manifest */
export function assertUnsigned(trust: ManifestTrust, profile: string | undefined): void {
  if (profile === undefined || !trust.profiles.has(profile)) return
  throw refused(`an agent of profile \`${profile}\` needs a signed manifest`)
}

function refused(message: string): GatewayError {
  return new GatewayError('invalid_signature', message)
}
