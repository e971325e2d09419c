import type { EnvironmentKeys } from '../approvals/voters.ts'
import type { Lifetime } from '../lib/lifetime.ts'
import type { Logger } from '../lib/log.ts'
import type { PolicyStore } from '../policy/store.ts'
import type { Operations } from '../operations/operations.ts'
import type { EventStream } from '../record/events.ts'
import { sweepContents } from '../record/policy-contents.ts'
import { liveReplicas } from '../control/replica.ts'
import { lastPublication } from '../record/policy-revisions.ts'
import type { HeadFloor } from '../store/head-floor.ts'
import type { Db } from '../store/tx.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Sides } from '../canary/sides.ts'
import { Canaries } from './canary/canaries.ts'
import { CanaryWatch } from './canary/canary-watch.ts'
import { type ServedBy, ServedPolicy } from './bundle-service/served-policy.ts'
import { Drafts } from './drafts.ts'
import { finishCommitted, settleStaged } from './folder.ts'
import { Follower } from './follower.ts'
import { History } from './history.ts'
import { PolicyJournal } from './journal.ts'
import { KeptPolicy } from './kept-policy.ts'
import { Publisher } from './publisher.ts'
import { Publishes } from './publishes.ts'
import { RevisionsWatch } from './revisions-watch.ts'

export interface PolicyHome {
  readonly policySource: 'directory' | 'database' | 'bundle'
  readonly policyDir: string
  readonly dataDir: string
  /** Where the bundle comes from, if the policy has one from a service. */
  readonly policyBundle: ServedBy | null
  /** Files of revisions that decided nothing on record are kept this long; 0: for good. */
  readonly policyKeepDays: number
}

/** What the life of a policy needs of the gate that it is part of. */
export interface LifecycleParts {
  readonly db: Db
  readonly reads: Db
  readonly policies: PolicyStore
  readonly operations: Operations
  readonly floor: HeadFloor
  readonly events: EventStream
  readonly keyRing: EnvironmentKeys
  /** Who decides for whom, while a canary runs. */
  readonly sides: Sides
  readonly metrics: Metrics
  readonly log: Logger
  /** Tells peers which revision this replica decides by. */
  readonly replica: { announceRevision(revision: string): void; beat(): Promise<void> }
}

const SWEEP_MS = 3_600_000

/** The life of a policy: where it is kept, what it was, and how another becomes it. */
export class Lifecycle {
  readonly #home: PolicyHome
  readonly #policies: PolicyStore
  /** Questions to a policy that change nothing. */
  readonly drafts: Drafts
  #history!: History
  #publisher!: Publisher
  #publishes!: Publishes
  #canaries!: Canaries
  #kept: KeptPolicy | undefined
  readonly #served: ServedPolicy | undefined

  /** @throws Error when the key that bundles are signed with cannot be read */
  constructor(home: PolicyHome, policies: PolicyStore, log: Logger) {
    this.#home = home
    this.#policies = policies
    const { policyBundle: service } = home
    if (service) this.#served = new ServedPolicy(home, service, policies, log)
    this.drafts = new Drafts(policies)
  }

  get history(): History {
    return this.#history
  }

  get publisher(): Publisher {
    return this.#publisher
  }

  get publishes(): Publishes {
    return this.#publishes
  }

  get canaries(): Canaries {
    return this.#canaries
  }

  /** Loads the policy of a directory, before there is anything else: one that does not load should not wait for a database. */
  async loadFirst(life: Lifetime): Promise<void> {
    const [served, policies] = [this.#served, this.#policies]
    if (this.#home.policySource === 'database') return
    await served?.first()
    await finishCommitted(this.#home.policyDir)
    await life.begin({ start: () => policies.start(served?.read), stop: () => policies.stop() })
  }

  /** Loads the policy of the database, as soon as that is there. */
  async loadKept(life: Lifetime, db: Db): Promise<void> {
    const policies = this.#policies
    this.#history = new History(db, policies)
    if (this.#home.policySource !== 'database') return
    const kept = new KeptPolicy(db, this.#history, this.#home.policyDir)
    this.#kept = kept
    await life.begin({ start: () => policies.start(kept.read), stop: () => policies.stop() })
  }

  /** From here on everything is recorded before it decides, and what is published elsewhere is followed. */
  async begin(life: Lifetime, parts: LifecycleParts): Promise<void> {
    const { db, policies, operations, keyRing: environment, log, replica } = parts
    const history = this.#history
    const kept = this.#kept
    await this.#settle(db)
    const announce = (revision: string) => {
      replica.announceRevision(revision)
      void replica.beat()
    }
    const journal = await life.begin(new PolicyJournal({ ...parts, history, kept, announce }))
    const follower = kept && (await life.begin(new Follower({ ...parts, kept })))
    const { policyDir: dir } = this.#home
    const served = this.#served && (await life.begin(this.#served))
    this.#publisher = new Publisher({
      db,
      policies,
      journal,
      dir,
      follower,
      isServed: served !== undefined,
    })
    const publisher = this.#publisher
    this.#publishes = new Publishes({ db, policies, operations, history, publisher, environment })
    const publishes = this.#publishes
    const watch = await life.begin(new CanaryWatch({ ...parts, history }))
    this.#canaries = new Canaries({ ...parts, history, publisher, publishes, watch })
    await life.begin(
      new RevisionsWatch({
        replicas: () => liveReplicas(parts.reads),
        write: (work) => operations.write(work),
        nowMs: () => performance.now(),
        log,
      }),
    )
    this.#sweep(life, parts)
    if (!kept && policies.current.publishing) {
      const why = 'whoever writes the policy directory goes around them; POLICY_SOURCE=database'
      log.warn({ why }, 'publishes ask for approvals, and the policy is in a directory')
    }
  }

  async #settle(db: Db): Promise<void> {
    if (this.#home.policySource !== 'directory') return
    const last = await lastPublication(db)
    const changed = await settleStaged(this.#home.policyDir, last?.revision ?? '')
    if (changed) await this.#policies.reload('start')
  }

  #sweep(life: Lifetime, { reads, log }: LifecycleParts): void {
    const sweep = () =>
      sweepContents(reads, this.#home.policyKeepDays).catch((error: unknown) =>
        log.warn({ err: error }, 'old policy files are not swept; they will be'),
      )
    const timer = setInterval(() => void sweep(), SWEEP_MS).unref()
    life.atEnd(() => clearInterval(timer))
  }
}
