import { sha256 } from './canonical.ts'

/** What the first entry chains to. */
export const GENESIS_HASH = '0'.repeat(64)

/** Hash of an audit entry: SHA-256 over the previous hash, a newline, and the body text as stored. */
export function entryHash(prevHash: string, body: string): string {
  return sha256(`${prevHash}\n${body}`)
}
