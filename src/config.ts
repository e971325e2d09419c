import fs from 'node:fs'
import type { BlockList } from 'node:net'
import path from 'node:path'
import { parseEnv } from 'node:util'
import { addressRanges, isSecret } from './lib/addresses.ts'
import { secretsOf } from './lib/webhook-secrets.ts'

export const KEY_ROLES = ['agent', 'observer', 'approver', 'operator', 'admin', 'pep'] as const
export type KeyRole = (typeof KEY_ROLES)[number]

/** A key given by the environment rather than kept in the database. */
export interface BootstrapToken {
  readonly role: KeyRole
  /** Name of the holder; for role `agent`, the agent it acts as. */
  readonly name: string
  readonly key: string
}

/** Where the model is. The key is named, not held: only the upstream client reads it. */
export interface ModelConfig {
  readonly provider: 'openai' | 'groq' | 'custom'
  readonly baseUrl: string
  /** Null: a server of one's own that asks for no key. */
  readonly keyVariable: 'OPENAI_API_KEY' | 'GROQ_API_KEY' | null
}

/** A service that has a part of the policy as a bundle of OPA. */
export interface PolicyBundleConfig {
  readonly url: string
  readonly token: string | null
  /** Seconds between two requests, up to twice as long. */
  readonly pollS: number
  /** How long the service may keep a request open; 0: it is not asked to. */
  readonly waitS: number
  /** PEM; null: bundles are not signed. */
  readonly publicKeyFile: string | null
  readonly scope: string
}

/** Where decisions are sent as decision logs of OPA. */
export interface DecisionLogConfig {
  /** The service; chunks are posted to its `/logs`. */
  readonly url: string
  readonly token: string | null
  readonly labels: Readonly<Record<string, string>>
  readonly batch: number
  /** Of a chunk, packed. */
  readonly uploadBytesMax: number
  readonly minDelayS: number
  readonly maxDelayS: number
  /** JSON pointers below `/input` and `/result`. */
  readonly masks: readonly string[]
}

/** Whose tokens are taken at `/mcp`, for what, and for which agents. */
export interface OAuthConfig {
  /** As they call themselves in their tokens. */
  readonly issuers: readonly string[]
  /** Of the one issuer there is; null: what its metadata says. */
  readonly jwksUrl: string | null
  /** What the gate is called from outside, without a slash at its end: the resources are below it. */
  readonly baseUrl: string
  /** Good at each path, beside the path's own URL. */
  readonly audiences: readonly string[]
  /** The claim that says which agent it is. */
  readonly agentClaim: string
  /** Agents by value of the claim, or by `issuer#value`; null: the value is the agent's name or id. */
  readonly agents: ReadonlyMap<string, string> | null
  /** All of these are needed. */
  readonly scopes: readonly string[]
  readonly algorithms: readonly string[]
  /** Lower case, without `application/`; `none` where a token need not have one. */
  readonly types: readonly string[]
  readonly clockToleranceS: number
}

/** The port of gRPC, and what it is encrypted with. */
export interface GrpcConfig {
  readonly port: number
  /** Null: plain text. */
  readonly tls: {
    readonly certFile: string
    readonly keyFile: string
    /** Who has no certificate of this authority is not spoken to; null: whoever comes. */
    readonly clientCaFile: string | null
  } | null
}

export interface Config {
  readonly host: string
  readonly port: number
  /** Null: the embedded database under `dataDir`. */
  readonly databaseUrl: string | null
  readonly dataDir: string
  readonly policyDir: string
  /** Where the policy is: files on disk, what was published into the database, or files on disk with a bundle of a service. */
  readonly policySource: 'directory' | 'database' | 'bundle'
  /** The bundle service of a policy that comes from one. */
  readonly policyBundle: PolicyBundleConfig | null
  /** Files of replaced policies are kept this long, and while a decision on record names them; 0: for good. */
  readonly policyKeepDays: number
  readonly plansDir: string
  readonly apiTokens: readonly BootstrapToken[]
  readonly allowedOrigins: readonly string[]
  /** Only what these send is believed of where a request comes from. */
  readonly trustedProxies: BlockList
  readonly ratePerS: number
  /** Where enforcement points ask over gRPC, at `host`; null: nowhere. */
  readonly grpc: GrpcConfig | null
  /** Questions a second that one key of an enforcement point may ask. */
  readonly pepRatePerS: number
  /** Streams of events that a key of another role than `agent` may have open at once. */
  readonly streamsPerKey: number
  /** Streams of events of all keys together. */
  readonly streamsMax: number
  /** What a policy may have started as MCP servers, word by word, and the folders it may have them run in. */
  readonly mcpPrograms: {
    readonly commands: readonly (readonly string[])[]
    readonly folders: readonly string[]
  }
  /** Null: at `/mcp` as elsewhere there are keys of the gate and nothing else. */
  readonly oauth: OAuthConfig | null
  /** The ceiling of what a tool may take as an upload. */
  readonly uploadBytesMax: number
  readonly logLevel: string
  /** Null: standard output only. */
  readonly logFile: string | null
  readonly demo: boolean
  /** Whether browsers get the dashboard, and may sign in. */
  readonly dashboard: boolean
  readonly ticketingApiUrl: string
  readonly publicServerUrl: string | null
  readonly approvalWebhookUrl: string | null
  readonly alertWebhookUrl: string | null
  readonly webhookSecret: string | null
  readonly checkpointWebhookUrl: string | null
  /** What an access request may ask to be called back at. */
  readonly accessCallbacks: readonly string[]
  /** Null: decisions are sent to nobody. */
  readonly decisionLog: DecisionLogConfig | null
  /** Null: no model is configured. */
  readonly model: ModelConfig | null
  /** PEM files with the public keys whose signature on a manifest is believed. */
  readonly manifestKeyFiles: readonly string[]
  /** Private key that bundles are signed with, as a PEM file; null: they are not. */
  readonly bundleSigningKeyFile: string | null
  /** What verifiers know the key by. */
  readonly bundleSigningKeyId: string
  /** Profiles whose agents need a signed manifest. */
  readonly signedProfiles: readonly string[]
  /** Audit entries are kept this long, then dropped partition by partition; 0: for good. */
  readonly auditRetentionDays: number
  /** The environment as read, for upstream credentials and `${NAME}` in base URLs. */
  readonly env: Readonly<Record<string, string>>
}

/** Every mistake in the environment, reported together. */
export class ConfigError extends Error {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(`the environment has ${problems.length} problem(s):\n  ${problems.join('\n  ')}`)
    this.name = 'ConfigError'
    this.problems = problems
  }
}

type Env = Readonly<Record<string, string | undefined>>

const POLICY_SOURCES = ['directory', 'database', 'bundle']
const DEMO_PORT = 8788
const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']
const TOKEN_CHARS_MIN = 4
const TOKENS_MAX = 100

/** Reads `process.env` over the `.env` of a folder; the only place that does. */
export function readConfig(folder = process.cwd()): Config {
  const file = path.join(folder, '.env')
  const fromFile = fs.existsSync(file) ? parseEnv(fs.readFileSync(file, 'utf8')) : {}
  return parseConfig({ ...fromFile, ...process.env })
}

/** @throws ConfigError naming every variable that is wrong. */
export function parseConfig(env: Env): Config {
  const problems: string[] = []
  const read = new Reader(env, problems)
  const production = read.text('NODE_ENV', '') === 'production'
  const config: Config = {
    host: read.text('HOST', '127.0.0.1'),
    port: read.integer('PORT', 8787, 0, 65_535),
    databaseUrl: read.url('DATABASE_URL', ['postgres:', 'postgresql:']),
    dataDir: path.resolve(read.text('DATA_DIR', '.portcullis')),
    policyDir: path.resolve(read.text('POLICY_DIR', 'policies')),
    policySource: read.oneOf(
      'POLICY_SOURCE',
      POLICY_SOURCES,
      'directory',
    ) as Config['policySource'],
    policyBundle: policyBundle(read, problems),
    policyKeepDays: read.integer('POLICY_KEEP_DAYS', 400, 0, 36_500),
    plansDir: path.resolve(read.text('PLANS_DIR', 'plans')),
    // API_KEY is one more admin, as containers are often given one.
    apiTokens: parseTokens(`${read.text('API_TOKENS', '')},${read.text('API_KEY', '')}`, problems),
    allowedOrigins: read.list('ALLOWED_ORIGINS').map((origin) => checkedOrigin(origin, problems)),
    trustedProxies: proxies(read.list('TRUSTED_PROXIES'), problems),
    ratePerS: read.integer('RATE_LIMIT_PER_S', 5, 1, 1_000_000),
    grpc: grpcConfig(read, problems),
    pepRatePerS: read.integer('PEP_RATE_PER_S', 500, 1, 1_000_000),
    streamsPerKey: read.integer('STREAMS_PER_KEY', 64, 1, 1_000_000),
    streamsMax: read.integer('STREAMS_MAX', 4_096, 1, 1_000_000),
    mcpPrograms: {
      commands: read.list('MCP_COMMANDS').map((command) => command.split(/\s+/)),
      folders: read.list('MCP_FOLDERS').map((folder) => path.resolve(folder)),
    },
    oauth: oauthConfig(read, problems),
    uploadBytesMax: read.integer('UPLOAD_BYTES_MAX', 2 ** 30, 1, 2 ** 40),
    logLevel: read.oneOf('LOG_LEVEL', LOG_LEVELS, 'info'),
    logFile: read.textOrEmpty('LOG_FILE', 'logs/app.log') || null,
    demo: read.flag('DEMO', !production),
    dashboard: read.flag('DASHBOARD', true),
    ticketingApiUrl:
      read.url('TICKETING_API_URL', ['http:', 'https:']) ??
      `http://127.0.0.1:${read.integer('DEMO_PORT', DEMO_PORT, 1, 65_535)}`,
    publicServerUrl: read.url('PUBLIC_SERVER_URL', ['http:', 'https:']),
    approvalWebhookUrl: read.url('APPROVAL_WEBHOOK_URL', ['http:', 'https:']),
    alertWebhookUrl: read.url('ALERT_WEBHOOK_URL', ['http:', 'https:']),
    webhookSecret: read.text('WEBHOOK_SECRET', '').trim() || null,
    checkpointWebhookUrl: read.url('CHECKPOINT_WEBHOOK_URL', ['http:', 'https:']),
    accessCallbacks: read.list('ACCESS_REQUEST_CALLBACKS').map((url) => callback(url, problems)),
    decisionLog: decisionLog(read, problems),
    model: modelConfig(read, problems),
    manifestKeyFiles: read.list('MANIFEST_TRUSTED_KEYS').map((file) => path.resolve(file)),
    bundleSigningKeyFile: fileOrNull(read.text('BUNDLE_SIGNING_KEY', '')),
    bundleSigningKeyId: read.text('BUNDLE_SIGNING_KEY_ID', 'portcullis'),
    signedProfiles: splitList(read.textOrEmpty('SIGNED_PROFILES', 'illuvrse')),
    auditRetentionDays: read.integer('AUDIT_RETENTION_DAYS', 90, 0, 36_500),
    env: Object.freeze(definedOnly(env)),
  }
  checkWebhooks(config, problems)
  if (problems.length > 0) throw new ConfigError(problems)
  return Object.freeze(config)
}

const fileOrNull = (text: string): string | null =>
  text.trim() === '' ? null : path.resolve(text.trim())

function policyBundle(read: Reader, problems: string[]): PolicyBundleConfig | null {
  const url = read.url('POLICY_BUNDLE_URL', ['http:', 'https:'])
  if (read.text('POLICY_SOURCE', '').toLowerCase() !== 'bundle') return null
  if (url === null) problems.push('POLICY_BUNDLE_URL is needed where POLICY_SOURCE is bundle')
  const { username = '', password = '' } = parseUrl(url ?? '') ?? {}
  if (username + password !== '') {
    problems.push('POLICY_BUNDLE_URL must not carry credentials: POLICY_BUNDLE_TOKEN')
  }
  return {
    url: url ?? '',
    token: read.text('POLICY_BUNDLE_TOKEN', '') || null,
    pollS: read.integer('POLICY_BUNDLE_POLL_S', 60, 1, 86_400),
    waitS: read.integer('POLICY_BUNDLE_WAIT_S', 30, 0, 600),
    publicKeyFile: fileOrNull(read.text('POLICY_BUNDLE_PUBLIC_KEY', '')),
    scope: read.text('POLICY_BUNDLE_SCOPE', ''),
  }
}

const POINTER = /^\/(?:input|result)(?:\/(?:[^~/]|~[01])*)*$/
const LABEL = /^([A-Za-z_][A-Za-z0-9_.-]{0,62})=(.{0,200})$/

function decisionLog(read: Reader, problems: string[]): DecisionLogConfig | null {
  const url = read.url('DECISION_LOG_URL', ['http:', 'https:'])
  const masks = read.list('DECISION_LOG_MASK')
  for (const mask of masks) {
    if (!POINTER.test(mask)) {
      problems.push(`DECISION_LOG_MASK: \`${mask}\` is no JSON pointer below /input or /result`)
    }
  }
  const labels = read.list('DECISION_LOG_LABELS').map((text) => LABEL.exec(text)?.slice(1) ?? [])
  if (labels.some((label) => label.length === 0)) {
    problems.push('DECISION_LOG_LABELS must be a list such as `env=production,region=eu`')
  }
  const minDelayS = read.integer('DECISION_LOG_MIN_DELAY_S', 5, 0, 3_600)
  const maxDelayS = read.integer('DECISION_LOG_MAX_DELAY_S', 10, 0, 3_600)
  if (maxDelayS < minDelayS) {
    problems.push('DECISION_LOG_MAX_DELAY_S must not be less than DECISION_LOG_MIN_DELAY_S')
  }
  const { username = '', password = '', search = '' } = parseUrl(url ?? '') ?? {}
  if (username + password + search !== '') {
    problems.push('DECISION_LOG_URL must not carry credentials (DECISION_LOG_TOKEN) or a query')
  }
  const batch = read.integer('DECISION_LOG_BATCH', 100, 1, 10_000)
  const uploadBytesMax = read.integer('DECISION_LOG_UPLOAD_BYTES', 32_768, 1_024, 10 << 20)
  if (url === null) return null
  return {
    ...{ url, masks, minDelayS, maxDelayS, batch, uploadBytesMax },
    token: read.text('DECISION_LOG_TOKEN', '') || null,
    labels: Object.fromEntries(labels) as Record<string, string>,
  }
}

/** Of public keys: with a shared secret whoever checks tokens could make them. */
const TOKEN_ALGORITHMS = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
]
const TOKEN_ALGORITHMS_DEFAULT = 'RS256,PS256,ES256,ES384,EdDSA,Ed25519'
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/

function grpcConfig(read: Reader, problems: string[]): GrpcConfig | null {
  const port = read.integer('EXT_AUTHZ_GRPC_PORT', null, 1, 65_535)
  const certFile = fileOrNull(read.text('EXT_AUTHZ_GRPC_TLS_CERT', ''))
  const keyFile = fileOrNull(read.text('EXT_AUTHZ_GRPC_TLS_KEY', ''))
  const clientCaFile = fileOrNull(read.text('EXT_AUTHZ_GRPC_TLS_CLIENT_CA', ''))
  if (port === null) return null
  if (certFile !== null && keyFile !== null) {
    return Object.freeze({ port, tls: Object.freeze({ certFile, keyFile, clientCaFile }) })
  }
  if (certFile !== null || keyFile !== null || clientCaFile !== null) {
    problems.push('EXT_AUTHZ_GRPC_TLS_CERT and EXT_AUTHZ_GRPC_TLS_KEY are needed together')
  }
  return Object.freeze({ port, tls: null })
}

function oauthConfig(read: Reader, problems: string[]): OAuthConfig | null {
  const issuers = read.list('MCP_OAUTH_ISSUERS')
  const jwksUrl = read.text('MCP_OAUTH_JWKS_URL', '') || null
  const publicUrl = read.text('PUBLIC_SERVER_URL', '')
  const oauth: OAuthConfig = {
    ...{ issuers, jwksUrl },
    baseUrl: publicUrl.replace(/\/+$/, ''),
    audiences: read.list('MCP_OAUTH_AUDIENCES'),
    agentClaim: read.text('MCP_OAUTH_AGENT_CLAIM', 'client_id'),
    agents: tokenAgents(read.list('MCP_OAUTH_AGENTS'), problems),
    scopes: read.list('MCP_OAUTH_SCOPES'),
    algorithms: splitList(read.text('MCP_OAUTH_ALGORITHMS', TOKEN_ALGORITHMS_DEFAULT)),
    types: splitList(read.text('MCP_OAUTH_TYPES', 'at+jwt,jwt').toLowerCase()),
    clockToleranceS: read.integer('MCP_OAUTH_CLOCK_TOLERANCE_S', 30, 0, 300),
  }
  const wrong = oauth.algorithms.filter((name) => !TOKEN_ALGORITHMS.includes(name))
  if (wrong.length > 0) {
    problems.push(`MCP_OAUTH_ALGORITHMS must be of ${TOKEN_ALGORITHMS.join(', ')}`)
  }
  if (oauth.scopes.some((scope) => !SCOPE.test(scope))) {
    problems.push('MCP_OAUTH_SCOPES must be a list such as `mcp:call,mcp:list`')
  }
  if (jwksUrl !== null && issuers.length > 1) {
    problems.push('MCP_OAUTH_JWKS_URL is of one issuer, and MCP_OAUTH_ISSUERS has more')
  }
  for (const url of issuers) checkSecretUrl('MCP_OAUTH_ISSUERS', url, problems)
  if (jwksUrl !== null) checkSecretUrl('MCP_OAUTH_JWKS_URL', jwksUrl, problems)
  if (issuers.length === 0) return null
  if (publicUrl === '') {
    problems.push(
      'PUBLIC_SERVER_URL is needed for MCP_OAUTH_ISSUERS: tokens are for a URL below it',
    )
  } else checkSecretUrl('PUBLIC_SERVER_URL', publicUrl, problems)
  return oauth
}

// A token is as good as the key that it is checked by, so that the way to the key has to be a safe one.
function checkSecretUrl(name: string, text: string, problems: string[]): void {
  const url = parseUrl(text)
  const { username = '', password = '', search = '' } = url ?? {}
  const isBare = username + password + search === '' && !/[?#]/.test(text)
  if (url && isSecret(url) && isBare) return
  problems.push(
    `${name} must be https URLs (http on this machine only) without credentials, query or fragment`,
  )
}

function tokenAgents(
  entries: readonly string[],
  problems: string[],
): ReadonlyMap<string, string> | null {
  const pairs = entries.map((entry): [string, string] => {
    const at = entry.lastIndexOf('=')
    return [entry.slice(0, Math.max(at, 0)).trim(), entry.slice(at + 1).trim()]
  })
  if (pairs.some(([value, agent]) => value === '' || agent === '')) {
    problems.push('MCP_OAUTH_AGENTS must be a list such as `0oa1x2y3=support-bot`')
  }
  return pairs.length === 0 ? null : new Map(pairs)
}

const OPENAI_URL = 'https://api.openai.com/v1'
const GROQ_URL = 'https://api.groq.com/openai/v1'

/** An OpenAI key or a base URL decides; a Groq key alone selects Groq. */
function modelConfig(read: Reader, problems: string[]): ModelConfig | null {
  const baseUrl = read.url('OPENAI_BASE_URL', ['http:', 'https:'])
  const { username = '', password = '', search = '', hash = '' } = parseUrl(baseUrl ?? '') ?? {}
  if (username + password + search + hash !== '') {
    problems.push('OPENAI_BASE_URL must not carry credentials, a query or a fragment')
  }
  const hasOpenai = read.text('OPENAI_API_KEY', '') !== ''
  const hasGroq = read.text('GROQ_API_KEY', '') !== ''
  if (baseUrl === null && hasGroq && !hasOpenai) {
    return { provider: 'groq', baseUrl: GROQ_URL, keyVariable: 'GROQ_API_KEY' }
  }
  if (baseUrl === null && !hasOpenai) return null
  const keyVariable = hasOpenai ? 'OPENAI_API_KEY' : hasGroq ? 'GROQ_API_KEY' : null
  return { provider: baseUrl ? 'custom' : 'openai', baseUrl: baseUrl ?? OPENAI_URL, keyVariable }
}

class Reader {
  readonly #env: Env
  readonly #problems: string[]

  constructor(env: Env, problems: string[]) {
    this.#env = env
    this.#problems = problems
  }

  /** An empty value is no value: an empty HOST would mean every interface. */
  text(name: string, fallback: string): string {
    return this.#env[name]?.trim() || fallback
  }

  /** Here an empty value is one. */
  textOrEmpty(name: string, fallback: string): string {
    return this.#env[name]?.trim() ?? fallback
  }

  list(name: string): string[] {
    return splitList(this.text(name, ''))
  }

  integer<F extends number | null>(
    name: string,
    fallback: F,
    min: number,
    max: number,
  ): number | F {
    const text = this.text(name, '')
    if (text === '') return fallback
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= min && value <= max) return value
    this.#problems.push(`${name} must be a whole number from ${min} to ${max}, not \`${text}\``)
    return fallback
  }

  oneOf(name: string, allowed: readonly string[], fallback: string): string {
    const text = this.text(name, fallback).toLowerCase() || fallback
    if (allowed.includes(text)) return text
    this.#problems.push(`${name} must be one of ${allowed.join(', ')}, not \`${text}\``)
    return fallback
  }

  flag(name: string, fallback: boolean): boolean {
    const text = this.text(name, '').toLowerCase()
    if (text === '') return fallback
    if (['on', 'true', '1', 'yes'].includes(text)) return true
    if (['off', 'false', '0', 'no'].includes(text)) return false
    this.#problems.push(`${name} must be on or off, not \`${text}\``)
    return fallback
  }

  url(name: string, protocols: readonly string[]): string | null {
    const text = this.text(name, '')
    if (text === '') return null
    if (protocols.includes(parseUrl(text)?.protocol ?? '')) return text
    // The value may hold a password, so it is not repeated.
    this.#problems.push(`${name} must be a URL that starts with ${protocols.join(' or ')}//`)
    return null
  }
}

function parseUrl(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined
}

function splitList(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

function definedOnly(env: Env): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
}

function checkedOrigin(origin: string, problems: string[]): string {
  if (parseUrl(origin)?.origin !== origin) {
    problems.push(`ALLOWED_ORIGINS: \`${origin}\` is not an origin such as https://app.example.com`)
  }
  return origin
}

// Compared as it is sent, so it is kept as it is written.
function callback(url: string, problems: string[]): string {
  if (!/^https?:$/.test(parseUrl(url)?.protocol ?? '')) {
    problems.push('ACCESS_REQUEST_CALLBACKS must be URLs that start with https:// or http://')
  }
  return url
}

function proxies(entries: readonly string[], problems: string[]): BlockList {
  const isGood = (entry: string) => {
    try {
      addressRanges([entry])
      return true
    } catch (error) {
      problems.push(`TRUSTED_PROXIES: ${(error as Error).message}`)
      return false
    }
  }
  return addressRanges(entries.filter(isGood))
}

function checkWebhooks(config: Config, problems: string[]): void {
  try {
    secretsOf(config.webhookSecret ?? '')
  } catch (error) {
    problems.push(`WEBHOOK_SECRET: ${(error as Error).message}`)
  }
  const wanted =
    config.approvalWebhookUrl ??
    config.alertWebhookUrl ??
    config.checkpointWebhookUrl ??
    config.accessCallbacks[0]
  if (wanted && !config.webhookSecret) {
    problems.push('WEBHOOK_SECRET is needed to sign webhooks when a webhook URL is set')
  }
}

/** `key`, `role:key` or `role:name:key`; a bare key is an admin. */
function parseTokens(text: string, problems: string[]): BootstrapToken[] {
  const parts = splitList(text)
  if (parts.length > TOKENS_MAX) problems.push(`API_TOKENS holds more than ${TOKENS_MAX} keys`)
  return parts.map((part, index) => {
    const token = parseToken(part, index)
    const place = `API_TOKENS, entry ${index + 1}`
    if (!(KEY_ROLES as readonly string[]).includes(token.role)) {
      problems.push(`${place}: unknown role; use ${KEY_ROLES.join(', ')}`)
    }
    if (token.key.length < TOKEN_CHARS_MIN) {
      problems.push(`${place}: the key has fewer than ${TOKEN_CHARS_MIN} characters`)
    }
    if (token.role === 'agent' && part.split(':').length < 3) {
      problems.push(`${place}: an agent key names its agent: agent:NAME:KEY`)
    }
    return token
  })
}

function parseToken(part: string, index: number): BootstrapToken {
  const [first = '', second, ...rest] = part.split(':')
  if (second === undefined) return { role: 'admin', name: `token-${index + 1}`, key: first }
  if (rest.length === 0) return { role: first as KeyRole, name: `token-${index + 1}`, key: second }
  return { role: first as KeyRole, name: second, key: rest.join(':') }
}
