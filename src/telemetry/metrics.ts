import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'
import { Durations } from './durations.ts'
import { LabelLimit } from './label-limit.ts'
import { UpstreamHealth } from './upstream-health.ts'

/** Reason codes are made up by policies, and guards come and go; more of either count as `other`. */
const LABEL_VALUES_MAX = 500

const FAST_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const MICRO_BUCKETS = [
  0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.025, 0.1,
]

/** Every metric the gate exports. Labels are bounded: tools and guards, never ids or paths. */
export class Metrics {
  readonly registry = new Registry()
  /** Of each upstream, for those who ask the API. */
  readonly upstreams = new UpstreamHealth()
  /** Actions by what became of them; the seeds' name. `kind` is the outcome. */
  readonly actions = this.#counter('actions_total', 'Actions by outcome', ['kind'])
  readonly denied = this.#counter('policy_denied_total', 'Denials by reason code', ['reason'])
  readonly dryRuns = this.#counter('portcullis_dry_runs_total', 'Dry runs by effect', ['effect'])
  readonly decisions = this.#counter('portcullis_decisions_total', 'Decisions by effect', [
    'effect',
  ])
  readonly shadow = this.#counter('portcullis_shadow_total', 'What shadow guards would have done', [
    'guard',
    'effect',
  ])
  readonly canary = this.#counter(
    'portcullis_canary_total',
    'Decisions that both policies of a canary were asked about, by how they differ',
    ['change'],
  )
  readonly upstreamCalls = this.#counter('portcullis_upstream_calls_total', 'Upstream calls', [
    'upstream',
    'result',
  ])
  readonly approvals = this.#counter('portcullis_approvals_total', 'Approvals by status', [
    'status',
  ])
  readonly policyReloads = this.#counter('portcullis_policy_reloads_total', 'Reloads by result', [
    'result',
  ])
  readonly auditEntries = this.#counter('portcullis_audit_entries_total', 'Audit entries written', [
    'kind',
  ])
  readonly webhooks = this.#counter('portcullis_webhooks_total', 'Webhook deliveries', ['result'])
  readonly decisionLog = this.#counter(
    'portcullis_decision_log_total',
    'Decisions sent as decision logs, by what the sink said',
    ['result'],
  )
  readonly decisionLogBehind = this.#gauge(
    'portcullis_decision_log_behind',
    'Entries of the record that the sink of decision logs was not sent yet',
  )
  readonly httpRequests = this.#counter('portcullis_http_requests_total', 'HTTP answers', [
    'method',
    'status',
  ])
  readonly extAuthzChecks = this.#counter(
    'portcullis_ext_authz_checks_total',
    'Questions of Envoy over gRPC, by the status that they were answered with',
    ['status'],
  )
  readonly extMcpChecks = this.#counter(
    'portcullis_ext_mcp_checks_total',
    'Questions of MCP gateways over gRPC, by the status that they were answered with',
    ['status'],
  )
  readonly mcpRequests = this.#counter('portcullis_mcp_requests_total', 'Requests over MCP', [
    'server',
    'method',
    'result',
  ])
  readonly mcpTokens = this.#counter(
    'portcullis_mcp_tokens_total',
    'Access tokens at /mcp by what was found of them',
    ['result'],
  )
  readonly slowReaders = this.#counter(
    'portcullis_sse_dropped_total',
    'Slow SSE readers dropped',
    [],
  )
  /** Must read 0: an effect that went ahead without its decision on record. */
  readonly failOpen = this.#counter('failopen_total', 'Effects without a durable decision', [])
  readonly policyStale = this.#gauge(
    'portcullis_policy_stale',
    '1 while the files on disk do not load',
  )
  readonly killSwitches = this.#gauge('portcullis_kill_switches', 'Engaged kill switches')
  readonly openActions = this.#gauge('portcullis_actions_open', 'Actions not yet final', ['state'])
  readonly pendingApprovals = this.#gauge('portcullis_approvals_pending', 'Approvals waiting')
  readonly sseClients = this.#gauge('portcullis_sse_clients', 'Connected SSE readers')
  readonly websocketClients = this.#gauge(
    'portcullis_websocket_clients',
    'Connected WebSocket readers',
  )
  readonly auditSize = this.#gauge('portcullis_audit_size', 'Entries in the audit chain')
  readonly auditBroken = this.#gauge(
    'portcullis_audit_broken',
    '1 once the record in the database was found rolled back: no effect starts any more',
  )
  readonly ready = this.#gauge('portcullis_ready', '1 while every dependency is ready')
  readonly policyInfo = this.#gauge('portcullis_policy_info', 'The live revision', ['revision'])
  readonly act = this.#histogram('act_seconds', 'From request to answer', FAST_BUCKETS, 'kind')
  readonly plan = this.#histogram('plan_seconds', 'Time to judge a change plan', FAST_BUCKETS)
  /** The seeds' names, with `_` for `.`; the share is of the runs this replica finished. */
  readonly sandboxDuration = this.#histogram(
    'sandbox_run_duration',
    'Seconds a sandbox run took',
    FAST_BUCKETS,
  )
  readonly sandboxSuccess = this.#gauge(
    'sandbox_run_success_rate',
    'Share of sandbox runs that passed, from 0 to 1',
  )
  readonly #reasons = new LabelLimit(LABEL_VALUES_MAX)
  readonly #guards = new LabelLimit(LABEL_VALUES_MAX)
  #sandboxRuns = { finished: 0, passed: 0 }
  readonly decide = this.#histogram(
    'portcullis_decision_seconds',
    'Time to decide, without I/O',
    MICRO_BUCKETS,
  )
  /** The seed's name, in Prometheus' letters; seconds. */
  readonly spawnSeconds = this.#histogram(
    'agent_manager_agent_spawn_duration',
    'From the request to a spawned agent, in seconds',
    FAST_BUCKETS,
  )
  readonly agentUptime = this.#gauge(
    'agent_manager_agent_uptime',
    'Seconds that active agents have been active, longest and mean',
    ['stat'],
  )
  readonly agentsByStatus = this.#gauge('portcullis_agents', 'Registered agents', ['status'])
  readonly upstreamSeconds = this.#histogram(
    'portcullis_upstream_seconds',
    'Time an upstream took',
    FAST_BUCKETS,
    'upstream',
  )

  constructor() {
    collectDefaultMetrics({ register: this.registry })
    this.failOpen.inc(0)
    this.slowReaders.inc(0)
    for (const kind of ['succeeded', 'failed', 'denied', 'held', 'indeterminate']) {
      this.actions.inc({ kind }, 0)
    }
    for (const reason of ['kill_switch_engaged', 'no_permission']) this.denied.inc({ reason }, 0)
  }

  /** Counts a denial under the code of each of its reasons. */
  countDenied(codes: readonly string[]): void {
    for (const code of codes) this.denied.inc({ reason: this.#reasons.value(code) })
  }

  /** Counts what a guard in shadow would have done. */
  countShadow(guard: string, effect: string): void {
    this.shadow.inc({ guard: this.#guards.value(guard), effect })
  }

  sandboxFinished(status: string, seconds: number): void {
    const { finished, passed } = this.#sandboxRuns
    this.#sandboxRuns = {
      finished: finished + 1,
      passed: passed + (status === 'passed' ? 1 : 0),
    }
    this.sandboxDuration.observe(seconds)
    this.sandboxSuccess.set(this.#sandboxRuns.passed / this.#sandboxRuns.finished)
  }

  #counter(name: string, help: string, labelNames: string[]): Counter {
    return new Counter({ name, help, labelNames, registers: [this.registry] })
  }

  #gauge(name: string, help: string, labelNames: string[] = []): Gauge {
    return new Gauge({ name, help, labelNames, registers: [this.registry] })
  }

  #histogram(name: string, help: string, buckets: readonly number[], label?: string): Durations {
    const durations = new Durations({ name, help, buckets, ...(label ? { label } : {}) })
    this.registry.registerMetric(durations.forRegistry)
    return durations
  }
}
