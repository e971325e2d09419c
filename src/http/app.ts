import express, { type Express } from 'express'
import { authenticate, cors, identify, singleHeaders } from './edge.ts'
import { errorHandler, noRoute } from './errors.ts'
import type { HttpParts } from './parts.ts'
import { actRoutes } from './routes/act.ts'
import { actionRoutes } from './routes/actions.ts'
import { approvalRoutes } from './routes/approvals.ts'
import { auditRoutes } from './routes/audit.ts'
import { eventRoutes } from './routes/events.ts'
import { killSwitchRoutes } from './routes/kill-switch.ts'
import { policyRoutes } from './routes/policy.ts'
import { proxyRoutes } from './routes/proxy.ts'
import { registryRoutes } from './routes/registry.ts'
import { statusRoutes } from './routes/status.ts'

/** The whole HTTP surface, in the order a request passes it. */
export function createApp(parts: HttpParts): Express {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.set('query parser', false) // routes read the query themselves, strictly
  app.set('case sensitive routing', true) // each router says so for itself too
  app.use(identify(parts.log, parts.metrics))
  app.use(singleHeaders)
  app.use(cors(parts.config.allowedOrigins))
  app.use(authenticate(parts.keyRing))
  const routers = [
    actRoutes(parts),
    proxyRoutes(parts),
    statusRoutes(parts),
    actionRoutes(parts),
    approvalRoutes(parts),
    policyRoutes(parts),
    killSwitchRoutes(parts),
    auditRoutes(parts),
    eventRoutes(parts),
    registryRoutes(parts),
  ]
  for (const router of routers) app.use(router)
  app.use(noRoute(routers))
  app.use(errorHandler(parts.log))
  return app
}
