import type { Bytes } from '../lib/spool.ts'
import type { StoredResult } from '../model/result.ts'

// Answers that are too large for whoever called `/act`, for a while, in the spool of the replica that made the call: the
// record has their length and digest. They are gone when their time is over, when newer ones need the room, and when the
// gate stops.

const BYTES_MAX = 2 * 2 ** 30

/** One that may still be fetched. */
export interface KeptResult {
  readonly agentId: string
  readonly result: StoredResult
  readonly bytes: Bytes
}

interface Entry extends KeptResult {
  readonly timer: NodeJS.Timeout
}

export class KeptResults {
  readonly #kept = new Map<string, Entry>()
  #bytes = 0

  keep(
    { id, agentId }: { readonly id: string; readonly agentId: string },
    result: StoredResult,
    bytes: Bytes,
    ttlMs: number,
  ): void {
    if (ttlMs <= 0 || bytes.bytes > BYTES_MAX) return bytes.discard()
    const timer = setTimeout(() => this.#drop(id), ttlMs).unref()
    this.#kept.set(id, { agentId, result, bytes, timer })
    this.#bytes += bytes.bytes
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= BYTES_MAX) break
      this.#drop(oldest)
    }
  }

  find(actionId: string): KeptResult | undefined {
    return this.#kept.get(actionId)
  }

  #drop(actionId: string): void {
    const entry = this.#kept.get(actionId)
    if (!entry) return
    clearTimeout(entry.timer)
    entry.bytes.discard()
    this.#bytes -= entry.bytes.bytes
    this.#kept.delete(actionId)
  }
}
