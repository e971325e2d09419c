// The arithmetic of docs/scale.md, held against a simulation of what it is about: ledgers that work in batches, clients
// that wait for two of them an action, and what of the work is one process's own. Nothing is measured here; the costs
// are those that the bench measured. Says where arithmetic and simulation differ by more than a twentieth, and fails then.
//   npm run bench:scale

/** What a batch costs by itself and for each operation in it, and an action in its gate, in ms. */
interface Costs {
  readonly batchMs: number
  readonly operationMs: number
  readonly gateMs: number
}

const MEASURED: Costs = { batchMs: 2.5, operationMs: 0.12, gateMs: 0.65 }
const ACTIONS = 40_000

interface Event {
  readonly atMs: number
  readonly run: () => void
}

/** A clock and what is to happen, soonest first. */
class Future {
  nowMs = 0
  readonly #events: Event[] = []

  after(ms: number, run: () => void): void {
    const event = { atMs: this.nowMs + ms, run }
    let [low, high] = [0, this.#events.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#events[middle]?.atMs ?? 0) > event.atMs) low = middle + 1
      else high = middle
    }
    this.#events.splice(low, 0, event)
  }

  runWhile(isWanted: () => boolean): void {
    while (isWanted()) {
      const next = this.#events.pop()
      if (!next) return
      this.nowMs = next.atMs
      next.run()
    }
  }
}

/** One at a time, in the order in which they came: the thread of a gate. */
class Server {
  readonly #future: Future
  #freeAtMs = 0

  constructor(future: Future) {
    this.#future = future
  }

  take(ms: number, done: () => void): void {
    this.#freeAtMs = Math.max(this.#freeAtMs, this.#future.nowMs) + ms
    this.#future.after(this.#freeAtMs - this.#future.nowMs, done)
  }
}

/** Whatever has come by the time a batch is through goes into the next. */
class LedgerModel {
  readonly #future: Future
  readonly #costs: Costs
  #waiting: (() => void)[] = []
  #isRunning = false

  constructor(future: Future, costs: Costs) {
    this.#future = future
    this.#costs = costs
  }

  submit(done: () => void): void {
    this.#waiting.push(done)
    if (!this.#isRunning) this.#run()
  }

  #run(): void {
    const batch = this.#waiting
    this.#waiting = []
    this.#isRunning = batch.length > 0
    if (!this.#isRunning) return
    const { batchMs, operationMs } = this.#costs
    this.#future.after(batchMs + operationMs * batch.length, () => {
      for (const done of batch) done()
      this.#run()
    })
  }
}

interface Outcome {
  readonly perS: number
  readonly meanMs: number
}

/** Actions through `ledgers` ledgers, each with its gate: from so many clients, or at an even rate. */
function simulate(
  costs: Costs,
  ledgers: number,
  load: { readonly clients: number } | { readonly perS: number },
): Outcome {
  const future = new Future()
  const parts = Array.from({ length: ledgers }, () => ({
    gate: new Server(future),
    ledger: new LedgerModel(future, costs),
  }))
  const first = { gate: new Server(future), ledger: new LedgerModel(future, costs) }
  const partOf = (n: number) => parts[n % ledgers] ?? first
  let [done, totalMs, turn] = [0, 0, 0]
  const act = (ended: () => void) => {
    const { gate, ledger } = partOf(turn++)
    const beganMs = future.nowMs
    const decided = () => ledger.submit(() => ledger.submit(finished))
    const finished = () => {
      done++
      totalMs += future.nowMs - beganMs
      ended()
    }
    gate.take(costs.gateMs, decided)
  }
  if ('clients' in load) {
    const again = (): void => act(again)
    for (let client = 0; client < load.clients; client++) act(again)
  } else {
    const arrive = (): void => {
      act(() => {})
      // Each comes when it comes: times between arrivals are exponential.
      future.after((-Math.log(1 - Math.random()) * 1000) / load.perS, arrive)
    }
    arrive()
  }
  future.runWhile(() => done < ACTIONS)
  return { perS: (done / future.nowMs) * 1000, meanMs: totalMs / done }
}

/**
 * What one ledger can do with so many clients: its thread, or its batches. An action is in one batch, then in the next,
 * and whoever has its answer asks again while a third runs: so two thirds of the clients are in each.
 */
function closedPerS({ batchMs, operationMs, gateMs }: Costs, clients: number): number {
  const ledgerMs = (3 * batchMs + 2 * operationMs * clients) / clients
  return 1000 / Math.max(gateMs, ledgerMs)
}

const rows: { readonly what: string; readonly paper: number; readonly played: number }[] = []
for (const clients of [64, 256]) {
  for (const ledgers of [1, 2, 4, 8]) {
    const costs = { ...MEASURED, gateMs: 0.001 }
    const paper = ledgers * closedPerS(costs, clients)
    const { perS } = simulate(costs, ledgers, { clients: clients * ledgers })
    rows.push({
      what: `${ledgers} ledgers, ${clients} clients each, a second`,
      paper,
      played: perS,
    })
  }
}
for (const ledgers of [1, 2, 4, 8]) {
  const paper = ledgers * closedPerS(MEASURED, 256)
  const { perS } = simulate(MEASURED, ledgers, { clients: 256 * ledgers })
  rows.push({
    what: `${ledgers} ledgers, the thread of a gate each, a second`,
    paper,
    played: perS,
  })
}
let isWrong = false
for (const { what, paper, played } of rows) {
  const off = played / paper - 1
  isWrong ||= Math.abs(off) > 0.05
  console.log(
    `${what.padEnd(48)} on paper ${paper.toFixed(0).padStart(6)}  played ${played.toFixed(0).padStart(6)}  ${(off * 100).toFixed(1)} %`,
  )
}
console.log('\nadded by the ledger, ms, at an even load on one ledger')
for (const perS of [50, 200, 500, 1000]) {
  const { batchMs, operationMs } = MEASURED
  const cycleMs = batchMs / (1 - (2 * perS * operationMs) / 1000)
  const { meanMs } = simulate({ ...MEASURED, gateMs: 0.0001 }, 1, { perS })
  const most = 3 * cycleMs
  isWrong ||= meanMs > most * 1.1 || meanMs < 2 * batchMs
  console.log(
    `${String(perS).padStart(5)} a second: between ${(2 * batchMs).toFixed(1)} and ${most.toFixed(1)} on paper, played ${meanMs.toFixed(1)}`,
  )
}
if (isWrong) process.exitCode = 1
