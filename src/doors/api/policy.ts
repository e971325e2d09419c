import { GatewayError } from '../../errors.ts'
import type { Bundle } from '../../bundle/types.ts'
import { invalid } from '../../lifecycle/publisher.ts'
import { givenFiles, type SentFile } from '../../lifecycle/sent-files.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { OPERATORS, READERS } from '../edge/roles.ts'
import { always, AT, BOOLEAN, bundleAnswer, DIAGNOSTICS, STRING } from '../edge/schemas.ts'
import { object, shape } from '../edge/validate.ts'
import { POLICY_BYTES_MAX, SENT_FILES } from './policy-publish.ts'

const PATH = { type: 'string', minLength: 1, maxLength: 1_000 } as const
const RELOAD = shape<{ path?: string }>(object({ path: PATH }))
const CHECK = shape<{ path?: string; files?: Record<string, SentFile> }>(
  object({
    path: PATH,
    files: {
      ...SENT_FILES,
      minProperties: 0,
      maxProperties: 500,
      description: `a whole policy. ${SENT_FILES.description}`,
    },
  }),
)

/** `GET /policy`, `POST /policy/reload`, `POST /policy/check`; each is the same however often it is sent. */
export function policyEndpoints(parts: PartsOf<'lifecycle'>): Endpoints {
  const { policies, lifecycle } = parts
  const endpoints = new Endpoints('policy', parts)

  endpoints.on(
    'get',
    '/policy',
    {
      answer: bundleAnswer(
        { stale: BOOLEAN, rejected: always({ at: AT, reason: STRING, diagnostics: DIAGNOSTICS }) },
        ['rejected'],
      ),
      summary: 'The live policy: revision, files, tools, guards',
      roles: READERS,
    },
    () => {
      const { rejection } = policies
      return {
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
      }
    },
  )

  endpoints.on(
    'post',
    '/policy/reload',
    {
      answer: bundleAnswer({ reloaded: { const: true }, changed: BOOLEAN }),
      summary: 'Load the policy files again; a broken one changes nothing',
      roles: OPERATORS,
      body: RELOAD,
      errors: ['policy_invalid', 'conflict'],
    },
    async ({ body: { path }, caller }) => {
      const result = await policies.reload(`reload by ${caller.name}`, path, caller.name)
      if (!result.ok) throw invalid(result.diagnostics, policies.current.revision)
      return { reloaded: true, changed: result.changed, ...bundleJson(result.bundle) }
    },
  )

  endpoints.on(
    'post',
    '/policy/check',
    {
      answer: bundleAnswer({ valid: { const: true } }),
      summary: 'Check policy files without loading them',
      roles: OPERATORS,
      body: CHECK,
      bodyBytesMax: POLICY_BYTES_MAX,
      errors: ['policy_invalid'],
    },
    async ({ body: { path, files } }) => {
      if (path !== undefined && files !== undefined) {
        throw new GatewayError('invalid_request', 'give `path` or `files`, not both')
      }
      const given = files && (await givenFiles(files, lifecycle.history)).files
      const result = await policies.check(given ?? path)
      if (!result.ok) throw invalid(result.diagnostics, policies.current.revision)
      return { valid: true, ...bundleJson(result.bundle) }
    },
  )

  return endpoints
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
