import type { Sides } from '../../canary/sides.ts'
import type { Tally } from '../../canary/tally.ts'
import { addCanaryCounts } from '../../record/policy-canaries.ts'
import type { Db } from '../../store/tx.ts'

/** What this replica has counted, on its way to the database; of one that has ended too, until it is there. */
export class CanaryCounts {
  readonly #db: Db
  readonly #sides: Sides
  readonly #kept = new Map<string, Tally>()
  #flushing: Promise<void> = Promise.resolve()

  constructor(db: Db, sides: Sides) {
    this.#db = db
    this.#sides = sides
  }

  /** Keeps what was counted of the one that runs and is about to end. */
  keep(id: string): void {
    this.#kept.set(id, this.#sides.tally)
  }

  /** Adds what there is. @throws what the database says; it is added the next time */
  flush(): Promise<void> {
    // One after another: what one has taken out and cannot add has to be back before the next one looks.
    this.#flushing = this.#flushing.catch(() => {}).then(() => this.#flush())
    return this.#flushing
  }

  async #flush(): Promise<void> {
    const { running, tally } = this.#sides
    if (running) await this.#add(running.id, tally)
    for (const [id, ended] of this.#kept) {
      await this.#add(id, ended)
      this.#kept.delete(id)
    }
  }

  async #add(id: string, tally: Tally): Promise<void> {
    const counts = tally.drain()
    if (counts.length === 0) return
    try {
      await addCanaryCounts(this.#db, id, counts)
    } catch (error) {
      tally.putBack(counts)
      throw error
    }
  }
}
