import { approvedButHeld, overdueApprovals } from '../approvals/tasks.ts'
import type { Logger } from '../lib/log.ts'
import type { Operations } from '../operations/operations.ts'
import type { Pipeline } from '../pipeline/pipeline.ts'
import { keepRecord, type RetentionParts } from '../operations/retention.ts'
import type { Replays } from '../rehearsal/replays.ts'
import type { Sandbox } from '../rehearsal/sandbox.ts'
import type { Turns } from '../turns/turns.ts'
import { hasOrphanedActions } from '../record/actions.ts'
import { sweepHeldFiles } from '../record/held-files.ts'
import { hasOrphanedTurns } from '../record/turns.ts'
import { patiently } from '../store/patience.ts'
import type { Db } from '../store/tx.ts'

// The safety net under the queues. Nothing depends on a wake-up alone: once a second each replica looks for
// what should have gone on by itself (held actions that are approved, tasks that are overdue, actions, turns
// and runs of a replica whose lease has run out) and has it done. Looking is a read; of two replicas that
// find the same, the ledger lets one do it. A sweep that fails is logged and comes again.

export interface SweeperParts {
  readonly db: Db
  readonly pipeline: Pipeline
  readonly operations: Operations
  readonly turns: Turns
  readonly sandbox: Sandbox
  readonly replays: Replays
  readonly log: Logger
  readonly retention: RetentionParts
}

const SWEEP_MS = 1_000
/** Rounds from one time to the next, of what is not done in each. */
const EVERY = { counters: 60, record: 3_600 }
/** A wake-up that has not come after this long is taken for lost. */
const LOST_WAKE_UP_MS = 5_000

/** One that has to wait is looked at again after this long at the earliest. */
const WAKE_AGAIN_MS = 2_000
/** How many approved actions it has judged and carried out at once; the others come with a later round. */
const RESUMING_MAX = 32

/** Finds what a lost wake-up left behind: overdue and approved tasks, actions of dead replicas. */
export class Sweeper {
  readonly #parts: SweeperParts
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  /** Approved actions that it has woken, and that may take as long as their look-ups and upstreams. */
  readonly #resuming = new Map<string, Promise<void>>()
  /** When one that had to wait was woken last, ms of the clock that only grows. */
  readonly #wokenAt = new Map<string, number>()
  #rounds = 0

  constructor(parts: SweeperParts) {
    this.#parts = parts
  }

  async start(): Promise<void> {
    await patiently(() => keepRecord(this.#parts.retention))
    await this.#sweep()
    this.#timer = setInterval(() => {
      this.#running ??= this.#sweep().finally(() => {
        this.#running = undefined
      })
    }, SWEEP_MS)
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#running
    await Promise.all(this.#resuming.values())
  }

  async #sweep(): Promise<void> {
    const { db, operations, pipeline, turns, sandbox, replays, log, retention } = this.#parts
    try {
      const orphans = await this.#orphans()
      if (orphans > 0)
        log.warn({ actions: orphans }, 'actions of a stopped replica are indeterminate')
      if (await hasOrphanedTurns(db)) await turns.sweep()
      await sandbox.sweep(LOST_WAKE_UP_MS)
      await replays.sweep(LOST_WAKE_UP_MS)
      for (const id of await overdueApprovals(db)) await operations.expire(id)
      this.#resumeAll(pipeline, await approvedButHeld(db, LOST_WAKE_UP_MS))
      if (this.#rounds % EVERY.counters === 0) {
        await operations.sweepCounters()
        await sweepHeldFiles(db)
      }
      if (this.#rounds % EVERY.record === EVERY.record - 1) await keepRecord(retention)
      this.#rounds++
    } catch (error) {
      log.warn({ err: error }, 'sweep failed; it runs again')
    }
  }

  // Nobody waits for them here: an upstream that says nothing must not keep others from expiring. What has to wait (for
  // a switch, a look-up, a window) is not asked again at once.
  #resumeAll(pipeline: Pipeline, ids: readonly string[]): void {
    const now = performance.now()
    const waiting = new Set(ids)
    for (const id of this.#wokenAt.keys()) if (!waiting.has(id)) this.#wokenAt.delete(id)
    for (const id of ids) {
      const isJust = now - (this.#wokenAt.get(id) ?? -Infinity) < WAKE_AGAIN_MS
      if (isJust || this.#resuming.has(id)) continue
      if (this.#resuming.size >= RESUMING_MAX) return
      this.#wokenAt.set(id, now)
      const resuming = pipeline.resume(id).catch((error: unknown) => {
        this.#parts.log.warn(
          { err: error, action: id },
          'an approved action was not resumed; it is tried again',
        )
      })
      this.#resuming.set(
        id,
        resuming.finally(() => this.#resuming.delete(id)),
      )
    }
  }

  // Looking costs a read; only a find costs a ledger batch.
  async #orphans(): Promise<number> {
    const { db, operations } = this.#parts
    return (await hasOrphanedActions(db)) ? operations.sweepOrphans() : 0
  }
}
