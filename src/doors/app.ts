import express, { type Express } from 'express'
import { aliases } from './api/aliases.ts'
import type { Calls } from './edge/calls.ts'
import { authenticate, cors, identify, plainRequest } from './edge/edge.ts'
import { errorHandler, noRoute } from './edge/errors.ts'
import type { HttpParts } from './edge/parts.ts'
import { actCalls } from './api/act.ts'
import { actionCalls } from './api/actions.ts'
import { metricCalls } from './api/agent-metrics.ts'
import { agentCalls } from './api/agents.ts'
import { alertCalls } from './api/alerts.ts'
import { approvalCalls } from './api/approvals.ts'
import { auditCalls } from './api/audit.ts'
import { docCalls } from './api/docs.ts'
import { eventCalls } from './streams/events.ts'
import { ingestCalls } from './api/ingest.ts'
import { keyCalls } from './api/keys.ts'
import { killSwitchCalls } from './api/kill-switch.ts'
import { planCalls } from './api/plans.ts'
import { policyCalls } from './api/policy.ts'
import { proxyRoutes } from './proxy/proxy.ts'
import { reportCalls } from './api/reports.ts'
import { sandboxCalls } from './api/sandbox.ts'
import { spawnCalls } from './api/spawn.ts'
import { statusCalls } from './api/status.ts'
import { turnCalls } from './api/turns.ts'
import { SEED_ALIASES } from './api/seed-aliases.ts'

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
