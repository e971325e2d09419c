import express, { type Express } from 'express'
import { aliases } from './aliases.ts'
import type { Calls } from './calls.ts'
import { authenticate, cors, identify, plainRequest } from './edge.ts'
import { errorHandler, noRoute } from './errors.ts'
import type { HttpParts } from './parts.ts'
import { actCalls } from './routes/act.ts'
import { actionCalls } from './routes/actions.ts'
import { metricCalls } from './routes/agent-metrics.ts'
import { agentCalls } from './routes/agents.ts'
import { alertCalls } from './routes/alerts.ts'
import { approvalCalls } from './routes/approvals.ts'
import { auditCalls } from './routes/audit.ts'
import { docCalls } from './routes/docs.ts'
import { eventCalls } from './routes/events.ts'
import { ingestCalls } from './routes/ingest.ts'
import { keyCalls } from './routes/keys.ts'
import { killSwitchCalls } from './routes/kill-switch.ts'
import { planCalls } from './routes/plans.ts'
import { policyCalls } from './routes/policy.ts'
import { proxyRoutes } from './routes/proxy.ts'
import { reportCalls } from './routes/reports.ts'
import { sandboxCalls } from './routes/sandbox.ts'
import { spawnCalls } from './routes/spawn.ts'
import { statusCalls } from './routes/status.ts'
import { turnCalls } from './routes/turns.ts'
import { SEED_ALIASES } from './seed-aliases.ts'

/** Every call there is, group by group. */
export function callGroups(parts: HttpParts): Calls[] {
  const groups = [
    actCalls(parts),
    statusCalls(parts),
    actionCalls(parts),
    approvalCalls(parts),
    policyCalls(parts),
    killSwitchCalls(parts),
    auditCalls(parts),
    eventCalls(parts),
    agentCalls(parts),
    spawnCalls(parts),
    keyCalls(parts),
    alertCalls(parts),
    planCalls(parts),
    turnCalls(parts),
    sandboxCalls(parts),
    reportCalls(parts),
    metricCalls(parts),
    ingestCalls(parts),
  ]
  return [...groups, docCalls(parts, groups)]
}

/** The whole HTTP surface, in the order a request passes it. */
export function createApp(parts: HttpParts): Express {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.set('query parser', false) // calls read the query themselves, strictly
  app.set('case sensitive routing', true) // each router says so for itself too
  app.use(identify(parts.log, parts.metrics, parts.config.trustedProxies))
  app.use(plainRequest)
  app.use(cors(parts.config.allowedOrigins))
  app.use(authenticate(parts.keyRing, parts.failedLogins))
  app.use(aliases(SEED_ALIASES))
  const routers = [proxyRoutes(parts), ...callGroups(parts).map(({ router }) => router)]
  for (const router of routers) app.use(router)
  app.use(noRoute(routers))
  app.use(errorHandler(parts.log))
  return app
}
