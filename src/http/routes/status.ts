import { Router } from 'express'
import { listAlerts } from '../../record/alerts.ts'
import { countOpenActions } from '../../record/actions.ts'
import { readHead } from '../../record/audit.ts'
import { allow } from '../edge.ts'
import type { HttpParts, Readiness } from '../parts.ts'
import { Query } from '../query.ts'

/** Liveness, readiness, metrics, and what the gate says of itself. */
export function statusRoutes(parts: HttpParts): Router {
  const router = Router({ caseSensitive: true })
  const anyone = allow('agent', 'observer', 'approver', 'operator', 'admin')
  const readers = allow('observer', 'approver', 'operator', 'admin')

  // Liveness stays true whatever is broken: restarting the gate would mend nothing.
  router.get(['/health', '/healthz'], (_req, res) => {
    res.json({ status: 'ok', version: parts.version })
  })

  router.get('/readyz', async (_req, res) => {
    const checks = await parts.readiness()
    const isReady = checks.every(({ ready }) => ready)
    res.status(isReady ? 200 : 503).json({ ready: isReady, checks: checks.map(checkJson) })
  })

  router.get('/metrics', async (_req, res) => {
    await refreshGauges(parts)
    res.setHeader('Content-Type', parts.metrics.registry.contentType)
    res.end(await parts.metrics.registry.metrics())
  })

  router.get('/meta', anyone, (_req, res) => {
    const { version, replica, config, policies } = parts
    res.json({
      name: 'portcullis',
      version,
      replica: replica.id,
      node: process.version,
      environment: policies.current.environment,
      database: config.databaseUrl ? 'postgresql' : 'embedded',
      effects: ['allow', 'deny', 'require_approval'],
    })
  })

  router.get('/state', readers, async (_req, res) => {
    const { policies, killState, db, replica, checkpoints } = parts
    const { size, head } = await readHead(db)
    const replicas = await db.query(
      `select id, host, version, revision, started_at from replicas
       where lease_until > clock_timestamp() order by started_at`,
    )
    res.json({
      policy: { revision: policies.current.revision, stale: policies.rejection !== undefined },
      kill_switch: { known: killState.isKnown, engaged: killState.rows.length },
      actions: await countOpenActions(db),
      audit: { size: Number(size), head, degraded: checkpoints.isDegraded },
      replica: replica.id,
      replicas,
      uptime_s: Math.round(process.uptime()),
    })
  })

  router.get(['/api/v1/alerts'], readers, async (req, res) => {
    const query = new Query(req, ['agent', 'limit', 'cursor'])
    const limit = query.limit()
    const rows = await listAlerts(parts.db, {
      agentId: query.text('agent'),
      before: query.text('cursor'),
      limit,
    })
    const next = rows.length === limit ? (rows.at(-1)?.id ?? null) : null
    const alerts = rows.map(({ agent_id, details, at, ...rest }) => ({
      ...rest,
      agent: agent_id || null,
      details: JSON.parse(details) as unknown,
      at: at.toISOString(),
    }))
    res.json({ alerts, next_cursor: next })
  })

  return router
}

function checkJson({ name, ready, detail }: Readiness) {
  return { name, ready, ...(detail ? { detail } : {}) }
}

/** Gauges that are read from the database are read when somebody looks. */
async function refreshGauges(parts: HttpParts): Promise<void> {
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
  } catch {
    // Metrics stay readable while the database is away; readiness says that it is.
  }
}
