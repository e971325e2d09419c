import fs from 'node:fs'
import path from 'node:path'
import { header } from '../edge/context.ts'
import type { Endpoint } from '../edge/endpoints.ts'
import { always, STRING } from '../edge/schemas.ts'
import { OPEN } from '../edge/validate.ts'
import { sendJson } from './answers.ts'
import { Endpoints } from '../edge/endpoints.ts'
import { openApi } from '../edge/openapi.ts'
import type { PartsOf } from '../edge/parts.ts'
import { SEED_ALIASES } from './seed-aliases.ts'
import { EXT_AUTHZ_ENDPOINTS } from '../ext-authz/http.ts'
import { PROXY_ENDPOINTS } from '../proxy/proxy.ts'

/** Written by the build: the page, and the three files of swagger-ui it needs. */
const ASSETS = path.join(import.meta.dirname, '..', '..', '..', 'dist', 'docs')
const FILES: Readonly<Record<string, string>> = {
  'index.html': 'text/html; charset=utf-8',
  'init.js': 'text/javascript; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'swagger-ui.css': 'text/css; charset=utf-8',
}
/** Nothing from elsewhere; the reference sets styles of its own on elements. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
  "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

const PLACES = {
  dashboard: '/ui/',
  reference: '/docs',
  openapi: '/openapi.json',
  liveness: '/healthz',
  readiness: '/readyz',
  metrics: '/metrics',
}
const LINKS = {
  ...Object.fromEntries(Object.keys(PLACES).map((name) => [name, STRING])),
  dashboard: { type: ['string', 'null'] },
}

/** `/`, `/docs` and `/openapi.json`, for whatever calls the other groups hold. */
export function docEndpoints(
  parts: PartsOf<'version' | 'config'>,
  others: readonly Endpoints[],
): Endpoints {
  const endpoints = new Endpoints('reference', parts)
  const page = (path: string, file: string) =>
    endpoints.stream(
      'get',
      path,
      {
        summary: file === 'index.html' ? 'The API reference, to read and to try' : `Its ${file}`,
        roles: 'open',
        media: (FILES[file] ?? '').split(';', 1)[0] ?? '',
      },
      ({ res }) => {
        res.setHeader('Content-Type', FILES[file] ?? '')
        res.setHeader('Content-Security-Policy', POLICY)
        res.setHeader('X-Content-Type-Options', 'nosniff')
        res.end(fs.readFileSync(assetPath(file)))
      },
    )
  endpoints.stream(
    'get',
    '/',
    {
      summary: 'Where things are; a browser is led to the dashboard',
      roles: 'open',
      answer: always({ name: { const: 'portcullis' }, version: STRING, links: always(LINKS) }),
      also: { 303: { means: 'a browser, to the dashboard' } },
    },
    ({ req, res }) => {
      const { dashboard } = parts.config
      const links = dashboard ? PLACES : { ...PLACES, dashboard: null }
      if (links.dashboard !== null && /\btext\/html\b/.test(header(req, 'accept') ?? '')) {
        res.redirect(303, links.dashboard)
      } else sendJson(res, 200, { name: 'portcullis', version: parts.version, links })
    },
  )
  page('/docs', 'index.html')
  for (const file of Object.keys(FILES)) if (file !== 'index.html') page(`/docs/${file}`, file)

  let document: string | undefined
  endpoints.stream(
    'get',
    '/openapi.json',
    {
      answer: OPEN,
      summary: 'The OpenAPI 3.1 document',
      roles: 'open',
    },
    ({ res }) => {
      document ??= JSON.stringify(
        documentOf([...others, endpoints], parts.version, parts.config.publicServerUrl),
      )
      res.setHeader('Content-Type', 'application/json; charset=utf-8')
      res.end(document)
    },
  )
  return endpoints
}

const assetPath = (file: string): string => path.join(ASSETS, file)

/** The document of all calls there are, the proxy and the seeds' paths included. */
export function documentOf(
  groups: readonly Endpoints[],
  version: string,
  serverUrl: string | null,
) {
  const calls: Endpoint[] = [
    ...groups.flatMap(({ table }) => table),
    ...PROXY_ENDPOINTS,
    ...EXT_AUTHZ_ENDPOINTS,
  ]
  const shown = calls.filter(({ path: at }) => !at.startsWith('/docs/'))
  return openApi(shown, SEED_ALIASES, { version, serverUrl })
}
