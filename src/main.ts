import { KeyUses } from './agents/key-uses.ts'
import { KeyRing } from './agents/keys.ts'
import { AgentCache } from './agents/registry.ts'
import { Sides } from './canary/sides.ts'
import type { Config } from './config.ts'
import { KillState } from './control/kill-state.ts'
import { JUDGE, KINDS } from './decide/index.ts'
import { DRAFT_LOADER, POLICY_LOADER } from './decide/load.ts'
import { Transports } from './protocols/transports.ts'
import { FactLookups } from './facts/lookups.ts'
import { decisionLogSender } from './decision-log/decision-log.ts'
import { httpDoor } from './doors/door.ts'
import type { Listening } from './doors/edge/listening.ts'
import { refusal } from './doors/edge/readiness.ts'
import { ensureDirectory } from './lib/directories.ts'
import { Lifetime } from './lib/lifetime.ts'
import { createLogger, type Logger } from './lib/log.ts'
import { readVersion } from './lib/version.ts'
import { Bootstrap } from './operations/bootstrap.ts'
import { AccessTokens } from './inquiries/access-requests/tokens.ts'
import { Inquiries } from './inquiries/inquiries.ts'
import { Operations } from './operations/operations.ts'
import { Pipeline } from './pipeline/pipeline.ts'
import { Plans } from './plans/plans.ts'
import { Lifecycle } from './lifecycle/lifecycle.ts'
import { type Basics, openRecord, type RecordParts } from './open-record.ts'
import { Replays } from './rehearsal/replays.ts'
import { Sandbox } from './rehearsal/sandbox.ts'
import { Turns } from './turns/turns.ts'
import { PolicyStore } from './policy/store.ts'
import { CredentialEchoes } from './record/credential-echoes.ts'
import { PinDrifts } from './record/pin-drifts.ts'
import { ServerCrashes } from './record/server-crashes.ts'
import { PlanFiles } from './record/plan-files.ts'
import type { HeadFloor } from './store/head-floor.ts'
import { Metrics } from './telemetry/metrics.ts'
import { peerListener } from './worker/peers.ts'
import { handlers } from './worker/queues.ts'
import { Sweeper } from './worker/sweeper.ts'

/** A running gate: builds every part, starts them in order, stops them in reverse. */
export class Gate {
  readonly config: Config
  readonly log: Logger
  readonly metrics = new Metrics()
  readonly killState = new KillState()
  readonly policies: PolicyStore
  readonly lifecycle: Lifecycle
  readonly #life: Lifetime
  #door!: Listening
  #floor!: HeadFloor
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
      draftLoader: DRAFT_LOADER,
      judge: JUDGE,
      log: this.log,
    })
    this.lifecycle = new Lifecycle(config, this.policies, this.log)
  }

  /** Where the gate answers, once started. */
  get url(): string {
    return this.#door.url
  }

  /** Why nothing is put on record, once started; null: everything is. */
  get sealed(): string | null {
    return this.#floor.sealed
  }

  /** `beforeListening` runs when everything works and nobody can call yet. */
  start(beforeListening: () => Promise<void> = async () => {}): Promise<void> {
    return this.#life.orEnd(() => this.#start(beforeListening))
  }

  stop(): Promise<void> {
    return this.#life.end()
  }

  async #start(beforeListening: () => Promise<void>): Promise<void> {
    const { config, log, metrics, killState, policies, lifecycle } = this
    const version = readVersion()
    const of = { config, log, metrics, killState, policies, lifecycle }
    const basics = { ...of, life: this.#life, version }
    await lifecycle.loadFirst(this.#life)
    const record = await openRecord(basics)
    this.#floor = record.floor
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

/** What judges actions and carries them out, and what is made of actions. */
async function openActions(basics: Basics, record: RecordParts) {
  const { config, log, metrics, killState, policies, life } = basics
  const { db, control, ledger, events, replica, registry, checkpoints, mask, heldFiles } = record
  const bundle = () => policies.current
  const replicaId = replica.id
  const keyUses = await life.begin(new KeyUses(db, log))
  const keyRing = new KeyRing(db, registry, config.apiTokens, keyUses)
  const sides = new Sides((change) => metrics.canary.inc({ change }))
  const bundles = () => sides.with(policies.current)
  const operations = new Operations({ db, control, bundles, ledger, killState, replicaId, log })
  const agents = new AgentCache(db, registry)
  events.subscribe(({ kind, agentId }) => kind.startsWith('agent.') && agents.forget(agentId))
  const echoes = new CredentialEchoes((work) => operations.write(work))
  const onEcho = (upstream: string) => void echoes.noticed(upstream)
  const drifts = new PinDrifts((work) => operations.write(work))
  const crashes = new ServerCrashes((work) => operations.write(work))
  const told = { onEcho, onDrift: drifts.notice, onDown: crashes.notice, log }
  const { env, model: settings, mcpPrograms: programs } = config
  const calling = { env, model: settings, programs, bundles, ...told }
  const { model, peers, byProtocol: transports } = await life.begin(new Transports(calling))
  life.atEnd(policies.subscribe({ onReloaded: () => peers.settle() }))
  const facts = new FactLookups()
  const judging = { agents, facts, killState, environment: keyRing, bundle, sides }
  const recording = { db, ledger, events, metrics, log, replicaId, mask, heldFiles }
  const pipeline = new Pipeline({
    ...{ transports, ...judging, ...recording },
    refusal: () => refusal({ checkpoints, replica }),
  })
  const tokens = new AccessTokens((purpose) => mask.keyFor(purpose), config.publicServerUrl)
  const asking = { db, ledger, agents, mask, replicaId, tokens, environment: keyRing }
  const inquiries = new Inquiries({ pipeline, ...asking, pepRatePerS: config.pepRatePerS })
  const files = new PlanFiles(config.plansDir)
  const plans = await life.begin(new Plans({ db, agents, killState, metrics, log, files, bundle }))
  const turns = new Turns({ ledger, pipeline, agents, model, replicaId, mask, log, bundle })
  const sandbox = new Sandbox({ db, ledger, replicaId, mask, log, bundle })
  const replays = new Replays({
    ...{ db: record.reads, ledger, replicaId, log },
    reach: () => record.store.reach(),
    loading: () => policies.loading,
    filesOf: async (revision) => (await basics.lifecycle.history.read(revision)).files,
  })
  return {
    keyRing,
    keyUses,
    operations,
    pipeline,
    inquiries,
    plans,
    turns,
    sandbox,
    replays,
    peers,
    agents,
    sides,
  }
}

/** The second entrance: jobs, sweeps, what peers say, and the journal of policies. */
async function openWork(basics: Basics, record: RecordParts, actions: ActionParts): Promise<void> {
  const { config, killState, policies, life } = basics
  const { store, jobs } = record
  const { auditRetentionDays: days, publicServerUrl: serverUrl, accessCallbacks } = config
  const all = { ...basics, ...record, ...actions, bundle: () => policies.current }
  const sweeper = new Sweeper({ ...all, retention: { ...record, days } })
  // What was held is decided again by a policy that is on record, and by the side that it began on.
  await basics.lifecycle.begin(life, all)
  jobs.work(handlers({ ...all, serverUrl, accessCallbacks }))
  life.atEnd(() => jobs.rest())
  await life.begin({ stop: () => actions.replays.stop() })
  await life.begin(sweeper)
  if (config.decisionLog) {
    await life.begin(
      decisionLogSender(config.decisionLog, { ...all, replicaId: record.replica.id }),
    )
  }
  // One process on an embedded database has no peers.
  if (!store.isEmbedded) await life.begin(peerListener({ ...record, killState }))
}

type ActionParts = Awaited<ReturnType<typeof openActions>>
