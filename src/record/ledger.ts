import { performance } from 'node:perf_hooks'
import type { Client, ClientConfig } from 'pg'
import { GatewayError } from '../errors.ts'
import type { Logger } from '../lib/log.ts'
import type { AuditEntry } from '../model/audit.ts'
import type { JobSink, Tx } from '../store/tx.ts'
import { DatabaseLate, deadline } from '../store/deadline.ts'
import type { HeadFloor } from '../store/head-floor.ts'
import { type AgentNames, Batch, type LedgerKind, type Operation } from './ledger-batch.ts'
import { LedgerQueue, type Lane, type Queued } from './ledger-queue.ts'
import { LedgerSession } from './ledger-session.ts'

// How batches come about and how they fail. Whatever has come by the time a batch is through goes into the
// next. A batch that the database refuses for its data is halved until the input at fault is alone, and the
// others succeed; one that gets no answer in time loses its connection. When it was the COMMIT that got
// none, nobody knows what became of it: its callers are told `audit_unavailable`, and a later batch undoes
// what did get through.

export type { Tx } from '../store/tx.ts'
export { LEDGER_CHANNEL, type LedgerKind } from './ledger-batch.ts'

interface Pending extends Operation, Queued {
  readonly deadlineMs: number
  readonly resolve: (output: unknown) => void
  readonly reject: (error: unknown) => void
}

const QUEUE_MAX = 20_000
/** New work that would wait longer is refused before it begins. */
const WORK_WAIT_MS_MAX = 10_000
/** Unconfirmed inputs that one batch undoes; the next takes the next ones. */
const RECOVERY_MAX = 512
const RECOVERY_DELAY_MS = 250
const DATA_ERROR = /^(?:22|23|42|54)/ // SQLSTATE classes that blame a statement, not the server

/** Reads what became durable. One that throws is logged, and neither undoes nor repeats anything. */
export type CommitReader = (entries: readonly AuditEntry[]) => void

/**
 * The single writer of everything that matters: actions, budgets, approvals, kill switch, audit.
 * Callers queue operations; batches of them run in one transaction each, under one row lock that
 * replicas share, and are acknowledged after COMMIT. One fsync serves a whole batch, the chain
 * has one order, and nothing that reads before it writes can be overtaken.
 */
export class Ledger {
  readonly #log: Logger
  readonly #deadlineMs: number
  readonly #session: LedgerSession
  readonly #floor: HeadFloor
  readonly #jobs: JobSink
  readonly #agentNames: AgentNames
  readonly #isPipelined: boolean
  readonly #origin: string
  readonly #queue = new LedgerQueue<Pending>()
  readonly #workWaitMsMax: number
  readonly #unanswered: Pending[] = []
  readonly #readers: CommitReader[] = []
  #probing: Promise<void> | undefined
  #running = false
  #stopped = false
  #recoveryTimer: NodeJS.Timeout | undefined

  constructor(options: {
    config: ClientConfig
    log: Logger
    deadlineMs: number
    floor: HeadFloor
    /** A server bounds waits inside its sessions; the embedded database cannot. */
    isServer: boolean
    /** The replica that writes, named in what is announced. */
    origin?: string
    /** How long new work may wait, in ms. */
    workWaitMsMax?: number
    /** Where the jobs of batches go; without it a job is an error. */
    jobs?: JobSink
    /** For entries that do not say how their agent is called. */
    agentNames?: AgentNames
  }) {
    this.#log = options.log
    this.#deadlineMs = options.deadlineMs
    this.#floor = options.floor
    this.#jobs = options.jobs ?? NO_JOBS
    this.#agentNames = options.agentNames ?? (async () => new Map())
    this.#isPipelined = options.isServer
    this.#origin = options.origin ?? ''
    this.#workWaitMsMax = options.workWaitMsMax ?? WORK_WAIT_MS_MAX
    this.#session = new LedgerSession({
      config: options.config,
      log: options.log,
      connectMs: options.deadlineMs,
      bounded: options.isServer,
    })
  }

  async start(): Promise<void> {
    await this.#session.client()
  }

  /** Finishes what is queued, then refuses. */
  async stop(): Promise<void> {
    while (this.#running || this.#queue.size > 0) await new Promise(setImmediate)
    this.#stopped = true
    clearTimeout(this.#recoveryTimer)
    await this.#session.end()
  }

  /** Called with the entries of each batch after it is durable, in chain order. */
  onCommitted(reader: CommitReader): void {
    this.#readers.push(reader)
  }

  /**
   * Queues one input; resolves after COMMIT.
   * @throws GatewayError `audit_unavailable` when the record cannot be written in time: nothing that
   *   depends on it may happen.
   */
  submit<Input, Output>(
    kind: LedgerKind<Input, Output>,
    input: Input,
    deadlineMs: number = this.#deadlineMs,
  ): Promise<Output> {
    return this.#enqueue(kind, input, deadlineMs)
  }

  /**
   * Says whether new work would be taken, before anything is done for it.
   * @throws GatewayError `overloaded`
   */
  assertRoom(): void {
    const { size, waitMs } = this.#queue
    if (size >= QUEUE_MAX || waitMs > this.#workWaitMsMax) throw overloaded(waitMs)
  }

  /**
   * A rare write of its own kind; a GatewayError thrown by `work` undoes only this one. A large one may
   * be given longer than claims are, and holds up what shares its batch for as long.
   */
  write<Output>(work: (tx: Tx) => Promise<Output>, deadlineMs?: number): Promise<Output> {
    return this.submit(SINGLE as LedgerKind<(tx: Tx) => Promise<Output>, Output>, work, deadlineMs)
  }

  /** As `write`, before everything else that waits, and before all others of its batch: to stop things. */
  writeFirst<Output>(work: (tx: Tx) => Promise<Output>): Promise<Output> {
    const kind = URGENT as LedgerKind<(tx: Tx) => Promise<Output>, Output>
    return this.#enqueue(kind, work, this.#deadlineMs)
  }

  /**
   * Whether a batch goes through. Those who ask together share an answer.
   * @throws GatewayError when none does
   */
  probe(): Promise<void> {
    this.#probing ??= this.write(async () => {}).finally(() => {
      this.#probing = undefined
    })
    return this.#probing
  }

  #enqueue<Input, Output>(
    kind: LedgerKind<Input, Output>,
    input: Input,
    deadlineMs: number,
  ): Promise<Output> {
    if (this.#stopped) return Promise.reject(unavailable('the gate is stopping'))
    const lane = kind.lane ?? 'write'
    if (lane === 'work' && this.#queue.size >= QUEUE_MAX) {
      return Promise.reject(overloaded(this.#queue.waitMs))
    }
    const queued = { lane, kindName: kind.name, agentId: kind.agentOf?.(input) ?? '' }
    return new Promise<Output>((resolve, reject) => {
      const settle = resolve as (output: unknown) => void
      this.#queue.put({ ...queued, kind, input, deadlineMs, resolve: settle, reject })
      this.#schedule()
    })
  }

  #schedule(): void {
    if (this.#running) return
    this.#running = true
    // The rest of this tick may queue more; they share the batch.
    setImmediate(() => void this.#drain())
  }

  async #drain(): Promise<void> {
    try {
      while (this.#queue.size > 0) {
        this.#refuseLate()
        const batch = this.#queue.take()
        const beganAt = performance.now()
        // One that failed says nothing of what such a batch costs.
        const isWritten = batch.length > 0 && (await this.#runBatch(batch))
        if (isWritten) this.#queue.learn(batch, performance.now() - beganAt)
      }
    } finally {
      this.#running = false
    }
  }

  // Nothing of it has begun, so whoever asked may ask again.
  #refuseLate(): void {
    for (const one of this.#queue.late(this.#workWaitMsMax)) {
      one.reject(overloaded(this.#queue.waitMs))
    }
  }

  /** Whether it was written as a whole, at the first try. */
  async #runBatch(pending: readonly Pending[]): Promise<boolean> {
    const recovering = this.#unanswered.splice(0, RECOVERY_MAX)
    let batch: Batch | undefined
    let results: Map<Pending, unknown>
    try {
      const client = await this.#session.client()
      const wire = { client, isPipelined: this.#isPipelined, origin: this.#origin }
      batch = new Batch(wire, this.#floor, this.#jobs, this.#agentNames)
      results = await this.#withDeadline(client, batch.run(recovering, pending), pending)
    } catch (error) {
      this.#unanswered.push(...recovering, ...(batch?.commitSent ? pending : []))
      await this.#failed(pending, error)
      return false
    }
    // It is durable: nothing from here on may undo or repeat it.
    for (const [one, result] of results) settle(one, result)
    this.#publish(batch)
    if (this.#unanswered.length > 0) this.#scheduleRecovery()
    return true
  }

  // A statement that never returns must not hold the gate: the connection is cut, and what may or
  // may not have been committed is recovered by the next batch.
  async #withDeadline<Result>(
    client: Client,
    running: Promise<Result>,
    pending: readonly Pending[],
  ): Promise<Result> {
    let answered = () => {}
    const late = new Promise<never>((_, reject) => {
      const deadlineMs = Math.max(...pending.map((one) => one.deadlineMs))
      answered = deadline(deadlineMs, () => reject(new DatabaseLate()))
    })
    try {
      return await Promise.race([running, late])
    } catch (error) {
      if (!isDataError(error) && !(error instanceof GatewayError)) this.#session.discard(client)
      throw error
    } finally {
      answered()
    }
  }

  async #failed(pending: readonly Pending[], error: unknown): Promise<void> {
    this.#log.error({ err: error, operations: pending.length }, 'ledger batch failed')
    this.#scheduleRecovery()
    if (isDataError(error) && pending.length > 1) {
      // One of them is at fault: halves of halves find it, and the others succeed.
      const middle = Math.ceil(pending.length / 2)
      await this.#runBatch(pending.slice(0, middle))
      await this.#runBatch(pending.slice(middle))
      return
    }
    const refusal =
      error instanceof GatewayError ? error : unavailable('the record cannot be written', error)
    for (const one of pending) one.reject(refusal)
  }

  #publish(batch: Batch): void {
    for (const read of this.#readers) this.#guarded(() => read(batch.entries))
    for (const action of batch.after) this.#guarded(action)
  }

  #guarded(action: () => void): void {
    try {
      action()
    } catch (error) {
      this.#log.error({ err: error }, 'a reader of the ledger failed')
    }
  }

  // Recovery rides on the next batch; when nobody writes, an empty one carries it.
  #scheduleRecovery(): void {
    if (this.#unanswered.length === 0 || this.#recoveryTimer || this.#stopped) return
    this.#recoveryTimer = setTimeout(() => {
      this.#recoveryTimer = undefined
      this.write(async () => {}).catch(() => this.#scheduleRecovery())
    }, RECOVERY_DELAY_MS).unref()
  }
}

const NO_JOBS: JobSink = {
  async put(_tx, { queue }) {
    throw new Error(`no queue takes jobs for ${queue} here`)
  },
}

function settle(pending: Pending, result: unknown): void {
  if (result instanceof GatewayError) pending.reject(result)
  else pending.resolve(result)
}

function overloaded(waitMs: number): GatewayError {
  return new GatewayError('overloaded', 'more work waits than can be recorded soon', {
    retryAfterS: Math.max(1, Math.ceil(waitMs / 1000)),
  })
}

function unavailable(message: string, cause?: unknown): GatewayError {
  return new GatewayError('audit_unavailable', message, { cause, retryAfterS: 1 })
}

/** A session whose statements are not those it is believed to know: it is given up. */
const LOST_NAMES = new Set(['42P05', '26000'])

// A RangeError is what canonical JSON makes of an entry it cannot hold.
function isDataError(error: unknown): boolean {
  if (error instanceof RangeError) return true
  const { code = '' } = error as { code?: string }
  return DATA_ERROR.test(code) && !LOST_NAMES.has(code)
}

const single = (
  name: string,
  order: number,
  lane: Lane,
): LedgerKind<(tx: Tx) => Promise<unknown>, unknown> => ({
  name,
  order,
  lane,
  async apply(tx, works) {
    const outputs: unknown[] = []
    for (const work of works) outputs.push(await runAlone(tx as Batch, work))
    return outputs
  },
})

const URGENT = single('urgent', -1, 'stop')
const SINGLE = single('single', 0, 'write')

async function runAlone(batch: Batch, work: (tx: Tx) => Promise<unknown>): Promise<unknown> {
  const mark = batch.mark()
  await batch.query('savepoint one')
  try {
    const output = await work(batch)
    await batch.settled()
    await batch.query('release savepoint one')
    return output
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    await batch.settled()
    await batch.query('rollback to savepoint one')
    batch.undoTo(mark)
    return error
  }
}
