import type { Logger } from '../lib/log.ts'
import { raiseAlert, raisedSince } from '../record/alerts.ts'
import type { Tx } from '../store/tx.ts'

// Replicas that read directories of their own decide by what lies there, and nobody but a person can say which is right. An
// edit reaches them one after another, so that they differ for a while is as it should be; that they still do after a minute
// is told once, by whichever looks first.

const LOOK_MS = 5_000
const DIFFERING_MS_MAX = 60_000

/** A replica that is alive, and what it decides by; '': nothing yet. */
export interface DecidingReplica {
  readonly id: string
  readonly host: string
  readonly revision: string
}

export interface RevisionsWatchParts {
  readonly replicas: () => Promise<readonly DecidingReplica[]>
  readonly write: (work: (tx: Tx) => Promise<void>) => Promise<void>
  /** In ms, of any beginning, and never set back. */
  readonly nowMs: () => number
  readonly log: Logger
}

/** Raises `revisions_differ` where replicas decide by different revisions for longer than a minute. */
export class RevisionsWatch {
  readonly #parts: RevisionsWatchParts
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> | undefined
  /** Since when they differ, as far as this one has looked. */
  #since: number | undefined
  #isTold = false

  constructor(parts: RevisionsWatchParts) {
    this.#parts = parts
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.#looking ??= this.look().finally(() => {
        this.#looking = undefined
      })
    }, LOOK_MS).unref()
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#looking
  }

  /** Never fails: what cannot be asked or told now is at the next look. */
  async look(): Promise<void> {
    try {
      await this.#look()
    } catch (error) {
      this.#parts.log.warn({ err: error }, 'whether replicas decide alike is not known')
    }
  }

  async #look(): Promise<void> {
    const { replicas, write, nowMs } = this.#parts
    const deciding = (await replicas()).filter(({ revision }) => revision !== '')
    if (new Set(deciding.map(({ revision }) => revision)).size < 2) {
      this.#since = undefined
      this.#isTold = false
      return
    }
    this.#since ??= nowMs()
    const differingMs = nowMs() - this.#since
    if (this.#isTold || differingMs <= DIFFERING_MS_MAX) return
    await write((tx) => raise(tx, deciding, differingMs))
    this.#isTold = true
  }
}

// Another replica that has looked for as long may have told of the same.
async function raise(
  tx: Tx,
  deciding: readonly DecidingReplica[],
  differingMs: number,
): Promise<void> {
  const revisions = [...new Set(deciding.map(({ revision }) => revision))].toSorted()
  const told = await raisedSince(tx, 'revisions_differ', new Date(tx.nowMs - differingMs))
  if (told.some((one) => JSON.stringify(one['revisions']) === JSON.stringify(revisions))) return
  const replicas = deciding.map(({ id, host, revision }) => ({ id, host, revision }))
  const message = `${deciding.length} replicas decide by ${revisions.length} revisions, for more than a minute`
  raiseAlert(tx, 'revisions_differ', '', message, { replicas, revisions })
}
