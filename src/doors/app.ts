import express, { type Express } from 'express'
import { aliases } from './api/aliases.ts'
import type { Endpoints } from './edge/endpoints.ts'
import { authenticate, cors, identify, middleware, plainRequest } from './edge/edge.ts'
import { errorHandler, noRoute } from './edge/errors.ts'
import type { HttpParts } from './edge/parts.ts'
import { authzenConfiguration } from './authzen/configuration.ts'
import { accessRequestEndpoints } from './authzen/access-requests.ts'
import { accessProblems } from './authzen/problems.ts'
import { authzenEndpoints } from './authzen/evaluations.ts'
import { authzenSearch } from './authzen/search.ts'
import { actEndpoints } from './api/act.ts'
import { actionEndpoints } from './api/actions.ts'
import { mcpServerEndpoints } from './api/mcp-servers.ts'
import { mcpEndpoints } from './mcp/endpoints.ts'
import { mcpErrors } from './mcp/errors.ts'
import { byToken } from './mcp/by-token.ts'
import { resourceEndpoints } from './mcp/resource.ts'
import { ownOrigin } from './mcp/origin.ts'
import { metricEndpoints } from './api/agent-metrics.ts'
import { agentEndpoints } from './api/agents.ts'
import { alertEndpoints } from './api/alerts.ts'
import { approvalEndpoints } from './api/approvals.ts'
import { approvalVoteEndpoints } from './api/approval-votes.ts'
import { auditEndpoints } from './api/audit.ts'
import { auditCsvEndpoints } from './api/audit-csv.ts'
import { docEndpoints } from './api/docs.ts'
import { eventEndpoints } from './streams/events.ts'
import { ingestEndpoints } from './api/ingest.ts'
import { keyEndpoints } from './api/keys.ts'
import { killSwitchEndpoints } from './api/kill-switch.ts'
import { modelEndpoints } from './api/models.ts'
import { planEndpoints } from './api/plans.ts'
import { policyEndpoints } from './api/policy.ts'
import { policyDraftEndpoints } from './api/policy-drafts.ts'
import { policyCanaryEndpoints } from './api/policy-canary.ts'
import { policyReplayEndpoints } from './api/policy-replays.ts'
import { policyHistoryEndpoints } from './api/policy-history.ts'
import { policyPublishEndpoints } from './api/policy-publish.ts'
import { proxyRoutes } from './proxy/proxy.ts'
import { budgetEndpoints } from './api/budgets.ts'
import { reportEndpoints } from './api/reports.ts'
import { sandboxEndpoints } from './api/sandbox.ts'
import { searchEndpoints } from './api/search.ts'
import { seriesEndpoints } from './api/series.ts'
import { spawnEndpoints } from './api/spawn.ts'
import { spendSeriesEndpoints } from './api/spend-series.ts'
import { statusEndpoints } from './api/status.ts'
import { toolEndpoints } from './api/tools.ts'
import { turnEndpoints } from './api/turns.ts'
import { webhookEndpoints } from './api/webhooks.ts'
import { whoamiEndpoints } from './api/whoami.ts'
import { bySession } from './dashboard/cookie.ts'
import { pageRoutes } from './dashboard/page.ts'
import { sessionEndpoints } from './dashboard/session.ts'
import { extAuthzRoutes } from './ext-authz/http.ts'
import { claudeHook, claudeHookErrors } from './hooks/claude-code.ts'
import { SEED_ALIASES } from './api/seed-aliases.ts'
import { opaBundleEndpoints } from './opa/bundles.ts'
import { opaDataEndpoints } from './opa/data.ts'
import { opaErrors } from './opa/errors.ts'
import { opaLogEndpoints } from './opa/logs.ts'
import { opaPolicyEndpoints } from './opa/policies.ts'

// The middlewares and their order, which is the order of trust: before the key is known nothing costs more
// than a look at the headers, and before roles are checked no body is parsed.

// Declared without a gate behind it, it is part of the reference.
const hasDashboard = ({ config }: HttpParts): boolean => config.dashboard ?? true

/** Every call there is, group by group. */
export function endpointGroups(parts: HttpParts): Endpoints[] {
  const groups = [
    actEndpoints(parts),
    statusEndpoints(parts),
    seriesEndpoints(parts),
    spendSeriesEndpoints(parts),
    actionEndpoints(parts),
    toolEndpoints(parts),
    approvalEndpoints(parts),
    approvalVoteEndpoints(parts),
    policyEndpoints(parts),
    policyHistoryEndpoints(parts),
    policyPublishEndpoints(parts),
    policyDraftEndpoints(parts),
    policyReplayEndpoints(parts),
    policyCanaryEndpoints(parts),
    killSwitchEndpoints(parts),
    auditEndpoints(parts),
    auditCsvEndpoints(parts),
    eventEndpoints(parts),
    agentEndpoints(parts),
    spawnEndpoints(parts),
    keyEndpoints(parts),
    whoamiEndpoints(parts),
    alertEndpoints(parts),
    webhookEndpoints(parts),
    planEndpoints(parts),
    turnEndpoints(parts),
    modelEndpoints(parts),
    sandboxEndpoints(parts),
    reportEndpoints(parts),
    budgetEndpoints(parts),
    searchEndpoints(parts),
    metricEndpoints(parts),
    ingestEndpoints(parts),
    authzenEndpoints(parts),
    authzenSearch(parts),
    authzenConfiguration(parts),
    accessRequestEndpoints(parts),
    claudeHook(parts),
    opaDataEndpoints(parts),
    opaPolicyEndpoints(parts),
    opaBundleEndpoints(parts),
    opaLogEndpoints(parts),
    mcpEndpoints(parts),
    mcpServerEndpoints(parts),
    resourceEndpoints(parts),
    ...(hasDashboard(parts) ? [sessionEndpoints(parts)] : []),
  ]
  return [...groups, docEndpoints(parts, groups)]
}

/** The whole HTTP surface, in the order a request passes it. */
export function createApp(parts: HttpParts): Express {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.set('query parser', false) // calls read the query themselves, strictly
  app.set('case sensitive routing', true) // each router says so for itself too
  app.use(middleware(identify(parts.log, parts.metrics, parts.config.trustedProxies)))
  app.use(middleware(plainRequest))
  app.use('/mcp', ownOrigin(parts.config))
  app.use(cors(parts.config.allowedOrigins))
  app.use('/mcp', middleware(byToken(parts)))
  app.use(middleware(authenticate(parts.keyRing, parts.failedLogins)))
  const { dashboard } = parts.config
  if (dashboard) app.use(middleware(bySession(parts.sessions, parts.config)))
  app.use(aliases(SEED_ALIASES))
  const routers = [
    proxyRoutes(parts),
    extAuthzRoutes(parts),
    ...endpointGroups(parts).map(({ router }) => router),
  ]
  if (dashboard) routers.push(pageRoutes())
  for (const router of routers) app.use(router)
  app.use(noRoute(routers))
  app.use('/mcp', mcpErrors(parts.log))
  app.use('/access', accessProblems())
  app.use(opaErrors(parts.log))
  app.use(claudeHookErrors(parts.log))
  app.use(errorHandler(parts.log))
  return app
}
