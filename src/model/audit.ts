import type { JsonObject } from './json.ts'

/** What happened, before it has a place in the chain. Empty strings where a field does not apply. */
export interface AuditDraft {
  /** `decision`, `outcome`, `approval.approved`, `kill_switch.engaged`, ... also the event type. */
  readonly kind: string
  readonly agentId: string
  readonly tool: string
  readonly effect: string
  readonly actionId: string
  /** Everything else worth recording; becomes part of the hashed body. */
  readonly detail: JsonObject
}

/** An entry as stored. `body` is the hashed RFC 8785 text; the other columns repeat parts of it. */
export interface AuditEntry {
  readonly seq: bigint
  /** ISO 8601, UTC, milliseconds. */
  readonly at: string
  readonly kind: string
  readonly agentId: string
  readonly tool: string
  readonly effect: string
  readonly actionId: string
  readonly body: string
  readonly prevHash: string
  readonly hash: string
  /** The draft's detail, while the replica that wrote the entry still has it; saves reading `body`. */
  readonly detail?: JsonObject
}

/** A signed statement that the chain had `size` entries and ended in `head` at `at`. */
export interface Checkpoint {
  readonly size: bigint
  readonly head: string
  readonly at: string
  readonly keyId: string
  /** Ed25519 over `portcullis-checkpoint/v1\n<size>\n<head>\n<at>\n`, base64. */
  readonly signature: string
}

/**
 * A signed statement that the entries up to `size`, which ended in `head`, were dropped on purpose. Same
 * members as a checkpoint, over `portcullis-archive/v1`, so that neither passes for the other.
 */
export type Archive = Checkpoint

/** A signed statement that the entries after `size`, up to `lostSize`, are gone and that somebody knows why. */
export interface Loss {
  readonly lostSize: bigint
  readonly lostHead: string
  /** What the record still had, and ended in. */
  readonly size: bigint
  readonly head: string
  readonly at: string
  readonly reason: string
  readonly keyId: string
  /** Ed25519 over `portcullis-loss/v1`, the members above and the SHA-256 of the reason, a line each; base64. */
  readonly signature: string
}
