import type { Tx } from '../store/tx.ts'
import { raiseAlert } from './alerts.ts'

const HOUR_MS = 3_600_000

/** Puts on record that an upstream sent back a credential of the gate: once an hour for each. */
export class CredentialEchoes {
  readonly #write: (work: (tx: Tx) => Promise<void>) => Promise<void>
  readonly #noticedAt = new Map<string, number>()

  constructor(write: (work: (tx: Tx) => Promise<void>) => Promise<void>) {
    this.#write = write
  }

  /** Never fails: what cannot be recorded now is when it happens next. */
  async noticed(upstream: string): Promise<void> {
    const now = performance.now()
    const before = this.#noticedAt.get(upstream)
    if (before !== undefined && now - before < HOUR_MS) return
    this.#noticedAt.set(upstream, now)
    await this.#write((tx) => raise(tx, upstream)).catch(() => this.#noticedAt.delete(upstream))
  }
}

// Another replica, or this one before it was restarted, may have raised it.
async function raise(tx: Tx, upstream: string): Promise<void> {
  const rows = await tx.query<{ details: string }>(
    `select details from alerts where type = 'credential_echoed' and at > $1`,
    [new Date(tx.nowMs - HOUR_MS)],
  )
  if (rows.some(({ details }) => JSON.parse(details).upstream === upstream)) return
  const message = `upstream \`${upstream}\` sent back a credential of the gate, which was masked`
  raiseAlert(tx, 'credential_echoed', '', message, { upstream })
}
