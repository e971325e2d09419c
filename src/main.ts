import type { KeyObject } from 'node:crypto'
import fs from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { ensureDirectory } from './lib/directories.ts'
import { newAgent } from './agents/agent.ts'
import { KeyRing } from './agents/keys.ts'
import { AgentCache, findAgent } from './agents/registry.ts'
import type { Config } from './config.ts'
import { KillState } from './control/kill-state.ts'
import { CLOCK_SKEW_MS_MAX, Replica } from './control/replica.ts'
import { ModelClient } from './enforce/model-client.ts'
import { UpstreamClient } from './enforce/upstream-client.ts'
import { GatewayError } from './errors.ts'
import { FactLookups } from './facts/lookups.ts'
import { createApp } from './http/app.ts'
import { GateRequest } from './http/incoming.ts'
import { malformed } from './http/malformed.ts'
import { FailedLogins } from './http/failed-logins.ts'
import { Fanout } from './http/fanout.ts'
import { OpenStreams } from './http/streams.ts'
import { ActivityStream } from './http/websocket.ts'
import type { HttpParts, Readiness } from './http/parts.ts'
import { createLogger, type Logger } from './lib/log.ts'
import { publicKeysOf } from './lib/manifest.ts'
import { GUARD_KINDS } from './decide/index.ts'
import { POLICY_LOADER } from './decide/load.ts'
import type { AuditEntry } from './model/audit.ts'
import type { Json, JsonObject } from './model/json.ts'
import { Operations } from './pipeline/operations.ts'
import { approvalView } from './pipeline/approval-view.ts'
import { Pipeline } from './pipeline/pipeline.ts'
import { keepRecord } from './pipeline/retention.ts'
import { createApiKey, registerAgent } from './pipeline/registry.ts'
import { Plans } from './pipeline/plans.ts'
import { Sandbox } from './pipeline/sandbox.ts'
import { Turns } from './pipeline/turns.ts'
import { PolicyStore } from './policy/store.ts'
import type { Diagnostic } from './policy/diagnostics.ts'
import { raiseAlert } from './record/alerts.ts'
import { Checkpointer } from './record/checkpoints.ts'
import { CredentialEchoes } from './record/credential-echoes.ts'
import { EventStream } from './record/events.ts'
import { Ledger, LEDGER_CHANNEL, type Tx } from './record/ledger.ts'
import { maskSecret, RecordMask } from './record/mask.ts'
import { Metrics } from './record/metrics.ts'
import { PlanFiles } from './record/plan-files.ts'
import { HeadFloor } from './store/head-floor.ts'
import { Listener } from './store/listener.ts'
import { Session } from './store/session.ts'
import { Jobs } from './store/jobs.ts'
import { Store } from './store/store.ts'
import type { Db } from './store/tx.ts'
import { queues, Sweeper, Wakeups, type WorkerParts } from './worker/queues.ts'
import { WebhookSender } from './worker/webhooks.ts'

/** A commit that takes longer closes the gate for effects. The embedded database also vacuums. */
const COMMIT_DEADLINE_MS = { server: 500, embedded: 3_000 }
/** A lease that is not renewed in time is tried again; the lease itself lasts longer. */
const RENEW_DEADLINE_MS = { server: 500, embedded: 3_000 }
const DRAIN_MS = 10_000
/** Longer than load balancers hold a connection, which else send a request into one that closes. */
const KEEP_ALIVE_MS = 65_000
const HEADERS_TIMEOUT_MS = 10_000
const REQUEST_TIMEOUT_MS = 30_000
const TIMEOUT_CHECK_MS = 5_000
/** Connections that wait to be taken; the kernel may allow fewer. */
const LISTEN_BACKLOG = 4_096

/** A running gate: builds every part, starts them in order, stops them in reverse. */
export class Gate {
  readonly config: Config
  readonly log: Logger
  readonly metrics = new Metrics()
  readonly killState = new KillState()
  readonly #version: string
  readonly #store: Store
  readonly #stops: (() => Promise<unknown>)[] = []
  #server: http.Server | undefined
  #stopping = false
  operations!: Operations
  policies!: PolicyStore

  constructor(config: Config) {
    this.config = config
    ensureDirectory(config.dataDir, 0o700)
    this.log = createLogger(config.logLevel, config.logFile)
    this.#version = readVersion()
    this.#store = new Store({
      databaseUrl: config.databaseUrl,
      dataDir: config.dataDir,
      log: this.log,
    })
  }

  /** Where the gate answers, once started. */
  get url(): string {
    const { address, family, port } = (this.#server as http.Server).address() as AddressInfo
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`
  }

  /** `beforeListening` runs when everything works and nobody can call yet. */
  async start(beforeListening: () => Promise<void> = async () => {}): Promise<void> {
    try {
      await this.#start(beforeListening)
    } catch (error) {
      await this.stop().catch(() => {})
      throw error
    }
  }

  async stop(): Promise<void> {
    if (this.#stopping) return
    this.#stopping = true
    for (const stop of this.#stops.toReversed()) {
      await stop().catch((error: unknown) => this.log.error({ err: error }, 'while stopping'))
    }
  }

  async #start(beforeListening: () => Promise<void>): Promise<void> {
    const { config, log, metrics, killState } = this
    // Files first: a policy that does not load should not wait for a database.
    this.policies = this.#policyStore()
    await this.policies.start()
    this.#stops.push(() => this.policies.stop())
    await this.#store.start()
    this.#stops.push(() => this.#store.stop())
    const { db, reads } = this.#store
    const mask = new RecordMask(await maskSecret(db))
    const webhooks = new WebhookSender({
      approvalUrl: config.approvalWebhookUrl,
      alertUrl: config.alertWebhookUrl,
      secret: config.webhookSecret,
      metrics,
    })
    const floor = new HeadFloor((finding) => this.#recordBroken(finding, webhooks))
    const control = this.#session('portcullis-control')
    const replica = new Replica({
      db: control,
      state: killState,
      floor,
      log,
      version: this.#version,
      isAlone: this.#store.isEmbedded,
    })
    replica.announceRevision(this.policies.current.revision)
    await replica.start()
    this.#stops.push(() => replica.stop())
    const checkpoints = this.#checkpointer(db, webhooks, floor, () => replica.hasPeers())
    await checkpoints.start()
    this.#stops.push(() => checkpoints.stop())
    const events = new EventStream(db)
    await events.start()
    const jobs = new Jobs(this.#store, log)
    const wakeups = new Wakeups(jobs, {
      approvals: config.approvalWebhookUrl !== null,
      alerts: config.alertWebhookUrl !== null,
    })
    const ledger = this.#ledger(events, checkpoints, wakeups, floor)
    await ledger.start()
    this.#stops.push(() => ledger.stop())
    const retention = { ledger, checkpoints, days: config.auditRetentionDays }
    await keepRecord(retention)
    const keyRing = new KeyRing(db, config.apiTokens)
    this.operations = new Operations({
      db,
      control,
      bundle: () => this.policies.current,
      ledger,
      killState,
      replicaId: replica.id,
      log,
    })
    const agents = new AgentCache(db)
    events.subscribe(({ kind, agentId }) => {
      if (kind.startsWith('agent.')) agents.forget(agentId)
    })
    const echoes = new CredentialEchoes((work) => this.operations.write(work))
    const client = new UpstreamClient({
      env: config.env,
      credentials: () => this.#credentials(),
      onEcho: (upstream) => void echoes.noticed(upstream),
    })
    this.#stops.push(() => client.stop())
    const model = new ModelClient(config.model, client)
    const pipeline = new Pipeline({
      db,
      ledger,
      events,
      metrics,
      log,
      client,
      model,
      agents,
      facts: new FactLookups(),
      killState,
      replicaId: replica.id,
      mask,
      hooks: { onHeld: (tx, approval) => wakeups.onHeld(tx, approval) },
      environment: keyRing,
      bundle: () => this.policies.current,
      refusal: () => refusal(checkpoints, replica),
    })
    const bundle = () => this.policies.current
    const files = new PlanFiles(config.plansDir)
    const plans = new Plans({ db, agents, killState, metrics, log, files, bundle })
    await plans.start()
    const replicaId = replica.id
    const turns = new Turns({ ledger, pipeline, agents, model, replicaId, mask, log, bundle })
    const onQueued = (tx: Tx, runId: string) => wakeups.onSandboxRun(tx, runId)
    const sandbox = new Sandbox({ db, ledger, replicaId, mask, log, bundle, onQueued })
    const workerParts: WorkerParts = {
      keepRecord: () => keepRecord(retention),
      db,
      pipeline,
      operations: this.operations,
      turns,
      sandbox,
      webhooks,
      log,
      showApproval: (approval) =>
        approvalView(db, approval, { bundle: bundle(), serverUrl: config.publicServerUrl, mask }),
    }
    await jobs.start(queues(workerParts))
    this.#stops.push(() => jobs.stop())
    const sweeper = new Sweeper(workerParts)
    await sweeper.start()
    this.#stops.push(() => sweeper.stop())
    this.#listenForPeers(events, replica, jobs)
    this.#watchPolicies(replica)
    await this.#recordPolicy('start')
    const httpParts: HttpParts = {
      config,
      version: this.#version,
      db: reads,
      log,
      metrics,
      keyRing,
      failedLogins: new FailedLogins(),
      pipeline,
      operations: this.operations,
      plans,
      turns,
      sandbox,
      policies: this.policies,
      killState,
      replica,
      events,
      mask,
      fanout: new Fanout(events),
      streams: new OpenStreams({
        keyRing,
        events,
        perKey: config.streamsPerKey,
        max: config.streamsMax,
      }),
      checkpoints,
      trust: {
        keys: manifestKeys(config.manifestKeyFiles),
        profiles: new Set(config.signedProfiles),
      },
      onApproved: (tx, approval) => wakeups.onApproved(tx, approval),
      readiness: () => this.#readiness(ledger, replica, checkpoints, pipeline),
    }
    await beforeListening()
    await this.#listen(createApp(httpParts), new ActivityStream(httpParts), pipeline)
    log.info({ url: this.url, version: this.#version, replica: replica.id }, 'ready')
  }

  #policyStore(): PolicyStore {
    const { policyDir, ratePerS, ticketingApiUrl, env } = this.config
    return new PolicyStore({
      dir: policyDir,
      kinds: GUARD_KINDS,
      env: { ...env, TICKETING_API_URL: ticketingApiUrl },
      defaults: { ratePerS },
      loader: POLICY_LOADER,
      log: this.log,
    })
  }

  /** The variables of the environment whose values no agent may see. */
  *#credentials(): Iterable<string> {
    const { keyVariable } = this.config.model ?? { keyVariable: null }
    if (keyVariable) yield keyVariable
    for (const { credential } of this.policies.current.upstreams.values()) {
      if (credential) yield credential.env
    }
  }

  /** A connection of its own; ends after whatever uses it has stopped. */
  #session(name: string): Session {
    const { isEmbedded } = this.#store
    const deadlineMs = isEmbedded ? RENEW_DEADLINE_MS.embedded : RENEW_DEADLINE_MS.server
    const session = new Session(this.#store.clientConfig(name), deadlineMs)
    this.#stops.push(() => session.stop())
    return session
  }

  // It cannot be put on the record, which is what is broken: the log, a metric and the webhook say it.
  #recordBroken(finding: string, webhooks: WebhookSender): void {
    this.log.fatal({ finding }, 'the audit record was rolled back: no effect starts any more')
    this.metrics.auditBroken.set(1)
    const alert = { kind: 'alert.audit_broken', message: finding, at: new Date().toISOString() }
    void webhooks.alert(alert).catch((error: unknown) => {
      this.log.error({ err: error }, 'alert webhook not delivered')
    })
  }

  #checkpointer(
    db: Db,
    webhooks: WebhookSender,
    floor: HeadFloor,
    othersAlive: () => Promise<boolean>,
  ): Checkpointer {
    const { checkpointWebhookUrl, dataDir } = this.config
    const sinks = checkpointWebhookUrl
      ? [
          (checkpoint: {
            size: bigint
            head: string
            at: string
            keyId: string
            signature: string
          }) =>
            webhooks.post(checkpointWebhookUrl, {
              type: 'checkpoint',
              checkpoint: { ...checkpoint, size: Number(checkpoint.size) },
            }),
        ]
      : []
    return new Checkpointer({ db, dataDir, log: this.log, floor, sinks, othersAlive })
  }

  #ledger(
    events: EventStream,
    checkpoints: Checkpointer,
    wakeups: Wakeups,
    floor: HeadFloor,
  ): Ledger {
    const { isEmbedded } = this.#store
    const ledger = new Ledger({
      config: this.#store.clientConfig('portcullis-ledger'),
      log: this.log,
      deadlineMs: isEmbedded ? COMMIT_DEADLINE_MS.embedded : COMMIT_DEADLINE_MS.server,
      floor,
      isServer: !isEmbedded,
    })
    ledger.onCommitted((entries) => checkpoints.grown(entries.at(-1)?.seq ?? 0n))
    ledger.onCommitted((entries) => events.publish(entries))
    // Counted and sent by the replica that wrote them, so that a sum over replicas is right.
    ledger.onCommitted((entries) => entries.forEach((entry) => count(this.metrics, entry)))
    ledger.onCommitted((entries) => entries.forEach((entry) => this.#alertWebhook(entry, wakeups)))
    return ledger
  }

  #listenForPeers(events: EventStream, replica: Replica, jobs: Jobs): void {
    if (this.#store.isEmbedded) return // one process has no peers
    const config = this.#store.clientConfig('portcullis-listener')
    const listener = new Listener(config, LEDGER_CHANNEL, (payload) => {
      const [seq = '0', epoch = '0'] = payload.split(':')
      if (BigInt(epoch) > this.killState.epoch) void replica.beat()
      events.advanceTo(BigInt(seq)).catch(() => {})
      jobs.wakeAll()
    })
    listener.start()
    this.#stops.push(() => listener.stop())
  }

  #alertWebhook(entry: AuditEntry, wakeups: Wakeups): void {
    if (!entry.kind.startsWith('alert.')) return
    void wakeups.onAlert(JSON.parse(entry.body) as JsonObject).catch((error: unknown) => {
      this.log.error({ err: error }, 'alert webhook not queued')
    })
  }

  #watchPolicies(replica: Replica): void {
    const unsubscribe = this.policies.subscribe({
      onReloaded: (bundle, _previous, reason) => {
        replica.announceRevision(bundle.revision)
        this.metrics.policyReloads.inc({ result: 'accepted' })
        void this.#recordPolicy(reason).catch((error: unknown) => this.#unrecorded(error))
      },
      onRejected: (diagnostics, reason) => {
        this.metrics.policyReloads.inc({ result: 'rejected' })
        // What somebody only tried under another path says nothing about what is on disk.
        const isLive = this.policies.rejection?.diagnostics === diagnostics
        void this.#recordRejection(diagnostics, reason, isLive).catch((error: unknown) =>
          this.#unrecorded(error),
        )
      },
    })
    this.#stops.push(async () => unsubscribe())
  }

  #unrecorded(error: unknown): void {
    this.log.error({ err: error }, 'a policy change is not on record')
  }

  async #recordPolicy(reason: string): Promise<void> {
    const { revision, files, environment } = this.policies.current
    this.metrics.policyInfo.reset()
    this.metrics.policyInfo.set({ revision: revision.slice(0, 12) }, 1)
    const list = files.map(({ path: file, sha256 }) => ({ path: file, sha256 }))
    await this.operations.note(
      'policy.reloaded',
      { revision, reason, environment, files: list },
      async (tx) => {
        await tx.query(
          'insert into policy_revisions (revision, files) values ($1, $2) on conflict do nothing',
          [revision, JSON.stringify(list)],
        )
      },
    )
  }

  async #recordRejection(
    diagnostics: readonly Diagnostic[],
    reason: string,
    isLive: boolean,
  ): Promise<void> {
    const revision = this.policies.current.revision
    const list = JSON.parse(JSON.stringify(diagnostics)) as Json
    const detail = { revision, reason, diagnostics: list }
    await this.operations.note('policy.rejected', detail, async (tx) => {
      if (!isLive) return
      await raiseAlert(tx, 'policy_rejected', '', 'the policy on disk does not load', {
        reason,
        revision,
      })
    })
  }

  async #listen(
    app: http.RequestListener,
    activity: ActivityStream,
    pipeline: Pipeline,
  ): Promise<void> {
    const server = http.createServer(
      {
        keepAliveTimeout: KEEP_ALIVE_MS,
        headersTimeout: HEADERS_TIMEOUT_MS,
        requestTimeout: REQUEST_TIMEOUT_MS,
        connectionsCheckingInterval: TIMEOUT_CHECK_MS, // Node looks every 30 s by itself
        IncomingMessage: GateRequest,
      },
      app,
    )
    server.on('clientError', malformed(this.log))
    server.on('upgrade', (req, socket, head) => void activity.upgrade(req, socket, head))
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(this.config.port, this.config.host, LISTEN_BACKLOG, resolve)
    })
    this.#server = server
    this.#stops.push(async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeIdleConnections()
      await pipeline.stop(DRAIN_MS)
      activity.stop()
      server.closeAllConnections()
      await closed
    })
  }

  async #readiness(
    ledger: Ledger,
    replica: Replica,
    checkpoints: Checkpointer,
    pipeline: Pipeline,
  ): Promise<Readiness[]> {
    const { rejection } = this.policies
    const skewMs = Math.abs(replica.skewMs)
    const rollback = checkpoints.refusal
    return [
      { name: 'database', ...(await asked(() => this.#store.db.query('select 1'), NO_DATABASE)) },
      { name: 'ledger', ...(await asked(() => ledger.probe(), NO_LEDGER)) },
      { name: 'kill_switch', ready: this.killState.isKnown },
      {
        name: 'policy',
        ready: true,
        ...(rejection
          ? { detail: 'the files on disk do not load; the last good revision is live' }
          : {}),
      },
      { name: 'audit', ready: rollback === null, ...(rollback ? { detail: rollback } : {}) },
      { name: 'outcomes', ready: pipeline.unrecordedOutcomes === 0 },
      { name: 'clock', ready: skewMs <= CLOCK_SKEW_MS_MAX },
      { name: 'serving', ready: !this.#stopping },
    ]
  }

  /** Makes sure an agent exists, for the demo; gives a new key only when it is new. */
  async ensureAgent(name: string, roles: readonly string[], owner: string): Promise<string | null> {
    const existing = await findAgent(this.#store.db, name)
    if (existing) return null
    const { key } = await this.operations.write((tx) =>
      registerAgent(tx, newAgent(name, { roles, owner }), ITSELF),
    )
    return key
  }

  /** Creates a key on behalf of the gate itself, such as the first admin key. */
  async issueKey(
    role: 'admin' | 'approver' | 'agent',
    name: string,
    agent: string | null,
  ): Promise<string> {
    const { key } = await this.operations.write((tx) =>
      createApiKey(tx, { role, name, agent }, ITSELF),
    )
    return key
  }

  async hasAdmin(): Promise<boolean> {
    if (this.config.apiTokens.some(({ role }) => role === 'admin')) return true
    const rows = await this.#store.db.query(
      `select 1 from api_keys where role = 'admin' and revoked_at is null limit 1`,
    )
    return rows.length > 0
  }
}

/** @throws GatewayError when a file cannot be read or holds another kind of key */
function manifestKeys(files: readonly string[]): KeyObject[] {
  return files.flatMap((file) => {
    try {
      return publicKeysOf(fs.readFileSync(file, 'utf8'))
    } catch (error) {
      const cause = (error as Error).message
      throw new GatewayError('invalid_request', `MANIFEST_TRUSTED_KEYS: ${file}: ${cause}`)
    }
  })
}

/** The gate as the author of what it does by itself. */
const ITSELF = { keyId: 'portcullis', role: 'admin', name: 'portcullis', agentId: null } as const

function refusal(checkpoints: Checkpointer, replica: Replica): GatewayError | undefined {
  const reason = checkpoints.refusal
  if (reason) return new GatewayError('audit_unavailable', reason)
  if (Math.abs(replica.skewMs) <= CLOCK_SKEW_MS_MAX) return undefined
  return new GatewayError('clock_skew', 'the clock of this replica differs from the database')
}

const NO_DATABASE = 'the database cannot be reached'
/** The database may answer questions while the ledger, which everything waits for, is held up. */
const NO_LEDGER = 'the record cannot be written'

async function asked(
  probe: () => Promise<unknown>,
  detail: string,
): Promise<{ ready: boolean; detail?: string }> {
  try {
    await probe()
    return { ready: true }
  } catch {
    return { ready: false, detail }
  }
}

// Counted from what was committed, so the numbers cannot run ahead of the record.
function count(metrics: Metrics, entry: AuditEntry): void {
  const { kind, detail = {} } = entry
  metrics.auditEntries.inc({ kind: kind.split('.', 1)[0] ?? '' })
  if (kind === 'decision') countDecision(metrics, entry.effect, detail)
  else if (kind === 'sandbox.finished') {
    metrics.sandboxFinished(detail['status'] as string, detail['seconds'] as number)
  } else if (kind === 'plan.refused') {
    metrics.countDenied(reasonsIn(detail, 'reasons').map(({ code }) => code))
  } else if (kind === 'outcome') metrics.actions.inc({ kind: detail['state'] as string })
  else if (kind.startsWith('approval.')) {
    metrics.approvals.inc({ status: kind.slice('approval.'.length) })
  }
}

function countDecision(metrics: Metrics, effect: string, detail: JsonObject): void {
  // Somebody who only asks what would happen must not look like an attack.
  if (detail['dry_run']) return metrics.dryRuns.inc({ effect })
  metrics.decisions.inc({ effect })
  for (const { source, effect: would } of reasonsIn(detail, 'shadow')) {
    metrics.countShadow(source, would)
  }
  if (effect === 'deny') metrics.countDenied(reasonsIn(detail, 'reasons').map(({ code }) => code))
  if (effect === 'deny') metrics.actions.inc({ kind: 'denied' })
  if (effect === 'require_approval') metrics.actions.inc({ kind: 'held' })
}

function reasonsIn(detail: JsonObject, name: string) {
  return (detail[name] ?? []) as unknown as { code: string; source: string; effect: string }[]
}

function readVersion(): string {
  const file = path.join(import.meta.dirname, '..', 'package.json')
  return (JSON.parse(fs.readFileSync(file, 'utf8')) as { version: string }).version
}
