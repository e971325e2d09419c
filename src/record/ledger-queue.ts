import { performance } from 'node:perf_hooks'

// What waits for a batch, in lanes. What stops things goes first, then outcomes, which are never refused,
// because they have happened; then what people write; then new work, in turn by agent, so that one that
// floods the gate waits for itself. A batch is as long as it may take, not as many as there are: costs are
// learnt by kind. Only new work is ever turned away, before it begins: when it would wait too long by what
// is known, or has.

export type Lane = 'stop' | 'outcome' | 'write' | 'work'

/** What an operation says of itself to be queued. */
export interface Queued {
  readonly lane: Lane
  readonly kindName: string
  /** Whose turn it takes; '' where nobody's. */
  readonly agentId: string
}

interface Waiting<Op> {
  readonly op: Op
  readonly sinceMs: number
}

const BATCH_MAX = 256
/** What a batch may take by what is known: who stops things, or votes, waits for no more than this. */
const BATCH_MS_MAX = 100
/** Of that, writes leave as much to work. */
const WRITES_MS_MAX = 50
/** Of each measurement, so much counts: a cost is known after some ten batches. */
const LEARNING = 0.2
const COST_MS_DEFAULT = 1

export class LedgerQueue<Op extends Queued> {
  readonly #lanes: Record<Exclude<Lane, 'work'>, Waiting<Op>[]> = {
    stop: [],
    outcome: [],
    write: [],
  }
  readonly #work = new Map<string, Waiting<Op>[]>()
  readonly #costMs = new Map<string, number>()
  /** How many of each kind wait, whatever the lane: this is asked for every action. */
  readonly #counts = new Map<string, number>()
  #workCount = 0

  get size(): number {
    const { stop, outcome, write } = this.#lanes
    return stop.length + outcome.length + write.length + this.#workCount
  }

  /** What new work would wait by what is known, in ms. */
  get waitMs(): number {
    let ms = 0
    for (const [kindName, count] of this.#counts) ms += count * this.#cost(kindName)
    return ms
  }

  put(op: Op): void {
    const waiting = { op, sinceMs: performance.now() }
    this.#counted(op, 1)
    if (op.lane !== 'work') {
      this.#lanes[op.lane].push(waiting)
      return
    }
    const own = this.#work.get(op.agentId)
    if (own) own.push(waiting)
    else this.#work.set(op.agentId, [waiting])
  }

  /** The next batch, in the order of lanes. */
  take(): readonly Op[] {
    const batch: Op[] = []
    let ms = 0
    const fill = (lane: Waiting<Op>[], msMax: number) => {
      while (lane.length > 0 && batch.length < BATCH_MAX && (ms < msMax || batch.length === 0)) {
        const { op } = lane.shift() as Waiting<Op>
        this.#counted(op, -1)
        ms += this.#cost(op.kindName)
        batch.push(op)
      }
    }
    const { stop, outcome, write } = this.#lanes
    fill(stop, Number.POSITIVE_INFINITY)
    fill(outcome, BATCH_MS_MAX)
    const forWrites =
      this.#workCount > 0 ? Math.max(ms, BATCH_MS_MAX - WRITES_MS_MAX) : BATCH_MS_MAX
    fill(write, forWrites)
    while (
      this.#workCount > 0 &&
      batch.length < BATCH_MAX &&
      (ms < BATCH_MS_MAX || !batch.length)
    ) {
      const op = this.#takeWork()
      ms += this.#cost(op.kindName)
      batch.push(op)
    }
    return batch
  }

  /** New work that has waited for longer than `msMax`, taken out of the queue. */
  late(msMax: number): readonly Op[] {
    const before = performance.now() - msMax
    const late: Op[] = []
    for (const [agentId, own] of this.#work) {
      const kept = own.filter(({ sinceMs }) => sinceMs >= before)
      if (kept.length === own.length) continue
      late.push(...own.filter(({ sinceMs }) => sinceMs < before).map(({ op }) => op))
      if (kept.length === 0) this.#work.delete(agentId)
      else this.#work.set(agentId, kept)
    }
    for (const op of late) this.#counted(op, -1)
    return late
  }

  /** A batch of these took so long. Of several kinds, each is at fault as far as it was dear before. */
  learn(ops: readonly Op[], ms: number): void {
    const kinds = new Set(ops.map(({ kindName }) => kindName))
    const expectedMs = ops.reduce((sum, { kindName }) => sum + this.#cost(kindName), 0)
    for (const kind of kinds) {
      const known = this.#costMs.get(kind)
      const seen =
        kinds.size === 1
          ? ms / ops.length
          : this.#cost(kind) * Math.min(2, Math.max(0.5, ms / expectedMs))
      this.#costMs.set(kind, known === undefined ? seen : known + LEARNING * (seen - known))
    }
  }

  // Each agent in turn: whose first was taken stands behind all others with what it has left.
  #takeWork(): Op {
    const [agentId, own] = this.#work.entries().next().value as [string, Waiting<Op>[]]
    const { op } = own.shift() as Waiting<Op>
    this.#work.delete(agentId)
    if (own.length > 0) this.#work.set(agentId, own)
    this.#counted(op, -1)
    return op
  }

  #counted({ kindName, lane }: Op, by: 1 | -1): void {
    if (lane === 'work') this.#workCount += by
    this.#counts.set(kindName, (this.#counts.get(kindName) ?? 0) + by)
  }

  #cost(kindName: string): number {
    return this.#costMs.get(kindName) ?? COST_MS_DEFAULT
  }
}
