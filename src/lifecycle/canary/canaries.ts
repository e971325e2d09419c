import { GatewayError } from '../../errors.ts'
import type { Bundle } from '../../bundle/types.ts'
import { sha256 } from '../../lib/canonical.ts'
import type { Operations } from '../../operations/operations.ts'
import { closeAll } from '../../policy/load.ts'
import type { GivenFiles, PolicyStore } from '../../policy/store.ts'
import {
  type CanaryStanding,
  insertCanary,
  lastCanary,
  type NewCanary,
  type PolicyCanary,
  runningCanary,
} from '../../record/policy-canaries.ts'
import type { HeldPublish } from '../../record/policy-publishes.ts'
import { keepRevision, lastPublication } from '../../record/policy-revisions.ts'
import type { Db, Tx } from '../../store/tx.ts'
import type { History } from '../history.ts'
import { stale } from '../journal.ts'
import { invalid, type Outcome, type Publisher } from '../publisher.ts'
import type { Publishes } from '../publishes.ts'
import type { CanaryWatch } from './canary-watch.ts'
import { canaryEntry, endOnRecord } from './entries.ts'

// A policy on trial is checked as one that is published, and no more is asked of its author: it is promoted through the
// publisher, where the rules of the live one hold. Where that one asks for other people, a policy that nobody agreed to may
// be compared and must not decide, for one agent in a hundred as little as for all.

export interface CanariesParts {
  readonly db: Db
  readonly policies: PolicyStore
  readonly operations: Operations
  readonly history: History
  readonly publisher: Publisher
  readonly publishes: Publishes
  readonly watch: CanaryWatch
}

/** What somebody wants to try. */
export interface CanaryWanted extends Omit<NewCanary, 'revision' | 'base'> {
  readonly given: GivenFiles
}

/** A canary and what was counted of it. */
export interface CanaryRead {
  readonly canary: PolicyCanary
  /** Null: it cannot be read at the moment. */
  readonly standing: CanaryStanding | null
}

/** What came of a promotion: published, or held until others agree. */
export type Promoted = { readonly outcome: Outcome } | { readonly held: HeldPublish }

export class Canaries {
  readonly #parts: CanariesParts

  constructor(parts: CanariesParts) {
    this.#parts = parts
  }

  /**
   * Checks a candidate and lets it run on all replicas.
   * @throws GatewayError `policy_invalid`, `conflict` where one runs, `stale_revision` where another policy came
   */
  async start({ given, ...wanted }: CanaryWanted): Promise<CanaryRead> {
    const { db, policies, publisher, watch } = this.#parts
    if (await runningCanary(db)) throw alreadyOne()
    const live = await publisher.assertBase(policies.current.revision)
    const result = await policies.prepare(given, {})
    if (!result.ok) throw invalid(result.diagnostics, live.revision)
    const { bundle } = result
    const canary = await this.#recorded(given, wanted, bundle, live).catch(
      async (error: unknown) => {
        await closeAll(bundle.modules)
        throw error
      },
    )
    // It is on record, and the bundle is the watch's: whatever fails from here on does not end it.
    watch.begin(canary, bundle)
    return { canary, standing: await watch.standing(canary.id) }
  }

  /** The one that runs, or ran last; undefined before the first. */
  async read(): Promise<CanaryRead | undefined> {
    const canary = await lastCanary(this.#parts.db)
    return canary && { canary, standing: await this.#parts.watch.standing(canary.id) }
  }

  /** Publishes what runs, by the rules of every publish. @throws GatewayError as `publish` does; `conflict` where none runs */
  async promote(author: string, note: string): Promise<Promoted> {
    const { db, history, publisher, publishes } = this.#parts
    const canary = await runningCanary(db)
    if (!canary) throw noneRuns()
    const { revision, base } = canary
    const { files: given } = await history.read(revision)
    if (!given) throw new GatewayError('conflict', 'its files are not kept any more')
    const wanted = { given, base, author, note }
    // Who has to agree is what the base says, which this replica may not have loaded yet.
    const { publishing } = await publisher.assertBase(base)
    if (publisher.source === 'database' && publishing) {
      return { held: await publishes.hold(wanted, publishing) }
    }
    return { outcome: await publisher.publish(wanted) }
  }

  /** Ends what runs; the live policy decides for all again. @throws GatewayError `conflict` where none runs */
  async abort(by: string, reason: string): Promise<CanaryRead> {
    const { operations, watch } = this.#parts
    const canary = await operations.write(async (tx) => {
      const running = await runningCanary(tx)
      const how = { status: 'aborted', code: 'person', by, reason } as const
      const ended = running && (await endOnRecord(tx, running.id, how))
      if (!ended) throw noneRuns()
      return ended
    })
    watch.over(canary.id)
    return { canary, standing: await watch.standing(canary.id) }
  }

  async #assertAllowed(
    { mode }: Pick<CanaryWanted, 'mode'>,
    { revision }: Bundle,
    live: Bundle,
  ): Promise<void> {
    if (revision === live.revision) throw new GatewayError('conflict', 'it is the policy already')
    if (mode === 'compare' || !live.publishing) return
    // As a rollback: what decided once needs nobody.
    if (await this.#parts.history.wasLive(revision)) return
    const message =
      'the live policy asks for approvals before another one decides: compare it, and promote it'
    throw new GatewayError('conflict', message)
  }

  async #recorded(
    given: GivenFiles,
    wanted: Omit<CanaryWanted, 'given'>,
    bundle: Bundle,
    live: Bundle,
  ): Promise<PolicyCanary> {
    const { history, operations } = this.#parts
    await this.#assertAllowed(wanted, bundle, live)
    const content = async (name: string) => given.files[name] ?? new Uint8Array()
    const { author, note: reason } = wanted
    const standIn = given.standIn ?? null
    await history.keep({ bundle, reason, author, content, standIn })
    return operations.write(async (tx) => {
      await this.#assertFree(tx, live)
      const { revision, files, counts } = bundle
      const named = standIn && { name: standIn.name, sha256: sha256(standIn.text) }
      await keepRevision(tx, { revision, files, standIn: named, counts: { ...counts } })
      const made = await insertCanary(tx, { ...wanted, revision, base: live.revision })
      tx.append(canaryEntry(made))
      return made
    })
  }

  /** In the batch, where nobody is faster. */
  async #assertFree(tx: Tx, { revision }: Bundle): Promise<void> {
    const { policies, publisher } = this.#parts
    if (await runningCanary(tx)) throw alreadyOne()
    const last = (await lastPublication(tx))?.revision ?? ''
    const here = policies.current.revision
    if (here !== revision) throw stale(here)
    if (last === revision) return
    if (publisher.source === 'database') throw stale(last)
    // Everybody is to be on one of two sides, and here there are three.
    const message = `a replica decides by revision ${last.slice(0, 12)}: its policy directory is another`
    throw new GatewayError('conflict', message)
  }
}

const alreadyOne = (): GatewayError =>
  new GatewayError('conflict', 'a canary runs already: promote or abort it first')

const noneRuns = (): GatewayError => new GatewayError('conflict', 'no canary runs')
