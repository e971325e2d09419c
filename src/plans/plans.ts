import { performance } from 'node:perf_hooks'
import { Counters } from '../agents/counters.ts'
import { agentStates, type AgentCache } from '../agents/registry.ts'
import type { Caller } from '../agents/keys.ts'
import type { KillState } from '../control/kill-state.ts'
import { askingReservations } from '../decide/pace.ts'
import { judgePlan } from '../decide/plan.ts'
import { GatewayError, type ErrorCode } from '../errors.ts'
import { digest, sha256 } from '../lib/canonical.ts'
import { newId } from '../lib/ids.ts'
import type { Logger } from '../lib/log.ts'
import { diffTexts, readPatch, type DiffResult, type FileDiff } from '../lib/unified-diff.ts'
import type { Reason, Reservation } from '../model/decision.ts'
import type { AgentFacts } from '../model/facts.ts'
import type { Json, JsonObject } from '../model/json.ts'
import { denial } from '../model/reason.ts'
import type { Bundle } from '../bundle/types.ts'
import type { Tx } from '../record/ledger.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { PlanFiles } from '../record/plan-files.ts'
import { findPlan, insertPlan, listPlans, type NewPlan, type Plan } from '../record/plans.ts'
import { storable } from '../store/text.ts'
import type { Db } from '../store/tx.ts'
import { reasonJson } from '../record/entries.ts'
import { admit, UNBOUNDED } from '../pipeline/admission.ts'

// A plan is judged outside the ledger, where diffing may take its time, and put on record inside, where
// switch, agent and rate are asked once more under the lock. The artifact is text in the plan's row; the
// file in `PLANS_DIR` is a copy of it, made after the commit and made again at the start, so a crash in
// between loses nothing. A refused plan is on record too, without an artifact.

/** One file of a plan, as the caller gives it: texts, or a patch. */
export interface PlanChange {
  readonly path: string
  readonly before?: string | null
  readonly after?: string | null
  readonly patch?: string
}

export interface PlanSubmission {
  readonly caller: Caller
  readonly requestId: string
  readonly goal: string | null
  readonly changes: readonly PlanChange[]
}

/** What the ledger made of a plan, as the answer that is given, and given again. */
export interface PlanVerdict {
  readonly plan: JsonObject
  /** Null: accepted. */
  readonly refusal: {
    readonly code: ErrorCode
    readonly message: string
    readonly reasons: readonly Reason[]
  } | null
}

export interface PlansParts {
  readonly db: Db
  readonly agents: AgentCache
  readonly killState: KillState
  readonly metrics: Metrics
  readonly log: Logger
  readonly files: PlanFiles
  readonly bundle: () => Bundle
}

/** What a kill switch can name to stop plans. */
const PLAN_TOOL = 'plan'
/** After a restart, files of the newest plans are made again where they are missing. */
const RESTORED_MAX = 1_000

/**
 * Change plans: judged by the live bundle, put on record, and only then visible as an artifact. The files
 * a plan is about are never touched.
 */
export class Plans {
  readonly #parts: PlansParts

  constructor(parts: PlansParts) {
    this.#parts = parts
  }

  /** Makes the artifacts again that another replica accepted, or that a crash kept from being written. */
  async start(): Promise<void> {
    const { db, files } = this.#parts
    const filter = { agentId: null, status: 'accepted', before: null, limit: RESTORED_MAX }
    for (const plan of await listPlans(db, filter)) {
      if (!files.has(plan.id)) await this.publish(plan.id)
    }
  }

  /**
   * Makes the artifact of an accepted plan visible; answers its file name, or null where it could not be
   * written. The plan stands either way: it is in the database, and `start` tries again.
   */
  async publish(id: string): Promise<string | null> {
    const { db, files, log } = this.#parts
    try {
      const row = await findPlan(db, id)
      return row ? await files.write(id, row.artifact) : null
    } catch (error) {
      log.error({ err: error, plan: id }, 'plan artifact not written')
      return null
    }
  }

  /**
   * Judges a plan; the answer is the work that puts the verdict on record, inside one ledger batch.
   * @throws GatewayError `invalid_request` for changes that make no diff
   */
  async propose(submission: PlanSubmission): Promise<(tx: Tx) => Promise<PlanVerdict>> {
    const startedAt = performance.now()
    const { agents, bundle: live, metrics } = this.#parts
    const { caller } = submission
    const agent = caller.agentId === null ? undefined : await agents.acting(caller)
    const bundle = live()
    const { files, isTooLarge } = diffAll(submission.changes, bundle.plans.diffLinesMax)
    const paths = submission.changes.map(({ path }) => path)
    const facts = {
      nowMs: Date.now(),
      agent: agent ?? person(submission.caller),
      lookups: {},
      unavailable: {},
    }
    const reasons = judgePlan({ goal: submission.goal, paths, files, isTooLarge }, facts, bundle)
    metrics.plan.observe((performance.now() - startedAt) / 1000)
    const asking = agent ? askingReservations(facts, bundle) : []
    const judged = { agent: facts.agent, bundle, files, reasons, asking }
    return (tx) => this.#record(tx, submission, judged)
  }

  async #record(tx: Tx, submission: PlanSubmission, judged: JudgedPlan): Promise<PlanVerdict> {
    const refusal = await this.#admit(tx, submission.caller, judged)
    const row = toRow(tx, submission, judged, refusal?.reasons ?? [])
    await insertPlan(tx, row)
    tx.append({
      kind: `plan.${row.status}`,
      agentId: row.agentId,
      tool: '',
      effect: refusal ? 'deny' : 'allow',
      actionId: '',
      detail: entryDetail(submission, row, judged, refusal?.reasons ?? []),
    })
    return { plan: planJson({ ...row, createdAt: new Date(tx.nowMs) }), refusal }
  }

  /**
   * Judged under the ledger's lock, like every claim: after the switch's 200 no plan is accepted.
   * @throws GatewayError `rate_limited`, and then nothing is recorded: a flood would fill the record
   */
  async #admit(tx: Tx, caller: Caller, judged: JudgedPlan): Promise<PlanVerdict['refusal']> {
    const { agent, reasons, asking } = judged
    const target = { agentId: agent.id, agentName: agent.name, tool: PLAN_TOOL, upstream: '' }
    const counters = await Counters.load(tx, asking)
    const effect = reasons.length === 0 ? ('allow' as const) : ('deny' as const)
    const decision = { effect, reasons, shadow: [], reservations: asking }
    const { agentId } = caller
    const verdict = admit(
      { decision, costMicros: 0n, target, stage: 'accounted' },
      {
        switches: tx.switches,
        agent: agentId === null ? UNBOUNDED : (await agentStates(tx, [agentId])).get(agentId),
        counters,
      },
    )
    const [first] = verdict.reasons
    if (verdict.outcome === 'rate_limited' && first) {
      throw new GatewayError('rate_limited', first.message, { retryAfterS: 1 })
    }
    counters.takeAll(verdict.taken)
    counters.flush(tx)
    if (first?.code === 'kill_switch_engaged') return byGate(first.code, first)
    const local = this.#parts.killState.check(target)
    if (local.blocked) {
      return byGate(
        local.code,
        denial(local.code, 'the kill switch is engaged, or its state unknown'),
      )
    }
    return first?.code === 'agent_paused' ? byGate(first.code, first) : byPolicy(verdict.reasons)
  }
}

interface JudgedPlan {
  readonly agent: AgentFacts
  readonly bundle: Bundle
  readonly files: readonly FileDiff[]
  readonly reasons: readonly Reason[]
  /** What the request takes from the agent's rates. */
  readonly asking: readonly Reservation[]
}

/** Whoever runs the gate has no roles of an agent: guards for certain roles do not apply. */
function person({ name }: Caller): AgentFacts {
  return { id: '', name, owner: '', roles: [], status: 'active', properties: {} }
}

/** A plan as the API shows it. The diff is in the artifact. */
export function planJson(row: Omit<Plan, 'artifact'>): JsonObject {
  return {
    id: row.id,
    status: row.status,
    agent: row.agentId === '' ? null : row.agentId,
    actor: row.actor,
    goal: row.goal === '' ? null : row.goal,
    paths: row.paths,
    diff_sha256: row.diffSha256,
    reasons: (JSON.parse(row.reasons) as JsonObject[]).map(({ code, message, source }) => ({
      code: code ?? '',
      message: message ?? '',
      source: source ?? '',
    })),
    revision: row.revision,
    created_at: row.createdAt.toISOString(),
  }
}

function byGate(code: ErrorCode, reason: Reason): PlanVerdict['refusal'] {
  return { code, message: reason.message, reasons: [reason] }
}

function byPolicy(reasons: readonly Reason[]): PlanVerdict['refusal'] {
  const [first] = reasons
  if (!first) return null
  const isRiskyOnly = reasons.every(({ wire }) => wire === 'risky_content')
  return { code: isRiskyOnly ? 'risky_content' : 'policy_denied', message: first.message, reasons }
}

function diffAll(changes: readonly PlanChange[], linesMax: number) {
  assertApart(changes.map(({ path }) => path))
  const files: FileDiff[] = []
  let isTooLarge = false
  for (const [index, change] of changes.entries()) {
    const result = diffOf(change, linesMax)
    if (result.ok) files.push(result.diff)
    else if (result.problem === 'too_large') isTooLarge = true
    else throw new GatewayError('invalid_request', `\`/changes/${index}\`: ${result.message}`)
  }
  return { files, isTooLarge }
}

function diffOf({ path, before, after, patch }: PlanChange, linesMax: number): DiffResult {
  if (patch === undefined) return diffTexts(path, before ?? null, after ?? null, linesMax)
  if (before === undefined && after === undefined) return readPatch(path, patch)
  const message = 'give `patch`, or `before` and `after`, not both'
  return { ok: false, problem: 'invalid', message }
}

// Two changes of one file, or a file where another needs a directory: no tool applies that.
function assertApart(paths: readonly string[]): void {
  const seen = new Set<string>()
  for (const path of paths.map((one) => one.normalize('NFKC').toLowerCase())) {
    if (seen.has(path)) {
      throw new GatewayError('invalid_request', `two changes are about \`${path.slice(0, 120)}\``)
    }
    seen.add(path)
  }
  for (const path of seen) {
    const parts = path.split('/')
    const parent = parts.map((_, at) => parts.slice(0, at).join('/')).find((one) => seen.has(one))
    if (parent === undefined) continue
    const message = `\`${parent.slice(0, 120)}\` is a file and a directory of the same plan`
    throw new GatewayError('invalid_request', message)
  }
}

function toRow(
  tx: Tx,
  { caller, goal, changes }: PlanSubmission,
  { agent, bundle, files }: JudgedPlan,
  reasons: readonly Reason[],
): NewPlan {
  const id = newId('pln', tx.nowMs)
  const diff = files.map(({ text }) => text).join('')
  const isAccepted = reasons.length === 0
  const base = {
    id,
    agentId: agent.id,
    actor: caller.name,
    keyId: caller.keyId,
    status: isAccepted ? ('accepted' as const) : ('refused' as const),
    goal: storable(goal ?? ''),
    paths: changes.map(({ path }) => storable(path)),
    diffSha256: sha256(diff),
    reasons: JSON.stringify(reasons.map(reasonJson)),
    revision: bundle.revision,
  }
  const artifact = isAccepted ? artifactOf(base, diff, files, tx.nowMs) : ''
  return { ...base, artifact }
}

/** What `PLANS_DIR/<id>.json` holds. */
function artifactOf(
  row: Omit<NewPlan, 'artifact'>,
  diff: string,
  files: readonly FileDiff[],
  nowMs: number,
): string {
  const artifact: JsonObject = {
    plan: 1,
    id: row.id,
    created_at: new Date(nowMs).toISOString(),
    agent: row.agentId === '' ? null : row.agentId,
    actor: row.actor,
    goal: row.goal === '' ? null : row.goal,
    revision: row.revision,
    files: filesJson(files),
    diff_sha256: row.diffSha256,
    diff,
  }
  return `${JSON.stringify(artifact, null, 2)}\n`
}

const filesJson = (files: readonly FileDiff[]): Json =>
  files.map(({ path, kind, added, removed }) => ({ path, change: kind, added, removed }))

const ENTRY_PATHS_MAX = 100

function entryDetail(
  { caller, requestId, goal, changes }: PlanSubmission,
  plan: NewPlan,
  { agent, files }: JudgedPlan,
  reasons: readonly Reason[],
): JsonObject {
  return {
    plan_id: plan.id,
    request_id: requestId,
    key_id: caller.keyId,
    actor: caller.name,
    agent_name: agent.id === '' ? null : agent.name,
    goal_sha256: goal === null ? null : sha256(goal),
    paths: plan.paths.slice(0, ENTRY_PATHS_MAX),
    files: filesJson(files.slice(0, ENTRY_PATHS_MAX)),
    changes: changes.length,
    changes_sha256: digest(changes as unknown as Json),
    diff_sha256: plan.diffSha256,
    reasons: reasons.map(reasonJson),
    revision: plan.revision,
  }
}
