import { microsFromText } from '../lib/money.ts'
import type { ApprovalTerms } from '../model/decision.ts'
import type { JsonObject } from '../model/json.ts'
import { checkShape } from '../bundle/ajv.ts'
import { type Findings, startOf } from '../sources/diagnostics.ts'
import { deepFreeze } from '../lib/freeze.ts'
import type { RawGuard } from './guards.ts'
import { compilePathRules } from '../bundle/paths.ts'
import { resolveNames } from '../bundle/patterns.ts'
import type { RawDecisionApi } from './decision-api.ts'
import type { RawRecord } from './record.ts'
import { didYouMean } from '../lib/suggest.ts'
import type {
  ApprovalRule,
  ApprovalRules,
  LlmPolicy,
  PlanPolicy,
  PublishTerms,
  TokenPrice,
} from '../bundle/types.ts'
import { isObject } from '../bundle/pointer.ts'
import type { PathStep, SourceDocument } from '../sources/yaml.ts'

// From `gate.yaml` to what the gate goes by. Its shape was checked by a schema before; here defaults are filled in, sections of guards
// are put in one order, and seconds become milliseconds. Guards stay as they were written: `guards.ts` compiles them.

/** Bounds on change plans, as written. */
export type PlanBounds = Omit<PlanPolicy, 'checkPath'>

/** What `gate.yaml` says, its guards not yet compiled. */
export interface GateFile {
  readonly environment: string
  readonly guards: readonly RawGuard[]
  readonly hasRateLimits: boolean
  readonly approvals: RawApprovals
  readonly plans: PlanBounds
  readonly llm: LlmPolicy
  readonly record: RawRecord
  readonly decisionApi: RawDecisionApi
  readonly publishing: PublishTerms | null
}

interface RawTerms {
  readonly quorum?: number
  readonly expires_s?: number
  readonly result_ttl_s?: number
  readonly approver_roles?: readonly string[]
}

interface RawApprovals {
  readonly separation?: { readonly owner?: boolean; readonly key_issuer?: boolean }
  readonly default?: RawTerms
  readonly rules?: readonly (RawTerms & {
    readonly tools?: readonly string[]
    readonly roles?: readonly string[]
  })[]
}

interface RawPlans {
  readonly allowed_dirs?: readonly string[]
  readonly deny_globs?: readonly string[]
  readonly max_diff_lines?: number
}

interface RawGate {
  readonly environment: string
  readonly permissions?: readonly JsonObject[]
  readonly guards?: readonly JsonObject[]
  readonly approvals?: RawApprovals
  readonly budgets?: readonly JsonObject[]
  readonly rate_limits?: readonly JsonObject[]
  readonly plans?: RawPlans
  readonly record?: RawRecord
  readonly decision_api?: RawDecisionApi
  readonly publish?: {
    readonly approvals: {
      readonly quorum?: number
      readonly roles?: readonly string[]
      readonly expires_s?: number
    }
  }
  readonly llm?: {
    readonly model?: string
    readonly temperature?: number
    readonly seed?: number
    readonly max_tokens?: number
    readonly max_tool_calls?: number
    readonly timeout_s?: number
    readonly prices?: Readonly<Record<string, { readonly input: string; readonly output: string }>>
    readonly system?: string
  }
}

const APPROVAL_EXPIRES_S = 3600
const RESULT_TTL_S = 3600
const DIFF_LINES_MAX = 500

// The order guards are evaluated and shown in; it does not change the answer.
const SECTIONS = [
  ['permissions', 'permissions'],
  ['guards', null],
  ['budgets', 'budget'],
  ['rate_limits', 'rate_limit'],
] as const

/** Reads `gate.yaml`. Undefined when its shape is wrong. */
export function readGate(source: SourceDocument, found: Findings): GateFile | undefined {
  if (!checkShape('gate-outline', source.value, [], source, found)) return undefined
  const raw = source.value as unknown as RawGate
  return {
    environment: raw.environment,
    guards: SECTIONS.flatMap(([section, kind]) =>
      readSection(section, kind, raw[section] ?? [], source),
    ),
    hasRateLimits: (raw.rate_limits ?? []).length > 0,
    approvals: raw.approvals ?? {},
    plans: readPlans(raw.plans ?? {}, ['plans'], source, found),
    llm: readLlm(raw.llm ?? {}, source, found),
    record: raw.record ?? {},
    decisionApi: raw.decision_api ?? {},
    publishing: readPublishing(raw.publish),
  }
}

const PUBLISH_EXPIRES_S = 86_400

function readPublishing(raw: RawGate['publish']): PublishTerms | null {
  if (!raw) return null
  const { quorum = 1, roles = ['admin'], expires_s: expiresS = PUBLISH_EXPIRES_S } = raw.approvals
  return deepFreeze({ quorum, roles, expiresMs: expiresS * 1000 })
}

function readSection(
  section: string,
  kind: string | null,
  items: readonly JsonObject[],
  source: SourceDocument,
): readonly RawGuard[] {
  return items.map((value, index) => ({
    path: [section, index],
    location: startOf(source.at([section, index])),
    value: kind === null ? value : { kind, ...value },
    fallbackId: `${section}[${index}]`,
  }))
}

/**
 * Whether a file speaks only of plans and models (`allowed_dirs`, `deny_globs`, `max_diff_lines`,
 * `llm`) and leaves everything else to `gate.yaml`.
 */
export function isPlanFile(source: SourceDocument): boolean {
  const keys = isObject(source.value) ? Object.keys(source.value) : []
  const spoken = keys.filter((key) =>
    ['allowed_dirs', 'deny_globs', 'max_diff_lines'].includes(key),
  )
  return spoken.length > 0 && !keys.includes('environment') && !keys.includes('permissions')
}

/** `gate.yaml` with the bounds on plans and models of another file. */
export function withPlanFile(
  gate: GateFile,
  source: SourceDocument,
  found: Findings,
): GateFile | undefined {
  if (!checkShape('plan-policy', source.value, [], source, found)) return undefined
  const raw = source.value as unknown as RawPlans & { readonly llm?: RawGate['llm'] }
  return {
    ...gate,
    plans: readPlans(raw, [], source, found),
    llm: raw.llm === undefined ? gate.llm : readLlm(raw.llm, source, found),
  }
}

function readPlans(
  raw: RawPlans,
  base: readonly PathStep[],
  source: SourceDocument,
  found: Findings,
): PlanBounds {
  const allowedDirs = raw.allowed_dirs ?? []
  const denyGlobs = raw.deny_globs ?? []
  const compiled = compilePathRules({ allowedDirs, denyGlobs, allowAbsolute: false })
  if (!compiled.ok) {
    const place = source.at([...base, compiled.key, compiled.index])
    found.error(place, 'bad_path_rule', compiled.message)
  }
  const diffLinesMax = raw.max_diff_lines ?? DIFF_LINES_MAX
  return deepFreeze({ allowedDirs, denyGlobs, diffLinesMax })
}

const MODEL = 'gpt-4o-mini'

function readLlm(
  raw: NonNullable<RawGate['llm']>,
  source: SourceDocument,
  found: Findings,
): LlmPolicy {
  const model = raw.model ?? MODEL
  return deepFreeze({
    model,
    temperature: raw.temperature ?? 0,
    seed: raw.seed ?? 7,
    maxTokens: raw.max_tokens ?? 1024,
    toolCallsMax: raw.max_tool_calls ?? 8,
    timeoutMs: (raw.timeout_s ?? 60) * 1000,
    price: readPrice(model, raw.prices, source, found),
    system: raw.system ?? '',
  })
}

// With prices, a model without one would be free: most likely a name that was changed in one place.
function readPrice(
  model: string,
  prices: NonNullable<RawGate['llm']>['prices'],
  source: SourceDocument,
  found: Findings,
): TokenPrice | null {
  if (!prices) return null
  const price = Object.hasOwn(prices, model) ? prices[model] : undefined
  if (!price) {
    const hint = didYouMean(model, Object.keys(prices))
    const message = `no price for model \`${model}\``
    found.error(source.at(['llm', 'prices']), 'missing_price', message, hint)
    return null
  }
  const [inputMicros, outputMicros] = [microsFromText(price.input), microsFromText(price.output)]
  return { inputMicros: inputMicros ?? 0n, outputMicros: outputMicros ?? 0n }
}

/** Resolves the tool patterns of the approval rules and fills defaults in. */
export function readApprovals(
  raw: RawApprovals,
  toolNames: readonly string[],
  source: SourceDocument,
  found: Findings,
): ApprovalRules {
  const separation = {
    owner: raw.separation?.owner ?? true,
    keyIssuer: raw.separation?.key_issuer ?? true,
  }
  const warn = (terms: RawTerms, path: readonly PathStep[]) =>
    warnOfRoles(terms, path, source, found)
  warn(raw.default ?? {}, ['approvals', 'default'])
  raw.rules?.forEach((rule, index) => warn(rule, ['approvals', 'rules', index]))
  const fallback = toTerms(raw.default ?? {}, { ...BASE_TERMS, separation })
  const rules = (raw.rules ?? []).map((rule, index): ApprovalRule => {
    const place = (at: number) => source.at(['approvals', 'rules', index, 'tools', at])
    const tools = rule.tools ? new Set(resolveNames(rule.tools, toolNames, place, found)) : null
    return Object.freeze({ tools, roles: new Set(rule.roles), terms: toTerms(rule, fallback) })
  })
  return Object.freeze({ default: fallback, rules: Object.freeze(rules) })
}

/** Of keys that belong to people. */
const VOTING_ROLES = ['approver', 'operator', 'admin', 'observer']

// It loads, since it is strict enough; but who was meant cannot approve.
function warnOfRoles(
  { approver_roles: roles = [] }: RawTerms,
  path: readonly PathStep[],
  source: SourceDocument,
  found: Findings,
): void {
  for (const [at, role] of roles.entries()) {
    if (VOTING_ROLES.includes(role)) continue
    const message = `no person's key has role \`${role}\``
    const hint = didYouMean(role, VOTING_ROLES) ?? `roles of people: ${VOTING_ROLES.join(', ')}`
    found.warn(source.at([...path, 'approver_roles', at]), 'no_such_role', message, hint)
  }
}

const BASE_TERMS: ApprovalTerms = {
  quorum: 1,
  approverRoles: ['approver', 'operator', 'admin'],
  expiresMs: APPROVAL_EXPIRES_S * 1000,
  resultTtlMs: RESULT_TTL_S * 1000,
  separation: { owner: true, keyIssuer: true },
}

function toTerms(raw: RawTerms, fallback: ApprovalTerms): ApprovalTerms {
  return deepFreeze({
    quorum: raw.quorum ?? fallback.quorum,
    approverRoles: raw.approver_roles ?? fallback.approverRoles,
    expiresMs: raw.expires_s === undefined ? fallback.expiresMs : raw.expires_s * 1000,
    resultTtlMs: raw.result_ttl_s === undefined ? fallback.resultTtlMs : raw.result_ttl_s * 1000,
    separation: fallback.separation,
  })
}
