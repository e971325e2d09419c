import { deepFreeze } from '../lib/freeze.ts'
import { PASS_HEADERS, PLAIN_UPSTREAM } from '../model/tool.ts'
import type { JsonObject } from '../model/json.ts'
import type { Credential, HttpUpstream, Upstream } from '../model/tool.ts'
import { isOwnHeader, isUnpassable } from '../bundle/headers.ts'
import type { Findings } from '../sources/diagnostics.ts'
import { type PolicyEnv, substituteEnv } from '../sources/env.ts'
import type { PathStep, SourceDocument } from '../sources/yaml.ts'
import { type RawMcpServer, readProgram, reportUnused } from './child-programs.ts'

/** An upstream as `tools.yaml` has it, its shape checked. */
export interface RawUpstream {
  readonly base_url?: string
  readonly mcp?: RawMcpServer
  readonly timeout_ms?: number
  readonly credential?: RawCredential
  readonly idempotency_header?: string
  readonly response_bytes_max?: number
  readonly connections_max?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly pass_headers?: readonly string[]
  readonly idle_timeout_ms?: number
  readonly total_timeout_ms?: number
}

interface RawCredential {
  readonly header?: string
  readonly query?: string
  readonly env?: string
  readonly prefix?: string
  readonly basic?: { readonly user_env: string; readonly password_env: string }
  readonly oauth2?: {
    readonly token_url: string
    readonly client_id_env: string
    readonly client_secret_env: string
    readonly scopes?: readonly string[]
    readonly audience?: string
  }
}

const TIMEOUT_MS = 10_000
/** What is held in memory of an answer. */
const RESPONSE_BYTES_MAX = 4 << 20
const CONNECTIONS_MAX = 64

/** What reading an upstream reports to and fills in from. */
export interface UpstreamSurroundings {
  readonly source: SourceDocument
  readonly env: PolicyEnv
  /** Environment values that went into it, for the revision. */
  readonly used: Map<string, string>
  readonly found: Findings
}

export function readUpstream(
  name: string,
  raw: RawUpstream,
  around: UpstreamSurroundings,
): Upstream {
  const { source, env, used, found } = around
  const report = (at: readonly PathStep[], code: string, message: string): void =>
    found.error(source.at(['upstreams', name, ...at]), code, message)
  const fill = (text: string, ...at: readonly PathStep[]): string =>
    substituteEnv(text, env, used, source.at(['upstreams', name, ...at]), found)
  const program = raw.mcp && readProgram(raw.mcp, fill, report)
  if (program) reportUnused(raw, report)
  const at = raw.mcp ? ['mcp', 'url'] : ['base_url']
  const filled = fill(raw.mcp?.url ?? raw.base_url ?? '', ...at)
  const problem = baseUrlProblem(filled)
  if (problem !== undefined) report(at, 'bad_base_url', `${at.join('.')} ${problem}`)
  const credential = raw.credential ? readCredential(raw.credential, fill, report) : null
  return deepFreeze({
    name,
    protocol: raw.mcp ? 'mcp' : 'http',
    baseUrl: filled.replace(/\/+$/, ''),
    ...(program ? { program } : {}),
    ...(raw.mcp?.allow_server_requests
      ? { serverRequests: [...raw.mcp.allow_server_requests] }
      : {}),
    timeoutMs: raw.timeout_ms ?? TIMEOUT_MS,
    responseBytesMax: raw.response_bytes_max ?? RESPONSE_BYTES_MAX,
    connectionsMax: raw.connections_max ?? CONNECTIONS_MAX,
    credential,
    idempotencyHeader: raw.idempotency_header ?? null,
    http: readHttp(raw, report),
    declared: declared(raw),
  })
}

type Report = (at: readonly PathStep[], code: string, message: string) => void

/** What effects depend on; how long an answer may take is not among it. */
const declared = ({ headers, pass_headers: passed, mcp }: RawUpstream): JsonObject => ({
  ...(headers ? { headers: { ...headers } } : {}),
  ...(passed ? { pass_headers: [...passed] } : {}),
  ...(mcp?.allow_server_requests ? { allow_server_requests: [...mcp.allow_server_requests] } : {}),
})

function readHttp(raw: RawUpstream, report: Report): HttpUpstream {
  const own = new Set([raw.credential?.header, raw.idempotency_header].map(lower))
  const entries = Object.entries(raw.headers ?? {}).map(([name, value]) => {
    const isTaken = own.has(lower(name))
    if (isTaken || isUnpassable(name)) {
      report(['headers', name], 'bad_header', `header \`${name}\` is the gate's own affair`)
    }
    return [lower(name) ?? '', value] as const
  })
  const passed = (raw.pass_headers ?? PASS_HEADERS).map((name) => name.toLowerCase())
  for (const [index, name] of (raw.pass_headers ?? []).entries()) {
    if (!isUnpassable(name) && !own.has(lower(name))) continue
    const message = `header \`${name}\` is the gate's own affair: no client decides it`
    report(['pass_headers', index], 'bad_header', message)
  }
  return {
    headers: Object.fromEntries(entries),
    passHeaders: passed,
    idleTimeoutMs: raw.idle_timeout_ms ?? PLAIN_UPSTREAM.idleTimeoutMs,
    totalTimeoutMs: raw.total_timeout_ms ?? PLAIN_UPSTREAM.totalTimeoutMs,
    answerBytesMax: raw.response_bytes_max ?? PLAIN_UPSTREAM.answerBytesMax,
  }
}

const lower = (name: string | undefined): string | undefined => name?.toLowerCase()

function readCredential(
  raw: RawCredential,
  fill: (text: string, ...at: readonly PathStep[]) => string,
  report: Report,
): Credential | null {
  const { header, query, basic, oauth2, env, prefix } = raw
  const kinds = [header, query, basic, oauth2].filter((one) => one !== undefined)
  const isNamed = header !== undefined || query !== undefined
  const bad = (message: string): null => {
    report(['credential'], 'bad_credential', message)
    return null
  }
  if (kinds.length !== 1) return bad('a credential is one of `header`, `query`, `basic`, `oauth2`')
  if (isNamed !== (env !== undefined)) {
    return bad('`env` goes with `header` or `query`, which need it')
  }
  if (prefix !== undefined && header === undefined) return bad('`prefix` goes with `header`')
  if (header !== undefined) {
    if (isOwnHeader(header) && !CREDENTIAL_HEADERS.has(header.toLowerCase())) {
      return bad(`header \`${header}\` is the gate's own affair`)
    }
    return { header, env: env ?? '', prefix: prefix ?? '' }
  }
  if (query !== undefined) return { query, env: env ?? '' }
  if (basic) return { basic: { userEnv: basic.user_env, passwordEnv: basic.password_env } }
  return oauth2 ? readOauth2(oauth2, fill, report) : null
}

const CREDENTIAL_HEADERS: ReadonlySet<string> = new Set([
  ...['authorization', 'proxy-authorization', 'x-api-key', 'cookie'],
])

function readOauth2(
  raw: NonNullable<RawCredential['oauth2']>,
  fill: (text: string, ...at: readonly PathStep[]) => string,
  report: Report,
): Credential {
  const at = ['credential', 'oauth2', 'token_url']
  const tokenUrl = fill(raw.token_url, ...at)
  const problem = tokenUrl === '' ? undefined : tokenUrlProblem(tokenUrl)
  if (problem !== undefined) report(at, 'bad_credential', `token_url ${problem}`)
  return {
    oauth2: {
      tokenUrl,
      clientIdEnv: raw.client_id_env,
      clientSecretEnv: raw.client_secret_env,
      scopes: raw.scopes ?? [],
      audience: raw.audience ?? null,
    },
  }
}

function tokenUrlProblem(text: string): string | undefined {
  if (!URL.canParse(text)) return 'is not a URL'
  const url = new URL(text)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return 'must be http or https'
  if (url.username !== '' || url.password !== '') return 'must not carry credentials'
  return text.includes('#') ? 'must not have a fragment' : undefined
}

function baseUrlProblem(text: string): string | undefined {
  if (text === '') return undefined // the missing variable is reported already
  if (!URL.canParse(text)) return 'is not a URL'
  const url = new URL(text)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return 'must be http or https'
  if (url.username !== '' || url.password !== '') return 'must not carry credentials'
  if (text.includes('?')) return 'must not have a query'
  if (text.includes('#')) return 'must not have a fragment'
  const written = text.replace(/^[a-z]+:\/\/[^/]*/i, '').replace(/\/+$/, '')
  const parsed = url.pathname.replace(/\/+$/, '')
  return written === parsed && !/%|\\|\/\//.test(written)
    ? undefined
    : 'has a path that is not plain'
}
