import { GatewayError } from '../errors.ts'
import type { Logger } from '../lib/log.ts'
import type { PolicyStore } from '../policy/store.ts'
import { lastPublication } from '../record/policy-revisions.ts'
import type { EventStream } from '../record/events.ts'
import type { Db } from '../store/tx.ts'
import type { KeptPolicy } from './kept-policy.ts'

// A replica follows what is published by two ways: the entry that says so comes with the stream of the record within
// milliseconds, as a hint, and four times a second the last publication is asked for, so that a hint that is lost costs
// no more than that. What does not load here is not tried again until something else is published, or somebody asks.

const LOOK_MS = 250

export interface FollowerParts {
  readonly db: Db
  readonly events: EventStream
  readonly policies: PolicyStore
  readonly kept: KeptPolicy
  readonly log: Logger
}

/** Adopts what is published in the database, whoever published it. */
export class Follower {
  readonly #parts: FollowerParts
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> | undefined
  #again = false
  #refused = 0
  #unsubscribe: () => void = () => {}

  constructor(parts: FollowerParts) {
    this.#parts = parts
  }

  start(): void {
    const { events } = this.#parts
    this.#unsubscribe = events.subscribe(({ kind }) => {
      if (kind === 'policy.published') void this.look()
    })
    this.#timer = setInterval(() => void this.look(), LOOK_MS)
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#unsubscribe()
    await this.#looking
  }

  /** Adopts what was published last, where that is something else. Calls made meanwhile share one further look. */
  look(): Promise<void> {
    if (this.#looking) {
      this.#again = true
      return this.#looking
    }
    this.#looking = this.#lookUntilCurrent().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  async #lookUntilCurrent(): Promise<void> {
    do {
      this.#again = false
      try {
        await this.#once()
      } catch (error) {
        this.#parts.log.warn({ err: error }, 'what is published is not adopted yet')
      }
    } while (this.#again)
  }

  async #once(): Promise<void> {
    const { db, policies, kept } = this.#parts
    const last = await lastPublication(db)
    if (!last || last.n === this.#refused) return
    if (last.revision === policies.current.revision) {
      // What could not be followed was taken back.
      if (policies.rejection) await policies.reload('published')
      return
    }
    try {
      const result = await policies.adopt(kept.read, {
        reason: `published by ${last.author || 'the gate'}`,
        isRollback: last.source === 'rollback',
        // It was held against what it follows where it was published; a publication may have been missed here.
        isPublished: true,
        // Who published it here is about to adopt it.
        isWanted: (live) => live.revision !== last.revision,
        // It is on record already; what must not happen is to decide by something that is not.
        record: ({ bundle }) => kept.assertPublished(bundle),
      })
      if (!result.ok) this.#refused = last.n
    } catch (error) {
      if (error instanceof GatewayError && error.code === 'conflict') this.#refused = last.n
      throw error
    }
  }
}
