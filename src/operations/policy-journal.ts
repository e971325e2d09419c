import type { Json } from '../model/json.ts'
import type { Diagnostic } from '../sources/diagnostics.ts'
import type { PolicyStore } from '../policy/store.ts'
import type { Bundle } from '../bundle/types.ts'
import { raiseAlert } from '../record/alerts.ts'
import { keepRevision } from '../record/policy-revisions.ts'
import { patiently } from '../store/patience.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Logger } from '../lib/log.ts'
import type { Operations } from './operations.ts'

// A policy decides only what the record knows it by: the store asks this journal before it adopts a
// revision, and an error here keeps the old one live. A policy that was refused is recorded afterwards and
// on a best effort, since nothing was decided by it.

export interface PolicyJournalParts {
  readonly policies: PolicyStore
  readonly operations: Operations
  readonly metrics: Metrics
  readonly log: Logger
  /** Tells peers which revision this replica decides by. */
  readonly announce: (revision: string) => void
}

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
    policies.recordBeforeAdopting((bundle, reason) => this.#record(bundle, reason))
    await patiently(() => this.#record(policies.current, 'start'))
    this.#adopted(policies.current)
  }

  stop(): void {
    this.#unsubscribe()
  }

  #adopted({ revision }: Bundle): void {
    const { announce, metrics } = this.#parts
    announce(revision)
    metrics.policyInfo.reset()
    metrics.policyInfo.set({ revision: revision.slice(0, 12) }, 1)
  }

  async #record({ revision, files, environment }: Bundle, reason: string): Promise<void> {
    const list = files.map(({ path: file, sha256 }) => ({ path: file, sha256 }))
    await this.#parts.operations.note(
      'policy.reloaded',
      { revision, reason, environment, files: list },
      (tx) => keepRevision(tx, revision, list),
    )
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
