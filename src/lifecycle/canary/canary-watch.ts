import { setTimeout as delay } from 'node:timers/promises'
import type { Running, Sides } from '../../canary/sides.ts'
import type { Bundle } from '../../bundle/types.ts'
import type { Logger } from '../../lib/log.ts'
import type { Operations } from '../../operations/operations.ts'
import { closeAll } from '../../policy/load.ts'
import type { PolicyStore } from '../../policy/store.ts'
import type { EventStream } from '../../record/events.ts'
import {
  type CanaryEnding,
  type CanaryStanding,
  canaryStanding,
  isCanaryOver,
  lastCanary,
  type PolicyCanary,
  runningCanary,
  sweepCanaryCounts,
} from '../../record/policy-canaries.ts'
import { lastPublication } from '../../record/policy-revisions.ts'
import type { Diagnostic } from '../../sources/diagnostics.ts'
import { patiently } from '../../store/patience.ts'
import type { Db } from '../../store/tx.ts'
import type { History } from '../history.ts'
import { figuresOf, isTooMuch } from './abort-when.ts'
import { CanaryCounts } from './canary-counts.ts'
import { endingBy, endOnRecord } from './entries.ts'

// A replica follows what is on trial as it follows what is published: the entry that says so comes with the stream of the
// record, and once a second the row is asked for, so that a lost hint costs no more. Following comes first in each look, and
// what was counted goes to the database after it: whoever can write nothing must still end what is over. Any replica ends the
// canary whose time is over or that did what it must not; the row is ended once, whoever is first. Where a candidate does not
// load, it is ended for all: an agent is to be on one side everywhere.

const LOOK_MS = 1_000
/** What is promoted goes on until it is adopted here, so that nobody is decided for by the old one in between. */
const ADOPTED_MS = 5_000
const SWEEP_EVERY = 300
/**
 * Looks in which a candidate may fail to load for want of something else than itself. One that decides has none: until it
 * loads here, its agents would be on the other side of this replica.
 */
const LOADS_MAX = { compare: 10, enforce: 1 } as const

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
  readonly #counts: CanaryCounts
  #unsubscribe: readonly (() => void)[] = []
  #running: Promise<void> | undefined
  #looking: Promise<void> | undefined
  #again = false
  #flushing: Promise<void> | undefined
  #looks = 0
  #promotedAt: number | undefined
  /** What the one that runs here is tried against. */
  #base = ''
  #failed = { id: '', loads: 0 }

  constructor(parts: CanaryWatchParts) {
    this.#parts = parts
    this.#counts = new CanaryCounts(parts.db, parts.sides)
  }

  /** Nothing is decided before it is known what is on trial. */
  async start(): Promise<void> {
    const { events, policies } = this.#parts
    this.#unsubscribe = [
      events.subscribe(({ kind }) => {
        if (kind === 'policy.canary') void this.look()
      }),
      policies.subscribe({ onReloaded: ({ revision }) => this.#adopted(revision) }),
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
    await this.#counts.flush().catch(() => {})
    const { candidate } = this.#parts.sides.running ?? {}
    this.#parts.sides.end()
    if (candidate) await closeAll(candidate.modules)
  }

  /** Begins what was loaded here to be checked. */
  begin(canary: PolicyCanary, candidate: Bundle): void {
    const { sides, policies } = this.#parts
    if (sides.running?.id === canary.id) return policies.retire(candidate)
    // One that was ended elsewhere, which this replica has not heard of yet.
    if (sides.running) this.#end(sides.running)
    this.#base = canary.base
    sides.begin(runningOf(canary, candidate))
    void this.look() // it may have been ended while it was put on record
  }

  /** It was ended here: the live policy decides from now on, whatever can be read or written. */
  over(id: string): void {
    const { running } = this.#parts.sides
    if (running?.id === id) this.#end(running)
    void this.look()
  }

  /** Does here what the database says. Calls made meanwhile share one further look. Never fails. */
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

  /** What all replicas have counted, this one up to now; null where that cannot be read. Never fails. */
  async standing(id: string): Promise<CanaryStanding | null> {
    await this.#tried(() => this.#counts.flush())
    return (await this.#tried(() => canaryStanding(this.#parts.db, id))) ?? null
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
      const last = await this.#tried(() => this.#follow())
      await this.#counted()
      if (last?.status === 'running') await this.#judge(last)
    } while (this.#again)
  }

  // A write that does not come back, behind a lock say, is waited for no longer than from one look to the next.
  async #counted(): Promise<void> {
    this.#flushing ??= this.#tried(() => this.#counts.flush()).finally(() => {
      this.#flushing = undefined
    })
    let timer: NodeJS.Timeout | undefined
    const enough = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, LOOK_MS).unref()
    })
    await Promise.race([this.#flushing, enough])
    clearTimeout(timer)
  }

  // One thing that cannot be done keeps nothing else from being done.
  async #tried<Done>(work: () => Promise<Done>): Promise<Done | undefined> {
    try {
      return await work()
    } catch (error) {
      this.#notKnown(error)
      return undefined
    }
  }

  #notKnown(error: unknown): void {
    this.#parts.log.warn({ err: error }, 'what is on trial is not known for the moment')
  }

  // Whatever becomes the policy here ends what was tried against the one before, at once: it is that, or it is superseded.
  #adopted(revision: string): void {
    const { running } = this.#parts.sides
    if (running && revision !== this.#base) this.#end(running)
    void this.look()
  }

  async #follow(): Promise<PolicyCanary | undefined> {
    const { db, sides } = this.#parts
    const last = await lastCanary(db)
    // Read after the row: a publication that is in it is in this as well.
    const isOfUse = last && (sides.running !== null || last.status === 'running')
    const published = isOfUse ? await lastPublication(db) : undefined
    const { running } = sides
    if (running && !(last && this.#goesOn(running, last, published?.revision))) this.#end(running)
    if (last?.status !== 'running') return last
    // Who published is of a version that knows of no canary.
    if (published && published.revision !== last.base) {
      await this.#finish(last.id, endingBy(last, published.revision, published.author))
      return undefined
    }
    if (last.id !== sides.running?.id) await this.#load(last)
    return last
  }

  #goesOn({ id, candidate }: Running, last: PolicyCanary, published: string | undefined): boolean {
    if (last.id !== id) return false
    if (last.status === 'running') return true
    // A rollback is not waited for: what was promoted may be the policy no more.
    if (last.status !== 'promoted' || published !== candidate.revision) return false
    this.#promotedAt ??= performance.now()
    const isAdopted = this.#parts.policies.current.revision === candidate.revision
    return !isAdopted && performance.now() - this.#promotedAt < ADOPTED_MS
  }

  #end({ id, candidate }: Running): void {
    const { sides, policies, log } = this.#parts
    this.#counts.keep(id)
    sides.end()
    this.#promotedAt = undefined
    policies.retire(candidate)
    log.info({ canary: id, revision: candidate.revision }, 'canary ended')
  }

  async #load(canary: PolicyCanary): Promise<void> {
    const { db, history, policies, log } = this.#parts
    const { id, revision, mode } = canary
    const { files } = await history.read(revision)
    if (!files) return this.#unloadable(id, 'its files are not kept any more')
    // It was tested where it began; what must never be let through is asked of the very bundle that decides.
    const result = await policies.prepare(files, { isRollback: true })
    if (!result.ok) return this.#notLoaded(id, result.diagnostics, LOADS_MAX[mode])
    if (result.bundle.revision !== revision) {
      await closeAll(result.bundle.modules)
      return this.#unloadable(id, 'a replica has other values in its environment')
    }
    // Loading takes its time, in which it may have ended.
    const isOn = (await runningCanary(db).catch(() => undefined))?.id === id
    if (!isOn) return closeAll(result.bundle.modules)
    this.begin(canary, result.bundle)
    log.info({ canary: id, revision, mode: canary.mode }, 'canary runs')
  }

  // A thread that stopped or took too long says nothing of the candidate, and the next look tries again; what is wrong with
  // the candidate itself is as wrong the next time.
  #notLoaded(id: string, diagnostics: readonly Diagnostic[], loadsMax: number): Promise<void> {
    const loads = (this.#failed.id === id ? this.#failed.loads : 0) + 1
    this.#failed = { id, loads }
    const [first] = diagnostics
    const why = first ? `${first.file}:${first.line} ${first.message}` : 'the load gave no answer'
    if (isMomentary(diagnostics) && loads < loadsMax)
      throw new Error(`a candidate is not loaded yet: ${why}`)
    return this.#unloadable(id, `a replica cannot load it: ${why}`)
  }

  #unloadable(id: string, reason: string): Promise<void> {
    return this.#finish(id, { status: 'aborted', code: 'unloadable', by: '', reason })
  }

  async #judge({ id, abortWhen }: PolicyCanary): Promise<void> {
    const { db } = this.#parts
    const standing = await this.#tried(() => canaryStanding(db, id))
    const tooMuch = standing && isTooMuch(abortWhen, figuresOf(standing.recent))
    // Its time is over also where nobody can say what it did.
    const isOver = !tooMuch && (await this.#tried(() => isCanaryOver(db, id)))
    const ending = tooMuch ? { status: 'aborted' as const, by: '', ...tooMuch } : isOver && OVER
    if (ending) await this.#tried(() => this.#finish(id, ending))
    else if (this.#looks++ % SWEEP_EVERY === 0) await this.#tried(() => sweepCanaryCounts(db))
  }

  async #finish(id: string, ending: CanaryEnding): Promise<void> {
    await this.#parts.operations.write((tx) => endOnRecord(tx, id, ending))
    this.#again = true
  }
}

/** Whether a load failed for a reason that may be gone the next time. */
const isMomentary = (diagnostics: readonly Diagnostic[]): boolean =>
  diagnostics.every(({ code }) => code === 'load_failed')

const OVER: CanaryEnding = { status: 'expired', code: 'until', by: '', reason: 'its time is over' }

const runningOf = (
  { id, mode, percent, agents, roles }: PolicyCanary,
  candidate: Bundle,
): Running => ({
  ...{ id, mode, percent, candidate },
  agents: agents && new Set(agents),
  roles: roles && new Set(roles),
})
