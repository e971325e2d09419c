import { liveReplicas } from '../control/replica.ts'
import { GatewayError } from '../errors.ts'
import type { Diagnostic } from '../sources/diagnostics.ts'
import type { Bundle } from '../bundle/types.ts'
import type { Candidate, GivenFiles, PolicyStore, ReloadResult } from '../policy/store.ts'
import { lastPublication } from '../record/policy-revisions.ts'
import type { Db } from '../store/tx.ts'
import { patchOf } from './diff.ts'
import { filesOnDisk, holds, stage } from './folder.ts'
import type { Follower } from './follower.ts'
import { type PolicyJournal, type Published, stale } from './journal.ts'

// Read, check, compile, test, ask what has to hold, record, adopt: the same order for what is published, what is rolled back
// to and what lies in a directory. In a database the record of the publication is the policy; a directory is written
// between the two, so that what lies there is what is on record.

export interface PublisherParts {
  readonly db: Db
  readonly policies: PolicyStore
  readonly journal: PolicyJournal
  /** Where the policy is: in this directory, or in the database. */
  readonly dir: string
  readonly follower: Follower | undefined
  /** Part of it comes from a bundle service: what is written here would not be the policy. */
  readonly isServed: boolean
}

/** What is to become the policy. */
export interface Wanted {
  readonly given: GivenFiles
  /** The revision that it was made from. */
  readonly base: string
  readonly note: string
  readonly author: string
}

export interface Outcome {
  readonly bundle: Bundle
  readonly parent: string
  readonly changed: boolean
  /** Replicas that decide by something else still. */
  readonly unconfirmed: readonly string[]
}

/** As long as the kill switch waits a third of: what has not followed by then is named. */
const CONFIRM_MS = 1_000
const CONFIRM_LOOK_MS = 50

export class Publisher {
  readonly #parts: PublisherParts

  constructor(parts: PublisherParts) {
    this.#parts = parts
  }

  get source(): 'directory' | 'database' {
    return this.#parts.follower ? 'database' : 'directory'
  }

  /** What is live now, here and in the database. @throws GatewayError `stale_revision` */
  async assertBase(base: string): Promise<Bundle> {
    await this.#parts.follower?.look()
    const { current } = this.#parts.policies
    if (current.revision === base) return current
    throw stale(current.revision)
  }

  /** Everything of a publish but to record and to adopt. @throws GatewayError `policy_invalid`, `stale_revision` */
  async rehearse(
    { given, base }: Pick<Wanted, 'given' | 'base'>,
    isRollback = false,
  ): Promise<Bundle> {
    const live = await this.assertBase(base)
    const result = await this.#parts.policies.rehearse(given, { isRollback })
    if (!result.ok) throw invalid(result.diagnostics, live.revision)
    return result.bundle
  }

  /**
   * Publishes, where nobody else has to agree.
   * @throws GatewayError `stale_revision`, `policy_invalid`, `read_only_policy`, `audit_unavailable`
   */
  async publish(wanted: Wanted): Promise<Outcome> {
    this.#assertOwn()
    const live = await this.assertBase(wanted.base)
    if (this.source === 'directory' && live.publishing) throw await this.#aroundQuorum(wanted)
    const { given, author, note, base } = wanted
    const reason = `published by ${author}`
    return this.#adopt(given, { source: 'api', author, note, reason, base }, false)
  }

  /** @throws GatewayError `policy_invalid` where a `must_deny` case of what is live would not hold any more */
  async rollback(given: GivenFiles, author: string, note: string): Promise<Outcome> {
    this.#assertOwn()
    if (given.standIn && this.source === 'directory') {
      const message = `that revision was loaded by path: reload \`${given.standIn.name}\` instead`
      throw new GatewayError('conflict', message)
    }
    const base = await this.#published()
    const reason = `rolled back by ${author}`
    return this.#adopt(given, { source: 'rollback', author, note, reason, base }, true)
  }

  /** Publishes what enough others agreed to; `record` is the batch that says so. */
  async publishAgreed(
    given: GivenFiles,
    author: string,
    record: (candidate: Candidate) => Promise<void>,
  ): Promise<Outcome> {
    const parent = this.#parts.policies.current.revision
    const how = { reason: `published by ${author}`, author, record }
    return this.#done(await this.#parts.policies.adopt(async () => given, how), parent)
  }

  #assertOwn(): void {
    if (!this.#parts.isServed) return
    const message = 'the policy comes from a bundle service and a directory: change it there'
    throw new GatewayError('read_only_policy', message)
  }

  /**
   * What is the policy of all replicas; undefined where each has a directory. A replica that does not decide by it, since
   * it does not load there, may still go back; whatever is published from here on is not passed over.
   */
  async #published(): Promise<string | undefined> {
    const { follower, db } = this.#parts
    if (!follower) return undefined
    await follower.look()
    return (await lastPublication(db))?.revision ?? ''
  }

  async #adopt(given: GivenFiles, how: Published, isRollback: boolean): Promise<Outcome> {
    const { policies, journal } = this.#parts
    const parent = how.base ?? policies.current.revision
    let isNew = false
    const record = async (candidate: Candidate): Promise<void> => {
      isNew =
        this.source === 'database'
          ? await journal.publish(candidate, how)
          : await this.#intoFolder(candidate, given, how)
    }
    const { reason, author } = how
    const result = await policies.adopt(async () => given, { reason, author, isRollback, record })
    const outcome = await this.#done(result, parent)
    return { ...outcome, changed: outcome.changed || isNew }
  }

  async #done(result: ReloadResult, parent: string): Promise<Outcome> {
    const { policies } = this.#parts
    if (!result.ok) throw invalid(result.diagnostics, policies.current.revision)
    const { bundle, changed } = result
    const unconfirmed = await this.#unconfirmed(bundle.revision)
    return { bundle, parent, changed, unconfirmed }
  }

  async #intoFolder(candidate: Candidate, given: GivenFiles, how: Published): Promise<boolean> {
    const { policies, journal, dir } = this.#parts
    const live = policies.current
    if (candidate.bundle.revision === live.revision) return false
    if (how.base !== undefined && live.revision !== how.base) throw stale(live.revision)
    const before = await filesOnDisk(dir)
    if (!before || !(await holds(dir, live.files))) {
      const message = 'the files on disk are not those of the live revision: somebody edits them'
      throw new GatewayError('stale_revision', message, { details: { revision: live.revision } })
    }
    const staged = await stage(dir, candidate.bundle.revision, before, given.files).catch(
      (error: unknown) => {
        throw withPatch(error, Object.fromEntries(before), given)
      },
    )
    try {
      // Replicas with directories of their own record theirs in between: this one follows what is live here.
      await journal.publish(candidate, { ...how, base: undefined })
    } catch (error) {
      await staged.drop()
      throw error
    }
    await staged.commit()
    return true
  }

  async #aroundQuorum({ given }: Wanted): Promise<GatewayError> {
    const before = await filesOnDisk(this.#parts.dir)
    const message =
      'the live policy asks for approvals before a publish, which files in a directory go around: POLICY_SOURCE=database'
    return withPatch(
      new GatewayError('read_only_policy', message),
      Object.fromEntries(before ?? []),
      given,
    ) as GatewayError
  }

  /** Waits a moment for the others, which follow by themselves. */
  async #unconfirmed(revision: string): Promise<readonly string[]> {
    if (this.source === 'directory') return []
    const until = performance.now() + CONFIRM_MS
    for (;;) {
      const others = await liveReplicas(this.#parts.db)
      const late = others.filter((one) => one.revision !== revision).map(({ id }) => id)
      if (late.length === 0 || performance.now() > until) return late
      await new Promise((resolve) => setTimeout(resolve, CONFIRM_LOOK_MS))
    }
  }
}

function withPatch(error: unknown, before: GivenFiles['files'], given: GivenFiles): unknown {
  if (!(error instanceof GatewayError) || error.code !== 'read_only_policy') return error
  const patch = patchOf(before, given.files)
  return new GatewayError(error.code, error.message, { cause: error, details: { patch } })
}

/** A policy that does not become live, with what is wrong with it. */
export function invalid(diagnostics: readonly Diagnostic[], revision: string): GatewayError {
  const [first] = diagnostics
  const place = first ? `${first.file}:${first.line}:${first.col} ${first.message}` : 'unknown'
  const message = `the policy does not load: ${place}; revision ${revision.slice(0, 12)} stays live`
  return new GatewayError('policy_invalid', message, { details: { diagnostics, revision } })
}
