import { setImmediate as breathe } from 'node:timers/promises'
import { explainTrace, JUDGE, KINDS } from '../decide/index.ts'
import { REGO_COMPILER } from '../engines/rego-compiler.ts'
import type { Effect } from '../model/decision.ts'
import type { Json } from '../model/json.ts'
import type { Bundle } from '../bundle/types.ts'
import type { Diagnostic } from '../sources/diagnostics.ts'
import type { LoadRequest } from '../policy/away.ts'
import { checkPolicy, closeAll } from '../policy/load.ts'
import { deciders } from '../policy/matrix-run.ts'
import { reasonJson } from '../record/entries.ts'
import { maskSecret, RecordMask } from '../record/mask.ts'
import {
  recordedWhy,
  type RecordedWhy,
  replayBounds,
  replayPage,
  type RecordedDecision,
} from '../record/replay-rows.ts'
import { type Reach, sessionOver } from '../store/reach.ts'
import { type Cause, type Example, type ReplayReport, ReplayTally } from './replay-report.ts'
import { type Changed, Replayer } from './replayer.ts'

// A replay in the thread that is for it: the policy is loaded here, recorded decisions are read page by page over a
// connection of its own, decided, and forgotten. The gate's own thread hears of progress and of the report, and nothing
// else, so what it answers meanwhile does not wait for a replay of a hundred thousand decisions.

/** Small enough that an embedded database, which answers one at a time, keeps nobody waiting. */
const PAGE_ROWS = 250
const DECISIONS_MAX = 1_000_000
const PROGRESS_MS = 500

/** What is to be decided again, and by what. */
export interface ReplayTask {
  readonly reach: Reach
  readonly files: Readonly<Record<string, Uint8Array>>
  readonly load: LoadRequest
  readonly range: {
    readonly fromMs: number
    readonly toMs: number
    readonly agentId: string | null
    readonly tool: string | null
    readonly effect: Effect | null
  }
  /** About as many, evenly taken; null: all. */
  readonly sample: number | null
}

export type ReplaySays =
  | { readonly kind: 'progress'; readonly done: number; readonly total: number }
  | { readonly kind: 'rejected'; readonly diagnostics: readonly Diagnostic[] }
  | { readonly kind: 'done'; readonly report: ReplayReport; readonly total: number }

/** Runs one replay to its end. */
export async function replay(task: ReplayTask, say: (said: ReplaySays) => void): Promise<void> {
  const options = { ...task.load, ...KINDS, compiler: REGO_COMPILER, judge: JUDGE }
  const checked = await checkPolicy(task.files, { ...options, tests: 'skipped' })
  if (checked.kind !== 'checked') {
    const diagnostics = checked.kind === 'rejected' ? checked.diagnostics : []
    return say({ kind: 'rejected', diagnostics })
  }
  const db = sessionOver(task.reach, 'portcullis-replay')
  try {
    const mask = new RecordMask(await maskSecret(db))
    await new Run(task, checked.bundle, { db, mask, say }).play()
  } finally {
    await db.stop()
    await closeAll(checked.bundle.modules)
  }
}

interface RunParts {
  readonly db: ReturnType<typeof sessionOver>
  readonly mask: RecordMask
  readonly say: (said: ReplaySays) => void
}

type Pending = { readonly row: RecordedDecision; readonly changed: Changed }

class Run {
  readonly #task: ReplayTask
  readonly #bundle: Bundle
  readonly #parts: RunParts
  readonly #replayer: Replayer
  readonly #tally = new ReplayTally()
  /** Which rule of a module gave a reason: explained once for each. */
  readonly #places = new Map<string, Cause['reason']>()

  constructor(task: ReplayTask, bundle: Bundle, parts: RunParts) {
    this.#task = task
    this.#bundle = bundle
    this.#parts = parts
    this.#replayer = new Replayer(bundle, parts.mask)
  }

  async play(): Promise<void> {
    const { db, say } = this.#parts
    const { fromMs, toMs, ...which } = this.#task.range
    const range = { from: new Date(fromMs), to: new Date(toMs), ...which }
    const bounds = await replayBounds(db, range)
    const { total } = bounds
    const every = Math.max(1, Math.ceil(total / (this.#task.sample ?? total)) || 1)
    let [after, done, saidAt] = [bounds.after, 0, 0]
    for (;;) {
      const page = await replayPage(db, range, { after, last: bounds.last }, PAGE_ROWS)
      const end = page.at(-1)
      if (!end || done >= DECISIONS_MAX) break
      await this.#page(
        page.filter(
          (row, at): row is RecordedDecision => row.id !== null && (done + at) % every === 0,
        ),
      )
      after = end.seq
      done += page.length
      if (performance.now() - saidAt > PROGRESS_MS) {
        saidAt = performance.now()
        say({ kind: 'progress', done, total })
      }
      await breathe()
    }
    const report = this.#tally.report({
      revision: this.#bundle.revision,
      begun_at_zero: this.#replayer.counters.begunAtZero,
      sampled: every > 1,
      truncated: done < total,
    })
    say({ kind: 'done', report, total })
  }

  async #page(rows: readonly RecordedDecision[]): Promise<void> {
    const pending: Pending[] = []
    for (const row of rows) {
      const replayed = await this.#replayer.play(row)
      if (replayed.kind === 'unplayable') this.#tally.unplayable(replayed.why)
      else if (replayed.kind === 'same') this.#tally.same(replayed.failed)
      else pending.push({ row, changed: replayed })
    }
    const why = await recordedWhy(
      this.#parts.db,
      pending.map(({ row }) => row),
    )
    for (const one of pending) await this.#changed(one, why.get(one.row.id))
  }

  async #changed({ row, changed }: Pending, recorded: RecordedWhy | undefined): Promise<void> {
    const cause = await this.#cause(changed, recorded)
    const group = this.#tally.changed(row, changed, cause)
    if (group) group.examples.push(await this.#example(row, changed, recorded))
  }

  // What refuses or holds now has its rule in the policy that is asked; what is let through had it in the one of then.
  async #cause(changed: Changed, recorded: RecordedWhy | undefined): Promise<Cause> {
    const isLooser = changed.to === 'allow' || (changed.from === 'deny' && changed.to !== 'deny')
    const [first] = isLooser ? (recorded?.reasons ?? []) : changed.reasons
    if (!isLooser && first && !first.location) {
      return { policy: 'candidate', reason: await this.#placed(changed, first) }
    }
    return { policy: isLooser ? 'recorded' : 'candidate', reason: first }
  }

  async #placed(changed: Changed, reason: NonNullable<Cause['reason']>): Promise<Cause['reason']> {
    const key = `${reason.source}\n${reason.code}\n${reason.message}`
    if (this.#places.has(key)) return this.#places.get(key)
    const { trace } = changed.decision
    const asked = { reasons: [reason], trace }
    const [decider] = await deciders(changed, asked, this.#bundle, JUDGE, true)
    const { file, line } = decider ?? {}
    const location =
      file === undefined || line === undefined ? {} : { location: { file, line, col: 1 } }
    const placed = { ...reason, ...location }
    if (this.#places.size < PLACES_MAX) this.#places.set(key, placed)
    return placed
  }

  async #example(
    row: RecordedDecision,
    { decision, reasons, request, facts }: Changed,
    recorded: RecordedWhy | undefined,
  ): Promise<Example> {
    const trace = await explainTrace(decision.trace, request, facts, this.#bundle)
    return {
      action_id: row.id,
      agent: row.agentName || row.agentId,
      tool: row.tool,
      at: row.createdAt.toISOString(),
      revision: recorded?.revision ?? '',
      recorded: {
        reasons: (recorded?.reasons ?? []) as unknown as Json,
        trace: recorded?.trace ?? [],
      },
      candidate: {
        reasons: reasons.map(reasonJson),
        trace: JSON.parse(JSON.stringify(trace)) as Json,
      },
    }
  }
}

const PLACES_MAX = 1_000
