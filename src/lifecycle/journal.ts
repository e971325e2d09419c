import type { Json } from '../model/json.ts'
import { sha256 } from '../lib/canonical.ts'
import type { Diagnostic } from '../sources/diagnostics.ts'
import type { Candidate, PolicyStore } from '../policy/store.ts'
import type { Bundle } from '../bundle/types.ts'
import { raiseAlert } from '../record/alerts.ts'
import {
  findRevision,
  insertPublication,
  keepRevision,
  lastPublication,
  type PublicationSource,
} from '../record/policy-revisions.ts'
import { GatewayError } from '../errors.ts'
import { patiently } from '../store/patience.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Logger } from '../lib/log.ts'
import type { Operations } from '../operations/operations.ts'
import { registryEntry } from '../operations/registry.ts'
import type { HeadFloor } from '../store/head-floor.ts'
import type { Tx } from '../store/tx.ts'
import { endByPublication } from './canary/entries.ts'
import type { History } from './history.ts'
import type { KeptPolicy } from './kept-policy.ts'

// A policy decides only what the record knows it by: the store asks this journal before it adopts a
// revision, and an error here keeps the old one live. The bytes of its files are kept first, then, in one ledger
// batch, the revision, its place in the history and the entries that say so. A policy that was refused is recorded
// afterwards and on a best effort, since nothing was decided by it.

export interface PolicyJournalParts {
  readonly policies: PolicyStore
  readonly history: History
  readonly operations: Operations
  readonly floor: Pick<HeadFloor, 'sealed'>
  readonly metrics: Metrics
  readonly log: Logger
  /** The policy that is kept in the database; undefined: that of a directory. */
  readonly kept: KeptPolicy | undefined
  /** Tells peers which revision this replica decides by. */
  readonly announce: (revision: string) => void
}

/** How a revision became the policy, for the record. */
export interface Published {
  readonly source: PublicationSource
  readonly author: string
  readonly note: string
  readonly reason: string
  /** What has to be the policy still, for this to follow it; undefined: whatever is. */
  readonly base?: string | undefined
}

/** A file that changes while it is recorded is read again, this often. */
const ATTEMPTS = 20

/**
 * What becomes of policies, on record: a revision before it decides anything, so that no decision names one
 * that the record does not know, and what was refused.
 */
export class PolicyJournal {
  readonly #parts: PolicyJournalParts
  #unsubscribe: () => void = () => {}

  constructor(parts: PolicyJournalParts) {
    this.#parts = parts
  }

  /** Records what is live by now, and from here on what comes, before it is adopted. */
  async start(): Promise<void> {
    const { policies } = this.#parts
    this.#unsubscribe = policies.subscribe({
      onReloaded: (bundle) => {
        this.#parts.metrics.policyReloads.inc({ result: 'accepted' })
        this.#adopted(bundle)
      },
      onRejected: (diagnostics, reason) => {
        this.#parts.metrics.policyReloads.inc({ result: 'rejected' })
        void this.#rejected(diagnostics, reason)
      },
    })
    policies.recordBeforeAdopting((candidate) => this.#reloaded(candidate))
    // A record that lost its end takes no entry, and decides nothing either.
    if (!this.#parts.floor.sealed) await this.#recordLive()
    this.#adopted(policies.current)
  }

  stop(): void {
    this.#unsubscribe()
  }

  /**
   * Puts a revision on record as the policy: its files, its place in the history, the entries. Returns whether another
   * one had been the policy.
   * @throws GatewayError `stale_revision` when another one was published meanwhile; `audit_unavailable`
   */
  async publish(candidate: Candidate, how: Published): Promise<boolean> {
    await this.#parts.history.keep(candidate)
    return this.#parts.operations.write((tx) => recordPublication(tx, candidate, how))
  }

  async #recordLive(): Promise<void> {
    const { policies } = this.#parts
    for (let attempt = 1; ; attempt++) {
      try {
        return await patiently(() => this.#atStart())
      } catch (error) {
        if (!isOvertaken(error) || attempt === ATTEMPTS) throw error
        await policies.reload('start')
      }
    }
  }

  #adopted({ revision }: Bundle): void {
    const { announce, metrics } = this.#parts
    announce(revision)
    metrics.policyInfo.reset()
    metrics.policyInfo.set({ revision: revision.slice(0, 12) }, 1)
  }

  async #atStart(): Promise<void> {
    const { policies, kept } = this.#parts
    const candidate = await policies.asCandidate('start')
    // Of two that start on an empty database one is first, and what it found is the policy of both.
    const base = kept?.seen
    const first = { source: 'directory', author: '', note: '', reason: 'start', base } as const
    await this.publish(candidate, first)
  }

  async #reloaded(candidate: Candidate): Promise<void> {
    const { reason, author } = candidate
    if (this.#parts.kept) await this.#parts.kept.assertPublished(candidate.bundle)
    const source = reason === 'bundle' ? 'bundle' : 'directory'
    await this.publish(candidate, { source, author, note: '', reason })
  }

  async #rejected(diagnostics: readonly Diagnostic[], reason: string): Promise<void> {
    const { policies, operations, log } = this.#parts
    // What somebody only tried under another path says nothing about what is on disk.
    const isLive = policies.rejection?.diagnostics === diagnostics
    const revision = policies.current.revision
    const list = JSON.parse(JSON.stringify(diagnostics)) as Json
    try {
      await operations.note(
        'policy.rejected',
        { revision, reason, diagnostics: list },
        async (tx) => {
          const about = { reason, revision }
          const message = 'the policy on disk does not load'
          if (isLive) raiseAlert(tx, 'policy_rejected', '', message, about)
        },
      )
    } catch (error) {
      log.error({ err: error }, 'a refused policy is not on record')
    }
  }
}

const isOvertaken = (error: unknown): boolean =>
  error instanceof GatewayError && ['conflict', 'stale_revision'].includes(error.code)

/** One batch: the revision, that it is the policy where it was not, and the entries of both. Returns whether it was not. */
export async function recordPublication(
  tx: Tx,
  { bundle, standIn }: Pick<Candidate, 'bundle' | 'standIn'>,
  how: Published,
): Promise<boolean> {
  const { author, note, reason, base } = how
  const { revision, environment } = bundle
  const last = await lastPublication(tx)
  if (base !== undefined && base !== (last?.revision ?? '')) throw stale(last?.revision ?? '')
  const isNew = last?.revision !== revision
  // Somebody wants what is the policy already.
  if (!isNew && how.source !== 'directory' && how.source !== 'bundle') return false
  const list = bundle.files.map(({ path, sha256: digest }) => ({ path, sha256: digest }))
  await keepRevision(tx, {
    revision,
    files: bundle.files,
    standIn: standIn && { name: standIn.name, sha256: sha256(standIn.text) },
    counts: { ...bundle.counts },
  })
  if (isNew) {
    const parent = last?.revision ?? ''
    const changed = changedFiles(
      (last && (await findRevision(tx, last.revision)))?.files ?? [],
      bundle.files,
    )
    // The same files make another revision where the environment says something else.
    const source = changed.length === 0 ? 'environment' : how.source
    const failed = bundle.warnings.filter(({ code }) => TESTS.has(code)).length
    const tests = { must: bundle.must.length, failed }
    await insertPublication(tx, { revision, parent, author, source, note, changed, tests })
    const said = { revision, parent, author, source, note, changed, tests }
    tx.append(registryEntry('policy.published', '', said))
    await endByPublication(tx, revision, author)
  }
  const entry = { revision, reason, environment, files: list }
  tx.append(registryEntry('policy.reloaded', '', entry))
  return isNew
}

const TESTS = new Set(['policy_test_failed', 'must_allow_failed'])

/** Somebody was faster: another revision is the policy by now. */
export const stale = (revision: string): GatewayError =>
  new GatewayError(
    'stale_revision',
    `the policy is revision ${revision.slice(0, 12)} by now; read it, and make the change again`,
    { details: { revision } },
  )

interface Named {
  readonly path: string
  readonly sha256: string
}

/** The files that one list has otherwise than the other, by name. */
export function changedFiles(before: readonly Named[], after: readonly Named[]): string[] {
  const [old, made] = [before, after].map(
    (files) => new Map(files.map((file) => [file.path, file.sha256])),
  ) as [Map<string, string>, Map<string, string>]
  const names = new Set([...old.keys(), ...made.keys()])
  return [...names].filter((name) => old.get(name) !== made.get(name)).sort()
}
