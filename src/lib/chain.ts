import type { AuditEntry } from '../model/audit.ts'
import type { JsonObject } from '../model/json.ts'
import { sha256 } from './canonical.ts'

/** What the first entry chains to. */
export const GENESIS_HASH = '0'.repeat(64)

/** Hash of an audit entry: SHA-256 over the previous hash, a newline, and the body text as stored. */
export function entryHash(prevHash: string, body: string): string {
  return sha256(`${prevHash}\n${body}`)
}

/** The members that every entry has, under the names by which its body, its columns and exports know them. */
export function entryColumns(
  entry: Pick<AuditEntry, 'seq' | 'at' | 'kind' | 'agentId' | 'tool' | 'effect' | 'actionId'>,
): JsonObject {
  return {
    seq: Number(entry.seq),
    at: entry.at,
    kind: entry.kind,
    agent_id: entry.agentId,
    tool: entry.tool,
    effect: entry.effect,
    action_id: entry.actionId,
  }
}
