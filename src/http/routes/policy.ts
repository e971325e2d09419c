import { Router, type Response } from 'express'
import { GatewayError } from '../../errors.ts'
import type { Diagnostic } from '../../policy/diagnostics.ts'
import type { Bundle } from '../../policy/types.ts'
import { bodyObject, callerOf } from '../context.ts'
import { allow, strictBody } from '../edge.ts'
import { sendError } from '../errors.ts'
import type { HttpParts } from '../parts.ts'
import { object, shape } from '../validate.ts'

const PATH = { type: 'string', minLength: 1, maxLength: 1_000 } as const
const checkReload = shape<{ path?: string }>(object({ path: PATH }))
const checkCheck = shape<{ path?: string; files?: Record<string, string> }>(
  object({
    path: PATH,
    files: { type: 'object', additionalProperties: { type: 'string' }, maxProperties: 500 },
  }),
)

/** `GET /policy`, `POST /policy/reload`, `POST /policy/check`. */
export function policyRoutes({ policies }: HttpParts): Router {
  const router = Router({ caseSensitive: true })

  router.get('/policy', allow('observer', 'approver', 'operator', 'admin'), (_req, res) => {
    const { rejection } = policies
    res.json({
      ...bundleJson(policies.current),
      stale: rejection !== undefined,
      ...(rejection
        ? {
            rejected: {
              at: new Date(rejection.atMs).toISOString(),
              reason: rejection.reason,
              diagnostics: rejection.diagnostics,
            },
          }
        : {}),
    })
  })

  router.post('/policy/reload', allow('operator', 'admin'), strictBody, async (req, res) => {
    const { path } = checkReload(bodyObject(req))
    const result = await policies.reload(`reload by ${callerOf(req).name}`, path)
    if (!result.ok) sendDiagnostics(res, result.diagnostics, policies.current.revision)
    else res.json({ reloaded: true, changed: result.changed, ...bundleJson(result.bundle) })
  })

  router.post('/policy/check', allow('operator', 'admin'), strictBody, async (req, res) => {
    const { path, files } = checkCheck(bodyObject(req))
    if (path !== undefined && files !== undefined) {
      throw new GatewayError('invalid_request', 'give `path` or `files`, not both')
    }
    const result = await policies.check(files ?? path)
    if (!result.ok) sendDiagnostics(res, result.diagnostics, policies.current.revision)
    else res.json({ valid: true, ...bundleJson(result.bundle) })
  })

  return router
}

function sendDiagnostics(
  res: Response,
  diagnostics: readonly Diagnostic[],
  revision: string,
): void {
  const [first] = diagnostics
  const place = first ? `${first.file}:${first.line}:${first.col} ${first.message}` : 'unknown'
  const message = `the policy does not load: ${place}; revision ${revision.slice(0, 12)} stays live`
  sendError(
    res,
    new GatewayError('policy_invalid', message, { details: { diagnostics, revision } }),
  )
}

function bundleJson(bundle: Bundle) {
  return {
    revision: bundle.revision,
    loaded_at: new Date(bundle.loadedAtMs).toISOString(),
    environment: bundle.environment,
    files: bundle.files,
    counts: bundle.counts,
    entrypoints: bundle.modules.flatMap(({ entrypoints }) => entrypoints),
    tools: [...bundle.tools.values()].map(({ name, upstream, method, path, effectClass }) => ({
      name,
      upstream,
      method,
      path,
      effect: effectClass,
    })),
    guards: bundle.guards.map(({ id, kind, mode, location }) => ({ id, kind, mode, location })),
    warnings: bundle.warnings,
  }
}
