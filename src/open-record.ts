import { agentNames } from './agents/known.ts'
import type { Config } from './config.ts'
import type { KillState } from './control/kill-state.ts'
import { Replica } from './control/replica.ts'
import type { Lifetime } from './lib/lifetime.ts'
import type { Logger } from './lib/log.ts'
import type { Lifecycle } from './lifecycle/lifecycle.ts'
import type { PolicyStore } from './policy/store.ts'
import { Checkpointer } from './record/checkpoints.ts'
import { EventStream } from './record/events.ts'
import { HeldFiles } from './record/held-files.ts'
import { Ledger } from './record/ledger.ts'
import { assertNotGone } from './record/lost-database.ts'
import { maskSecret, RecordMask } from './record/mask.ts'
import { Outbox } from './record/outbox.ts'
import { HeadFloor } from './store/head-floor.ts'
import { Jobs } from './store/jobs.ts'
import { RegistryEpoch } from './store/registry-epoch.ts'
import { Store } from './store/store.ts'
import { countEntry } from './telemetry/count-entries.ts'
import type { Metrics } from './telemetry/metrics.ts'
import { tellBroken } from './worker/broken-record.ts'
import { QUEUE_OPTIONS } from './worker/queues.ts'
import { checkpointSinks, WebhookSender } from './worker/webhooks.ts'

/** What every role of a gate is built with. */
export interface Basics {
  readonly config: Config
  readonly log: Logger
  readonly metrics: Metrics
  readonly killState: KillState
  readonly policies: PolicyStore
  readonly lifecycle: Lifecycle
  readonly life: Lifetime
  readonly version: string
}

export type RecordParts = Awaited<ReturnType<typeof openRecord>>

/** The database, this replica among its peers, and the record with all that reads it. */
export async function openRecord(basics: Basics) {
  const { config, log, metrics, killState, policies, life, version } = basics
  const { databaseUrl, dataDir, webhookSecret: secret } = config
  const { approvalWebhookUrl: approvalUrl, alertWebhookUrl: alertUrl } = config
  if (databaseUrl === null) assertNotGone(dataDir)
  const store = await life.begin(new Store({ databaseUrl, dataDir, log }))
  const { db, reads, isEmbedded: isAlone } = store
  await basics.lifecycle.loadKept(life, db)
  const webhooks = new WebhookSender({ approvalUrl, alertUrl, secret, metrics })
  const floor = new HeadFloor((finding) => tellBroken(finding, { log, metrics, webhooks }))
  const control = await life.begin(store.session('portcullis-control'))
  const registry = new RegistryEpoch()
  const known = { state: killState, floor, registry }
  const replica = new Replica({ db: control, ...known, log, version, isAlone })
  replica.announceRevision(policies.current.revision)
  await life.begin(replica)
  const sinks = checkpointSinks(webhooks, config.checkpointWebhookUrl)
  const keeping = { db, dataDir, log, floor, sinks, othersAlive: () => replica.hasPeers() }
  const checkpoints = await life.begin(new Checkpointer(keeping))
  const events = await life.begin(new EventStream(db, log))
  const jobs = new Jobs(store, log)
  await life.begin({ start: () => jobs.start(QUEUE_OPTIONS), stop: () => jobs.stop() })
  const ledger = new Ledger({
    config: store.clientConfig('portcullis-ledger'),
    log,
    deadlineMs: store.commitMs,
    floor,
    isServer: !isAlone,
    origin: replica.id,
    jobs: new Outbox(jobs, { approvals: approvalUrl !== null, alerts: alertUrl !== null }),
    agentNames,
  })
  ledger.onCommitted((entries) => checkpoints.grown(entries.at(-1)?.seq ?? 0n))
  ledger.onCommitted((entries) => events.publish(entries))
  // Counted by the replica that wrote them, so that a sum over replicas is right.
  ledger.onCommitted((entries) => entries.forEach((entry) => countEntry(metrics, entry)))
  await life.begin(ledger)
  const heldFiles = await life.begin(new HeldFiles(db, dataDir))
  const kept = { ledger, heldFiles, mask: new RecordMask(await maskSecret(db)) }
  return {
    store,
    db,
    reads,
    control,
    replica,
    registry,
    floor,
    webhooks,
    checkpoints,
    events,
    jobs,
    ...kept,
  }
}
