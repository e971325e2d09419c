import { setTimeout as delay } from 'node:timers/promises'
import type { Running, Sides } from '../../canary/sides.ts'
import type { Bundle } from '../../bundle/types.ts'
import type { Logger } from '../../lib/log.ts'
import type { Operations } from '../../operations/operations.ts'
import { closeAll } from '../../policy/load.ts'
import type { PolicyStore } from '../../policy/store.ts'
import type { EventStream } from '../../record/events.ts'
import {
  addCanaryCounts,
  type CanaryEnding,
  type CanaryStanding,
  canaryStanding,
  lastCanary,
  type PolicyCanary,
  sweepCanaryCounts,
} from '../../record/policy-canaries.ts'
import { patiently } from '../../store/patience.ts'
import type { Db } from '../../store/tx.ts'
import type { History } from '../history.ts'
import { figuresOf, isTooMuch } from './abort-when.ts'
import { endOnRecord } from './entries.ts'

// A replica follows what is on trial as it follows what is published: the entry that says so comes with the stream of the
// record, and once a second the row is asked for, so that a lost hint costs no more. With each look, what was counted goes
// to the database, and any replica ends the canary whose time is over or that did what it must not; the row is ended once,
// whoever is first. Where a candidate does not load, it is ended for all: an agent is to be on one side everywhere.

const LOOK_MS = 1_000
/** What is promoted goes on until it is adopted here, so that nobody is decided for by the old one in between. */
const ADOPTED_MS = 5_000
const SWEEP_EVERY = 300

export interface CanaryWatchParts {
  readonly db: Db
  readonly events: EventStream
  readonly policies: PolicyStore
  readonly history: History
  readonly operations: Operations
  readonly sides: Sides
  readonly log: Logger
}

/** Lets what is on trial run on this replica, as the database has it. */
export class CanaryWatch {
  readonly #parts: CanaryWatchParts
  readonly #ending = new AbortController()
  #unsubscribe: readonly (() => void)[] = []
  #running: Promise<void> | undefined
  #looking: Promise<void> | undefined
  #again = false
  #looks = 0
  #promotedAt: number | undefined

  constructor(parts: CanaryWatchParts) {
    this.#parts = parts
  }

  /** Nothing is decided before it is known what is on trial. */
  async start(): Promise<void> {
    const { events, policies } = this.#parts
    this.#unsubscribe = [
      events.subscribe(({ kind }) => {
        if (kind === 'policy.canary') void this.look()
      }),
      policies.subscribe({ onReloaded: () => void this.look() }),
    ]
    await patiently(() => this.#follow()).catch((error: unknown) => this.#notKnown(error))
    await this.look() // what is over by now ends first
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    for (const unsubscribe of this.#unsubscribe) unsubscribe()
    this.#ending.abort()
    await this.#running
    await this.#looking
    await this.#flush().catch(() => {})
    const { candidate } = this.#parts.sides.running ?? {}
    this.#parts.sides.end()
    if (candidate) await closeAll(candidate.modules)
  }

  /** Begins what was loaded here to be checked. */
  begin(canary: PolicyCanary, candidate: Bundle): void {
    const { sides, policies } = this.#parts
    if (sides.running?.id === canary.id) return policies.retire(candidate)
    sides.begin(runningOf(canary, candidate))
  }

  /** Does here what the database says. Calls made meanwhile share one further look. */
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

  /** What all replicas have counted, this one up to now. */
  async standing(id: string): Promise<CanaryStanding> {
    await this.#flush()
    return canaryStanding(this.#parts.db, id)
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending
    while (!signal.aborted) {
      await delay(LOOK_MS, undefined, { signal, ref: false }).catch(() => {})
      if (!signal.aborted) await this.look()
    }
  }

  async #lookUntilCurrent(): Promise<void> {
    do {
      this.#again = false
      try {
        await this.#flush()
        const last = await this.#follow()
        if (last?.status === 'running') await this.#judge(last)
      } catch (error) {
        this.#notKnown(error)
      }
    } while (this.#again)
  }

  #notKnown(error: unknown): void {
    this.#parts.log.warn({ err: error }, 'what is on trial is not known for the moment')
  }

  async #follow(): Promise<PolicyCanary | undefined> {
    const { db, sides } = this.#parts
    const last = await lastCanary(db)
    const { running } = sides
    if (running && !(last && this.#goesOn(running, last))) this.#end(running)
    if (last?.status === 'running' && last.id !== sides.running?.id) await this.#load(last)
    return last
  }

  #goesOn({ id, candidate }: Running, last: PolicyCanary): boolean {
    if (last.id !== id) return false
    if (last.status === 'running') return true
    if (last.status !== 'promoted') return false
    this.#promotedAt ??= performance.now()
    const isAdopted = this.#parts.policies.current.revision === candidate.revision
    return !isAdopted && performance.now() - this.#promotedAt < ADOPTED_MS
  }

  #end({ id, candidate }: Running): void {
    const { sides, policies, log } = this.#parts
    sides.end()
    this.#promotedAt = undefined
    policies.retire(candidate)
    log.info({ canary: id, revision: candidate.revision }, 'canary ended')
  }

  async #load(canary: PolicyCanary): Promise<void> {
    const { history, policies, log } = this.#parts
    const { id, revision } = canary
    const { files } = await history.read(revision)
    // It was tested where it began; what must never be let through is asked of the very bundle that decides.
    const result = files && (await policies.prepare(files, { isRollback: true }))
    if (result?.ok && result.bundle.revision === revision) {
      this.begin(canary, result.bundle)
      return log.info({ canary: id, revision, mode: canary.mode }, 'canary runs')
    }
    if (result?.ok) await closeAll(result.bundle.modules)
    const reason = 'a replica cannot load it, or has other values in its environment'
    await this.#finish(id, { status: 'aborted', code: 'unloadable', by: '', reason })
  }

  async #judge({ id, abortWhen }: PolicyCanary): Promise<void> {
    const { recent, isOver } = await canaryStanding(this.#parts.db, id)
    const tooMuch = isTooMuch(abortWhen, figuresOf(recent))
    if (tooMuch) return this.#finish(id, { status: 'aborted', by: '', ...tooMuch })
    if (isOver) return this.#finish(id, OVER)
    if (this.#looks++ % SWEEP_EVERY === 0) await sweepCanaryCounts(this.#parts.db)
  }

  async #finish(id: string, ending: CanaryEnding): Promise<void> {
    await this.#parts.operations.write((tx) => endOnRecord(tx, id, ending))
    this.#again = true
  }

  async #flush(): Promise<void> {
    const { db, sides } = this.#parts
    const { running, tally } = sides
    const counts = tally.drain()
    if (!running || counts.length === 0) return
    try {
      await addCanaryCounts(db, running.id, counts)
    } catch (error) {
      tally.putBack(counts)
      throw error
    }
  }
}

const OVER: CanaryEnding = { status: 'expired', code: 'until', by: '', reason: 'its time is over' }

const runningOf = (
  { id, mode, percent, agents, roles }: PolicyCanary,
  candidate: Bundle,
): Running => ({
  ...{ id, mode, percent, candidate },
  agents: agents && new Set(agents),
  roles: roles && new Set(roles),
})
