import type { AuditEntry } from '../../model/audit.ts'
import type { EventStream } from '../../record/events.ts'

/** What one turn of the event loop gives out: a few milliseconds of work. */
const ENTRIES_PER_TURN = 200
/** What waits for its turn; beyond it readers go on from the database, each at its own pace. */
const WAITING_MAX = 2_000

/** Takes what it is given in order; `behind` is told instead when there is more than is kept. */
export interface Follower {
  take(entry: AuditEntry): void
  behind(): void
}

/**
 * Gives what happens to all who follow it, in slices. Thousands of readers times a batch of entries is
 * seconds of work; done in one go, the kill switch and everything else would wait behind it. What comes
 * meanwhile waits for the next round, so each follower gets each entry once and in order. A follower
 * who joins gets what was published after that, and perhaps what was still waiting.
 */
export class Fanout {
  readonly #followers = new Set<Follower>()
  #waiting: AuditEntry[] = []
  #running = false

  constructor(events: EventStream) {
    events.subscribe((entry) => this.#publish(entry))
  }

  /** Answers how to leave. */
  follow(follower: Follower): () => void {
    this.#followers.add(follower)
    return () => this.#followers.delete(follower)
  }

  #publish(entry: AuditEntry): void {
    if (this.#followers.size === 0) return
    this.#waiting.push(entry)
    if (this.#waiting.length > WAITING_MAX) this.#dropBehind()
    if (this.#running) return
    this.#running = true
    setImmediate(() => void this.#run())
  }

  #dropBehind(): void {
    this.#waiting = []
    for (const follower of [...this.#followers]) follower.behind()
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const entries = this.#waiting
      this.#waiting = []
      await this.#giveOut(entries)
    }
    this.#running = false
  }

  async #giveOut(entries: readonly AuditEntry[]): Promise<void> {
    let given = 0
    for (const follower of [...this.#followers]) {
      for (const entry of entries) {
        if (this.#followers.has(follower)) follower.take(entry)
      }
      given += entries.length
      if (given < ENTRIES_PER_TURN) continue
      given = 0
      await new Promise(setImmediate)
    }
  }
}
