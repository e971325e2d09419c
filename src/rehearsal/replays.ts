import { GatewayError } from '../errors.ts'
import type { Logger } from '../lib/log.ts'
import type { AuditDraft } from '../model/audit.ts'
import type { Effect } from '../model/decision.ts'
import type { JsonObject } from '../model/json.ts'
import type { LoadRequest } from '../policy/away.ts'
import type { GivenFiles } from '../policy/store.ts'
import type { Ledger, Tx } from '../record/ledger.ts'
import { replayJob } from '../record/outbox.ts'
import { keepContent, missingContents, digestOf, readContent } from '../record/policy-contents.ts'
import {
  countOpenReplays,
  finishReplay,
  forgottenReplays,
  insertReplay,
  noteProgress,
  orphanedReplays,
  type PolicyReplay,
  requeueReplay,
  startReplay,
} from '../record/policy-replays.ts'
import type { Reach } from '../store/reach.ts'
import type { Db } from '../store/tx.ts'
import { type ReplayReport, summaryOf } from './replay-report.ts'
import type { ReplayTask } from './replay-thread.ts'
import { type ReplayEnd, ReplayTooLong, runReplay } from './run-replay.ts'

// Replays are jobs: asked for in one ledger batch, which is all that is on record of them beside that they ended, and run by
// whichever replica takes the job, one at a time, in a thread of its own. One whose replica is gone is queued again, and
// given up after the second time.

const OPEN_MAX = 5
const ATTEMPTS_MAX = 2
const BUSY_RETRY_AFTER_S = 10
/** What is asked, as it is stored. */
export interface ReplayAsked {
  /** One of these: a revision that is kept, or files by their digests. */
  readonly revision?: string
  readonly files?: Readonly<Record<string, string>>
  readonly from: string
  readonly to: string
  readonly agent_id: string | null
  readonly tool: string | null
  readonly effect: Effect | null
  readonly sample: number | null
}

export interface ReplaysParts {
  readonly db: Db
  readonly ledger: Ledger
  readonly replicaId: string
  readonly log: Logger
  /** A connection for the thread of a replay. */
  readonly reach: () => Reach
  /** What policies are loaded with here. */
  readonly loading: () => LoadRequest
  /** The files of a revision; null where they are not kept. */
  readonly filesOf: (revision: string) => Promise<GivenFiles | null>
}

interface Ended {
  readonly report: ReplayReport | null
  readonly error: string
  readonly total: number | null
}

export class Replays {
  readonly #parts: ReplaysParts
  readonly #running = new Map<string, Promise<void>>()
  readonly #stopping = new AbortController()

  constructor(parts: ReplaysParts) {
    this.#parts = parts
  }

  /** Ends what runs here: another replica takes it up, or this one when it is back. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await Promise.allSettled(this.#running.values())
  }

  /** Keeps the files of a draft until its replay has run; their digests, by name. */
  async keep({ files }: GivenFiles): Promise<Readonly<Record<string, string>>> {
    const digests: Record<string, string> = {}
    for (const [name, bytes] of Object.entries(files)) digests[name] = await digestOf(bytes)
    const missing = new Set(await missingContents(this.#parts.db, Object.values(digests)))
    for (const [name, bytes] of Object.entries(files)) {
      const digest = digests[name] ?? ''
      if (missing.delete(digest)) await keepContent(this.#parts.db, digest, bytes)
    }
    return digests
  }

  /** The work of one ledger batch. @throws GatewayError `rate_limited` inside the batch */
  queue(asked: ReplayAsked, by: string): (tx: Tx) => Promise<PolicyReplay> {
    return async (tx) => {
      if ((await countOpenReplays(tx)) >= OPEN_MAX) {
        const message = `${OPEN_MAX} replays are not finished yet`
        throw new GatewayError('rate_limited', message, { retryAfterS: BUSY_RETRY_AFTER_S })
      }
      const made = await insertReplay(tx, { asked: { ...asked }, requestedBy: by })
      tx.enqueue(replayJob(made.id))
      const { files, ...rest } = asked
      const what = files ? { draft: Object.keys(files).length } : {}
      tx.append(entry('policy.replay_queued', { replay_id: made.id, actor: by, ...what, ...rest }))
      return made
    }
  }

  /** Runs one, if it is still to be run. Safe to call any number of times. */
  run(id: string): Promise<void> {
    const known = this.#running.get(id)
    if (known) return known
    const run = this.#run(id).finally(() => this.#running.delete(id))
    this.#running.set(id, run)
    return run
  }

  /** Those that nobody is at any more are queued again; forgotten ones are run. */
  async sweep(forgottenMs: number): Promise<void> {
    const { db, ledger, replicaId } = this.#parts
    const lost = await orphanedReplays(db, replicaId)
    for (const one of lost.filter(({ id }) => !this.#running.has(id))) {
      await ledger.write((tx) => again(tx, one))
    }
    for (const id of await forgottenReplays(db, forgottenMs)) void this.run(id).catch(() => {})
  }

  async #run(id: string): Promise<void> {
    const { db, ledger, replicaId, log } = this.#parts
    if (this.#stopping.signal.aborted) return
    const begun = await startReplay(db, id, replicaId)
    if (!begun) return
    const ended = await this.#played(begun).catch((error: unknown): Ended | undefined => {
      if (this.#stopping.signal.aborted) return undefined
      log.error({ err: error, replay: id }, 'replay failed')
      return { report: null, error: reasonOf(error), total: null }
    })
    if (ended) await ledger.write((tx) => finish(tx, begun, ended))
  }

  async #played(begun: PolicyReplay): Promise<Ended> {
    const asked = JSON.parse(begun.asked) as ReplayAsked
    const given = await this.#files(asked)
    if (!given) return { report: null, error: 'the files of that policy are not kept', total: null }
    const load = this.#parts.loading()
    const { standIn, files } = given
    const task: Omit<ReplayTask, 'reach'> = {
      files,
      load: standIn ? { ...load, gateOverride: standIn } : load,
      range: {
        fromMs: Date.parse(asked.from),
        toMs: Date.parse(asked.to),
        agentId: asked.agent_id,
        tool: asked.tool,
        effect: asked.effect,
      },
      sample: asked.sample,
    }
    const { db, reach } = this.#parts
    const end = await runReplay(
      () => ({ ...task, reach: reach() }),
      (done, total) => void noteProgress(db, begun, done, total).catch(() => {}),
      this.#stopping.signal,
    )
    return endOf(end)
  }

  async #files({ revision, files }: ReplayAsked): Promise<GivenFiles | null> {
    if (revision !== undefined) return this.#parts.filesOf(revision)
    const contents: [string, Uint8Array][] = []
    for (const [name, digest] of Object.entries(files ?? {})) {
      const bytes = await readContent(this.#parts.db, digest)
      if (!bytes) return null
      contents.push([name, bytes])
    }
    return { files: Object.fromEntries(contents) }
  }
}

const reasonOf = (error: unknown): string =>
  error instanceof ReplayTooLong ? error.message : 'something went wrong inside the gate'

function endOf(said: ReplayEnd): Ended {
  if (said.kind === 'done') return { report: said.report, error: '', total: said.total }
  const [first] = said.diagnostics
  const place = first ? `${first.file}:${first.line}:${first.col} ${first.message}` : 'unknown'
  return { report: null, error: `the policy does not load: ${place}`, total: null }
}

async function finish(tx: Tx, begun: PolicyReplay, { report, error, total }: Ended): Promise<void> {
  const end = { report: report ? JSON.stringify(report) : '', error, total }
  if (!(await finishReplay(tx, begun, end))) return
  const status = error === '' ? 'finished' : 'failed'
  const said = report ? summaryOf(report) : { error }
  tx.append(entry('policy.replay_finished', { replay_id: begun.id, status, ...said }))
}

async function again(tx: Tx, lost: PolicyReplay): Promise<void> {
  if (lost.attempts >= ATTEMPTS_MAX) {
    const error = `given up after ${lost.attempts} tries`
    return finish(tx, lost, { report: null, error, total: null })
  }
  if (await requeueReplay(tx, lost)) tx.enqueue(replayJob(lost.id))
}

function entry(kind: string, detail: JsonObject): AuditDraft {
  return { kind, agentId: '', tool: '', effect: '', actionId: '', detail }
}
