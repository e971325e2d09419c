import { liveReplicas } from '../../control/replica.ts'
import { agentStats, agentUptime } from '../../agents/registry.ts'
import { countOpenActions } from '../../record/actions.ts'
import { readHead } from '../../record/audit.ts'
import { Endpoints, Reply } from '../edge/endpoints.ts'
import type { HttpParts, PartsOf } from '../edge/parts.ts'
import type { Readiness } from '../edge/readiness.ts'
import { ANYONE, READERS } from '../edge/roles.ts'
import { always, AT, BOOLEAN, COUNTS, INTEGER, list, STRING } from '../edge/schemas.ts'

const ALIVE = always({ status: { const: 'ok' }, version: STRING })
const READY = always({
  ready: BOOLEAN,
  checks: list(always({ name: STRING, ready: BOOLEAN, detail: STRING }, ['detail'])),
})
const STATE = always({
  policy: always({ revision: STRING, stale: BOOLEAN }),
  kill_switch: always({ known: BOOLEAN, engaged: INTEGER }),
  actions: COUNTS,
  audit: always({ size: INTEGER, head: STRING, degraded: BOOLEAN }),
  replica: STRING,
  replicas: list(
    always({ id: STRING, host: STRING, version: STRING, revision: STRING, started_at: AT }),
  ),
  uptime_s: INTEGER,
})

/** Liveness, readiness, metrics, and what the gate says of itself. */
export function statusEndpoints(
  parts: PartsOf<
    'version' | 'readiness' | 'metrics' | 'replica' | 'config' | 'db' | 'killState' | 'checkpoints'
  >,
): Endpoints {
  const endpoints = new Endpoints('status', parts)

  // Liveness stays true whatever is broken: restarting the gate would mend nothing.
  for (const path of ['/health', '/healthz']) {
    endpoints.on('get', path, { summary: 'Liveness', roles: 'open', answer: ALIVE }, () => ({
      status: 'ok',
      version: parts.version,
    }))
  }

  endpoints.on(
    'get',
    '/readyz',
    {
      summary: 'Readiness, every dependency by name',
      roles: 'open',
      answer: READY,
      also: { 503: { means: 'something it depends on is not ready', answer: READY } },
    },
    async () => {
      const checks = await parts.readiness()
      const isReady = checks.every(({ ready }) => ready)
      return new Reply(isReady ? 200 : 503, { ready: isReady, checks: checks.map(checkJson) })
    },
  )

  endpoints.stream(
    'get',
    '/metrics',
    {
      summary: 'Prometheus metrics',
      roles: 'open',
      media: 'text/plain',
    },
    async ({ res }) => {
      await refreshGauges(parts)
      res.setHeader('Content-Type', parts.metrics.registry.contentType)
      res.end(await parts.metrics.registry.metrics())
    },
  )

  endpoints.on(
    'get',
    '/meta',
    {
      summary: 'What this gate is',
      roles: ANYONE,
      answer: always({
        name: { const: 'portcullis' },
        version: STRING,
        replica: STRING,
        node: STRING,
        environment: STRING,
        database: { enum: ['postgresql', 'embedded'] },
        effects: list(STRING),
      }),
    },
    () => {
      const { version, replica, config, policies } = parts
      return {
        name: 'portcullis',
        version,
        replica: replica.id,
        node: process.version,
        environment: policies.current.environment,
        database: config.databaseUrl ? 'postgresql' : 'embedded',
        effects: ['allow', 'deny', 'require_approval'],
      }
    },
  )

  endpoints.on(
    'get',
    '/state',
    {
      summary: 'How this gate is doing',
      roles: READERS,
      answer: STATE,
    },
    () => stateJson(parts),
  )

  return endpoints
}

async function stateJson(
  parts: Pick<HttpParts, 'policies' | 'killState' | 'db' | 'replica' | 'checkpoints'>,
) {
  const { policies, killState, db, replica, checkpoints } = parts
  const { size, head } = await readHead(db)
  const replicas = (await liveReplicas(db)).map(({ startedAt, ...replica }) => ({
    ...replica,
    started_at: startedAt,
  }))
  return {
    policy: { revision: policies.current.revision, stale: policies.rejection !== undefined },
    kill_switch: { known: killState.isKnown, engaged: killState.rows.length },
    actions: await countOpenActions(db),
    audit: { size: Number(size), head, degraded: checkpoints.isDegraded },
    replica: replica.id,
    replicas,
    uptime_s: Math.round(process.uptime()),
  }
}

function checkJson({ name, ready, detail }: Readiness) {
  return { name, ready, ...(detail ? { detail } : {}) }
}

/** Gauges that are read from the database are read when somebody looks. */
async function refreshGauges(
  parts: Pick<HttpParts, 'metrics' | 'db' | 'killState' | 'policies' | 'readiness'>,
): Promise<void> {
  const { metrics, db, killState, policies } = parts
  const checks = await parts.readiness()
  metrics.ready.set(checks.every(({ ready }) => ready) ? 1 : 0)
  metrics.killSwitches.set(killState.rows.length)
  metrics.policyStale.set(policies.rejection === undefined ? 0 : 1)
  try {
    const open = await countOpenActions(db)
    for (const state of ['held', 'executing', 'indeterminate']) {
      metrics.openActions.set({ state }, open[state] ?? 0)
    }
    metrics.pendingApprovals.set(open['held'] ?? 0)
    metrics.auditSize.set(Number((await readHead(db)).size))
    await refreshAgents(parts)
  } catch {
    // Metrics stay readable while the database is away; readiness says that it is.
  }
}

async function refreshAgents({ db, metrics }: Pick<HttpParts, 'db' | 'metrics'>): Promise<void> {
  const { by_status: byStatus } = await agentStats(db)
  metrics.agentsByStatus.reset()
  for (const [status, n] of Object.entries(byStatus)) metrics.agentsByStatus.set({ status }, n)
  const uptime = await agentUptime(db)
  metrics.agentUptime.set({ stat: 'longest' }, uptime.longest)
  metrics.agentUptime.set({ stat: 'mean' }, uptime.mean)
}
