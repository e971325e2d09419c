import { sha256 } from '../lib/canonical.ts'
import { parseStrictJson } from '../lib/strict-json.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { RecordMask } from './mask.ts'

// JSON of others in an entry: what was asked, and what was said to it.

/** More of it is on record as its hash alone. */
export const EVIDENCE_CHARS_MAX = 16_384

/**
 * JSON text as members of an entry: its hash, and itself where it is small and no number in it would lose digits. With a
 * mask only a digest: rules of the record name places in an action, and here anything may stand anywhere.
 */
export function evidence(
  name: 'input' | 'result',
  text: string | undefined,
  mask: RecordMask | undefined,
): JsonObject {
  if (text === undefined) return {}
  const hash = sha256(text)
  if (mask) return { [`${name}_hash`]: mask.keyed(hash) }
  const value = text.length <= EVIDENCE_CHARS_MAX ? exactValue(text) : undefined
  return { [`${name}_hash`]: hash, ...(value === undefined ? {} : { [name]: value }) }
}

function exactValue(text: string): Json | undefined {
  try {
    return parseStrictJson(text)
  } catch {
    return undefined
  }
}
