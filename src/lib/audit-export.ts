import type { AuditEntry, Checkpoint } from '../model/audit.ts'
import type { JsonObject } from '../model/json.ts'
import { entryColumns } from './chain.ts'

// The export of the record, portcullis-audit/v1: a line of JSON for its head, for every entry, for every
// checkpoint and archive, and for its end, without which it was cut off. What writes a line and what reads
// it stand together, so that who verifies years later reads what was written. A reader judges nothing: a
// member that is missing or mistyped becomes an empty one, which no hash and no signature fits.

export type ExportLine =
  | { readonly type: 'entry'; readonly entry: AuditEntry }
  | { readonly type: 'checkpoint' | 'archive'; readonly statement: Checkpoint }
  | { readonly type: 'end' | 'other' | 'malformed' }

export const headLine = (size: bigint, head: string, keys: JsonObject[]): JsonObject => ({
  type: 'head',
  format: 'portcullis-audit/v1',
  size: Number(size),
  head,
  keys,
})

export const entryLine = (entry: AuditEntry): JsonObject => ({
  type: 'entry',
  ...entryColumns(entry),
  body: entry.body,
  prev_hash: entry.prevHash,
  hash: entry.hash,
})

export const statementLine = (
  type: 'checkpoint' | 'archive',
  statement: Checkpoint,
): JsonObject => ({ type, ...checkpointJson(statement) })

export const endLine = (size: bigint): JsonObject => ({ type: 'end', size: Number(size) })

/** A signed checkpoint or archive on the wire. */
export const checkpointJson = ({ size, head, at, keyId, signature }: Checkpoint): JsonObject => ({
  size: Number(size),
  head,
  at,
  key_id: keyId,
  signature,
})

/** Undefined for an empty line. Kinds of lines that a later version adds are `other`. */
export function readExportLine(text: string): ExportLine | undefined {
  if (text === '') return undefined
  const line = parse(text)
  if (!line) return { type: 'malformed' }
  switch (line['type']) {
    case 'entry':
      return { type: 'entry', entry: toEntry(line) }
    case 'checkpoint':
    case 'archive':
      return { type: line['type'], statement: toStatement(line) }
    case 'end':
      return { type: 'end' }
    default:
      return { type: 'other' }
  }
}

type Line = Readonly<Record<string, unknown>>

function parse(text: string): Line | undefined {
  try {
    return JSON.parse(text) as Line
  } catch {
    return undefined
  }
}

function toEntry(line: Line): AuditEntry {
  const text = (name: string) => {
    const value = line[name]
    return typeof value === 'string' ? value : ''
  }
  return {
    seq: toBigInt(line['seq']),
    at: text('at'),
    kind: text('kind'),
    agentId: text('agent_id'),
    tool: text('tool'),
    effect: text('effect'),
    actionId: text('action_id'),
    body: text('body'),
    prevHash: text('prev_hash'),
    hash: text('hash'),
  }
}

function toStatement(line: Line): Checkpoint {
  return {
    size: toBigInt(line['size']),
    head: String(line['head']),
    at: String(line['at']),
    keyId: String(line['key_id']),
    signature: String(line['signature']),
  }
}

function toBigInt(value: unknown): bigint {
  return /^\d+$/.test(String(value)) ? BigInt(String(value)) : 0n
}
