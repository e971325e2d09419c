import { KeyRing } from './agents/keys.ts'
import { AgentCache } from './agents/registry.ts'
import type { Config } from './config.ts'
import { KillState } from './control/kill-state.ts'
import { Replica } from './control/replica.ts'
import { KINDS } from './decide/index.ts'
import { POLICY_LOADER } from './decide/load.ts'
import { Transports } from './protocols/transports.ts'
import { FactLookups } from './facts/lookups.ts'
import { httpDoor } from './doors/door.ts'
import type { Listening } from './doors/edge/listening.ts'
import { refusal } from './doors/edge/readiness.ts'
import { ensureDirectory } from './lib/directories.ts'
import { Lifetime } from './lib/lifetime.ts'
import { createLogger, type Logger } from './lib/log.ts'
import { readVersion } from './lib/version.ts'
import { Bootstrap } from './operations/bootstrap.ts'
import { Operations } from './operations/operations.ts'
import { Pipeline } from './pipeline/pipeline.ts'
import { Plans } from './plans/plans.ts'
import { PolicyJournal } from './operations/policy-journal.ts'
import { Sandbox } from './rehearsal/sandbox.ts'
import { Turns } from './turns/turns.ts'
import { PolicyStore } from './policy/store.ts'
import { Checkpointer } from './record/checkpoints.ts'
import { CredentialEchoes } from './record/credential-echoes.ts'
import { EventStream } from './record/events.ts'
import { Ledger } from './record/ledger.ts'
import { HeldFiles } from './record/held-files.ts'
import { maskSecret, RecordMask } from './record/mask.ts'
import { Outbox } from './record/outbox.ts'
import { PinDrifts } from './record/pin-drifts.ts'
import { PlanFiles } from './record/plan-files.ts'
import { HeadFloor } from './store/head-floor.ts'
import { Jobs } from './store/jobs.ts'
import { Store } from './store/store.ts'
import { countEntry } from './telemetry/count-entries.ts'
import { Metrics } from './telemetry/metrics.ts'
import { tellBroken } from './worker/broken-record.ts'
import { peerListener } from './worker/peers.ts'
import { handlers, QUEUE_OPTIONS } from './worker/queues.ts'
import { Sweeper } from './worker/sweeper.ts'
import { checkpointSinks, WebhookSender } from './worker/webhooks.ts'

/** A running gate: builds every part, starts them in order, stops them in reverse. */
export class Gate {
  readonly config: Config
  readonly log: Logger
  readonly metrics = new Metrics()
  readonly killState = new KillState()
  readonly policies: PolicyStore
  readonly #life: Lifetime
  #door!: Listening
  operations!: Operations
  bootstrap!: Bootstrap

  constructor(config: Config) {
    this.config = config
    ensureDirectory(config.dataDir, 0o700)
    this.log = createLogger(config.logLevel, config.logFile)
    this.#life = new Lifetime(this.log)
    this.policies = new PolicyStore({
      dir: config.policyDir,
      ...KINDS,
      env: { ...config.env, TICKETING_API_URL: config.ticketingApiUrl },
      defaults: { ratePerS: config.ratePerS },
      loader: POLICY_LOADER,
      log: this.log,
    })
  }

  /** Where the gate answers, once started. */
  get url(): string {
    return this.#door.url
  }

  /** `beforeListening` runs when everything works and nobody can call yet. */
  start(beforeListening: () => Promise<void> = async () => {}): Promise<void> {
    return this.#life.orEnd(() => this.#start(beforeListening))
  }

  stop(): Promise<void> {
    return this.#life.end()
  }

  async #start(beforeListening: () => Promise<void>): Promise<void> {
    const { config, log, metrics, killState, policies } = this
    const version = readVersion()
    const basics = { config, log, metrics, killState, policies, life: this.#life, version }
    // Files first: a policy that does not load should not wait for a database.
    await this.#life.begin(policies)
    const record = await openRecord(basics)
    const actions = await openActions(basics, record)
    this.operations = actions.operations
    this.bootstrap = new Bootstrap(record.db, actions.operations, config.apiTokens)
    await openWork(basics, record, actions)
    const door = httpDoor({
      ...{ ...basics, ...record, ...actions, db: record.reads, quick: record.db },
      isStopping: () => this.#life.hasEnded,
    })
    await beforeListening()
    this.#door = await this.#life.begin(door)
    log.info({ url: this.url, version, replica: record.replica.id }, 'ready')
  }
}

/** What every role is built with. */
type Basics = Pick<Gate, 'config' | 'log' | 'metrics' | 'killState' | 'policies'> & {
  readonly life: Lifetime
  readonly version: string
}

/** The database, this replica among its peers, and the record with all that reads it. */
async function openRecord(basics: Basics) {
  const { config, log, metrics, killState, policies, life, version } = basics
  const { databaseUrl, dataDir, webhookSecret: secret } = config
  const { approvalWebhookUrl: approvalUrl, alertWebhookUrl: alertUrl } = config
  const store = await life.begin(new Store({ databaseUrl, dataDir, log }))
  const { db, reads, isEmbedded: isAlone } = store
  const webhooks = new WebhookSender({ approvalUrl, alertUrl, secret, metrics })
  const floor = new HeadFloor((finding) => tellBroken(finding, { log, metrics, webhooks }))
  const control = await life.begin(store.session('portcullis-control'))
  const among = { db: control, state: killState, floor, log, version, isAlone }
  const replica = new Replica(among)
  replica.announceRevision(policies.current.revision)
  await life.begin(replica)
  const sinks = checkpointSinks(webhooks, config.checkpointWebhookUrl)
  const othersAlive = () => replica.hasPeers()
  const keeping = { db, dataDir, log, floor, sinks, othersAlive }
  const checkpoints = await life.begin(new Checkpointer(keeping))
  const events = await life.begin(new EventStream(db))
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
  })
  ledger.onCommitted((entries) => checkpoints.grown(entries.at(-1)?.seq ?? 0n))
  ledger.onCommitted((entries) => events.publish(entries))
  // Counted by the replica that wrote them, so that a sum over replicas is right.
  ledger.onCommitted((entries) => entries.forEach((entry) => countEntry(metrics, entry)))
  await life.begin(ledger)
  const heldFiles = await life.begin(new HeldFiles(db, dataDir))
  const kept = { ledger, heldFiles, mask: new RecordMask(await maskSecret(db)) }
  return { store, db, reads, control, replica, webhooks, checkpoints, events, jobs, ...kept }
}

/** What judges actions and carries them out, and what is made of actions. */
async function openActions(basics: Basics, record: RecordParts) {
  const { config, log, metrics, killState, policies, life } = basics
  const { db, control, ledger, events, replica, checkpoints, mask, heldFiles } = record
  const bundle = () => policies.current
  const replicaId = replica.id
  const keyRing = new KeyRing(db, config.apiTokens)
  const operations = new Operations({ db, control, bundle, ledger, killState, replicaId, log })
  const agents = new AgentCache(db)
  events.subscribe(({ kind, agentId }) => kind.startsWith('agent.') && agents.forget(agentId))
  const echoes = new CredentialEchoes((work) => operations.write(work))
  const { env } = config
  const onEcho = (upstream: string) => void echoes.noticed(upstream)
  const drifts = new PinDrifts((work) => operations.write(work))
  const calling = { env, model: config.model, bundle, onEcho, onDrift: drifts.notice }
  const { model, peers, byProtocol: transports } = await life.begin(new Transports(calling))
  const judging = { agents, facts: new FactLookups(), killState, environment: keyRing, bundle }
  const recording = { db, ledger, events, metrics, log, replicaId, mask, heldFiles }
  const pipeline = new Pipeline({
    ...{ transports, ...judging, ...recording },
    refusal: () => refusal({ checkpoints, replica }),
  })
  const files = new PlanFiles(config.plansDir)
  const plans = await life.begin(new Plans({ db, agents, killState, metrics, log, files, bundle }))
  const turns = new Turns({ ledger, pipeline, agents, model, replicaId, mask, log, bundle })
  const sandbox = new Sandbox({ db, ledger, replicaId, mask, log, bundle })
  return { keyRing, operations, pipeline, plans, turns, sandbox, peers, agents }
}

/** The second entrance: jobs, sweeps, what peers say, and the journal of policies. */
async function openWork(basics: Basics, record: RecordParts, actions: ActionParts): Promise<void> {
  const { config, log, metrics, killState, policies, life } = basics
  const { replica, store, jobs } = record
  const { auditRetentionDays: days, publicServerUrl: serverUrl } = config
  const all = { ...basics, ...record, ...actions, bundle: () => policies.current }
  const sweeper = new Sweeper({ ...all, retention: { ...record, days } })
  jobs.work(handlers({ ...all, serverUrl }))
  life.atEnd(() => jobs.rest())
  await life.begin(sweeper)
  // One process on an embedded database has no peers.
  if (!store.isEmbedded) await life.begin(peerListener({ ...record, killState }))
  const announce = (revision: string) => replica.announceRevision(revision)
  await life.begin(new PolicyJournal({ ...actions, policies, metrics, log, announce }))
}

type RecordParts = Awaited<ReturnType<typeof openRecord>>
type ActionParts = Awaited<ReturnType<typeof openActions>>
