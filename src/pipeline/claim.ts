import type { Agent } from '../agents/agent.ts'
import { agentStates, type AgentState } from '../agents/registry.ts'
import { Counters, settleBudgets, type Crossing, type Held } from '../agents/counters.ts'
import { createApproval, type ApprovalRow } from '../approvals/tasks.ts'
import { covers } from '../control/kill-state.ts'
import { newId } from '../lib/ids.ts'
import type { Seal } from '../lib/seal.ts'
import type { Decision, Effect, Reason, Reservation } from '../model/decision.ts'
import type { ActionRequest } from '../model/request.ts'
import {
  executingOn,
  findActions,
  finishActions,
  insertActions,
  isFinal,
  joinableActions,
  markCollected,
  priorActions,
  type ActionRow,
  type NewAction,
} from '../record/actions.ts'
import { keepHeld, type HeldRequest } from '../record/held-requests.ts'
import type { LedgerKind, Tx } from '../record/ledger.ts'
import { actionEntry, decisionEntry, explanation } from './entries.ts'
import type { Masking } from './masking.ts'
import { withOwnLimits } from './own-limits.ts'
import { pauseForBudget, thresholdAlert } from './report.ts'

/** A decided action that asks the ledger for leave to happen. What of it the record may not hold is masked in it. */
export interface Claim {
  readonly actionId: string
  readonly decisionId: string
  readonly requestId: string
  readonly keyId: string
  readonly replicaId: string
  readonly agent: Agent
  readonly request: ActionRequest
  /** RFC 8785 text of the request, and its hash. */
  readonly requestText: string
  readonly requestHash: string
  /** Hash of the exact upstream call, '' when there is none to make. */
  readonly targetHash: string
  readonly upstream: string
  readonly decision: Decision
  /** Micro-units: the larger of what the tool costs and what the request declares. */
  readonly costMicros: bigint
  readonly idempotencyKey: string | null
  readonly dryRun: boolean
  /** Masks what is written of the outcome; null where the policy hides nothing from the record. */
  readonly masking: Masking | null
  /** The clear request, to be kept while it is held; null where the request is on record as it is. */
  readonly sealed: string | null
  /** What the agent can open its answer with later, where the record is masked. */
  readonly seal: Seal | null
}

/** What the ledger made of a claim. Only `execute` lets an effect start. */
export type ClaimResult =
  | { readonly type: 'execute'; readonly fence: number; readonly held: readonly Held[] }
  | { readonly type: 'held'; readonly approval: ApprovalRow; readonly reasons: readonly Reason[] }
  | {
      readonly type: 'denied'
      readonly reasons: readonly Reason[]
      /** When it would fit, if it was a full window that refused it. */
      readonly retryAtMs?: number | undefined
    }
  | { readonly type: 'dry_run'; readonly effect: Effect; readonly reasons: readonly Reason[] }
  /** `joined`: sent again without a key while the first one is held, or to collect what became of it. */
  | { readonly type: 'replay'; readonly action: ActionRow; readonly joined: boolean }
  | { readonly type: 'mismatch' }
  /** Refused for its rate: no record is made of it, or a flood would fill the record. */
  | {
      readonly type: 'rate_limited'
      readonly reasons: readonly Reason[]
      readonly retryAtMs?: number | undefined
    }

export interface ClaimHooks {
  /** Queues what has to happen when a new approval waits: notice and expiry. */
  onHeld(tx: Tx, approval: ApprovalRow): Promise<void>
}

/**
 * Claims: all of a batch are judged in order against the state that the batch has locked (kill
 * switch, agents, counters, earlier answers), then written together with their audit entries.
 * What is committed as `executing` is this replica's to dispatch, once.
 */
export function claimKind(hooks: ClaimHooks): LedgerKind<Claim, ClaimResult> {
  return {
    name: 'claim',
    order: 2,
    async apply(tx, claims) {
      return new ClaimBatch(tx, hooks).run(claims)
    },
    async recover(tx, claims) {
      await undoClaims(tx, claims)
    },
  }
}

// The commit got no answer, so nothing was dispatched: what did get through ends here as failed.
async function undoClaims(tx: Tx, claims: readonly Claim[]): Promise<void> {
  const actions = await ownExecuting(tx, claims)
  if (actions.length === 0) return
  const message = 'not dispatched: the claim was not confirmed'
  await finishActions(
    tx,
    actions.map(({ id, fence }) => ({
      id,
      fence,
      state: 'failed' as const,
      errorCode: 'audit_unavailable',
      errorMessage: message,
      result: '',
      freesIdempotencyKey: true,
    })),
  )
  await releaseHeld(tx, actions)
  for (const action of actions) {
    tx.append(actionEntry('outcome', action, { state: 'failed', message }))
  }
}

/** The actions that unconfirmed claims of this replica left executing. */
export async function ownExecuting(tx: Tx, claims: readonly Claim[]): Promise<ActionRow[]> {
  const [first] = claims
  if (!first) return []
  return executingOn(
    tx,
    first.replicaId,
    claims.map(({ actionId }) => actionId),
  )
}

export async function releaseHeld(tx: Tx, actions: readonly ActionRow[]): Promise<void> {
  const held = actions.flatMap(({ reserved }) => JSON.parse(reserved) as Held[])
  await settleBudgets(
    tx,
    held.map((one) => ({ ...one, outcome: 'release' as const })),
  )
}

class ClaimBatch {
  readonly #tx: Tx
  readonly #hooks: ClaimHooks
  readonly #rows: NewAction[] = []
  readonly #held: HeldRequest[] = []
  readonly #approvals: {
    claim: Claim
    reasons: readonly Reason[]
    result: { approval?: ApprovalRow }
  }[] = []
  readonly #pauses = new Map<string, Reason>()
  readonly #crossings: { claim: Claim; crossing: Crossing }[] = []
  readonly #byKey = new Map<string, Pick<NewAction, 'id' | 'request_hash'>>()
  /** Actions that several claims of this batch are answered with, and as they are stored. */
  readonly #shared = new Set<string>()
  readonly #stored = new Map<string, ActionRow>()
  /** Unkeyed requests that are held, by `agent hash`. */
  readonly #joinable = new Map<string, string>()
  readonly #collected: string[] = []
  /** Windows that refused something, and when they open again, by key. */
  readonly #full = new Set<Reservation>()
  #openings: ReadonlyMap<string, number> = new Map()
  readonly #executing = new Map<string, number>()
  #states = new Map<string, AgentState>()

  constructor(tx: Tx, hooks: ClaimHooks) {
    this.#tx = tx
    this.#hooks = hooks
  }

  async run(claims: readonly Claim[]): Promise<ClaimResult[]> {
    const { counters, bounded } = await this.#load(claims)
    const results = bounded.map((claim) => this.#judge(withShadow(claim, counters), counters))
    await insertActions(this.#tx, this.#rows)
    await keepHeld(this.#tx, this.#held)
    await this.#readShared()
    await counters.flush(this.#tx)
    if (this.#full.size > 0) this.#openings = await counters.opensAt(this.#tx, [...this.#full])
    for (const pending of this.#approvals) await this.#open(pending)
    for (const [agentId, reason] of this.#pauses) await pauseForBudget(this.#tx, agentId, reason)
    for (const { claim, crossing } of this.#crossings) {
      await thresholdAlert(this.#tx, claim.agent.id, crossing)
    }
    return results.map((result) => result())
  }

  async #load(claims: readonly Claim[]): Promise<{ counters: Counters; bounded: Claim[] }> {
    const tx = this.#tx
    const keyed = claims.flatMap(({ agent, idempotencyKey }) =>
      idempotencyKey === null ? [] : [{ agentId: agent.id, key: idempotencyKey }],
    )
    for (const [id, row] of await priorActions(tx, keyed)) {
      this.#byKey.set(id, row)
      this.#stored.set(row.id, row)
    }
    await this.#loadJoinable(claims)
    this.#states = await agentStates(tx, [...new Set(claims.map(({ agent }) => agent.id))])
    for (const { id, executing } of this.#states.values()) this.#executing.set(id, executing)
    const bounded = claims.map((claim) => withOwnLimits(claim, this.#states.get(claim.agent.id)))
    const reservations = bounded.flatMap(({ decision }) => decision.reservations)
    return { counters: await Counters.load(tx, reservations), bounded }
  }

  // Only what may be held can have been held before.
  async #loadJoinable(claims: readonly Claim[]): Promise<void> {
    const requests = claims.filter(mayJoin).map(({ agent, requestHash, decision }) => ({
      agentId: agent.id,
      hash: requestHash,
      ttlMs: decision.approval.resultTtlMs,
    }))
    for (const [id, row] of await joinableActions(this.#tx, requests)) {
      this.#joinable.set(id, row.id)
      this.#stored.set(row.id, row)
    }
  }

  // Answers a thunk, because approvals get their rows only when the whole batch is written.
  #judge(claim: Claim, counters: Counters): () => ClaimResult {
    const prior = this.#prior(claim)
    if (prior) return prior
    const { reservations } = claim.decision
    const asking = reservations.filter(({ phase }) => phase === 'request')
    const tooMany = overdrawn(counters, asking)
    if (tooMany.length > 0) {
      for (const one of tooMany) this.#full.add(one)
      const reasons = tooMany.map((one) => one.exceeded)
      return () => ({ type: 'rate_limited', reasons, retryAtMs: this.#opensAt(tooMany) })
    }
    for (const reservation of asking) counters.take(reservation)
    const { effect, reasons, full = [] } = this.#effect(claim, counters)
    if (claim.dryRun) return this.#dryRun(claim, effect, reasons)
    if (effect === 'allow' && this.#isAtCapacity(claim.agent.id)) {
      return () => ({ type: 'rate_limited', reasons: [AT_CAPACITY] })
    }
    if (effect === 'deny') return this.#deny(claim, reasons, full)
    if (effect === 'require_approval') return this.#join(claim) ?? this.#hold(claim, reasons)
    return this.#execute(claim, counters)
  }

  #prior(claim: Claim): (() => ClaimResult) | undefined {
    if (claim.idempotencyKey === null) return undefined
    const row = this.#byKey.get(`${claim.agent.id} ${claim.idempotencyKey}`)
    if (!row) return undefined
    if (row.request_hash !== claim.requestHash) return () => ({ type: 'mismatch' })
    this.#shared.add(row.id)
    return this.#answered(row.id, false)
  }

  #answered(id: string, joined: boolean): () => ClaimResult {
    return () => ({ type: 'replay', action: this.#stored.get(id) as ActionRow, joined })
  }

  /** The same request without a key, while the first one is held or has just ended: one approval is enough. */
  #join(claim: Claim): (() => ClaimResult) | undefined {
    if (claim.idempotencyKey !== null) return undefined
    const id = `${claim.agent.id} ${claim.requestHash}`
    const actionId = this.#joinable.get(id)
    if (actionId === undefined) return undefined
    const known = this.#stored.get(actionId)
    if (known && isFinal(known)) {
      this.#joinable.delete(id) // collected with this: the next one asks anew
      this.#collected.push(actionId)
    } else this.#shared.add(actionId)
    return this.#answered(actionId, true)
  }

  #opensAt(reservations: readonly Reservation[]): number | undefined {
    if (reservations.length === 0) return undefined
    const times = reservations.map(({ key }) => this.#openings.get(key))
    return times.every((at): at is number => at !== undefined) ? Math.max(...times) : undefined
  }

  // What was claimed earlier in this very batch is read as everybody else will read it.
  async #readShared(): Promise<void> {
    const missing = [...this.#shared].filter((id) => !this.#stored.has(id))
    await markCollected(this.#tx, this.#collected)
    if (missing.length === 0) return
    for (const row of await findActions(this.#tx, missing)) this.#stored.set(row.id, row)
  }

  #effect(
    claim: Claim,
    counters: Counters,
  ): { effect: Effect; reasons: readonly Reason[]; full?: readonly Reservation[] } {
    const { decision } = claim
    const blocked = this.#blocked(claim)
    if (blocked) return { effect: 'deny', reasons: [blocked] }
    if (decision.effect === 'deny') return { effect: 'deny', reasons: decision.reasons }
    const over = overdrawn(
      counters,
      decision.reservations.filter(({ phase }) => phase === 'effect'),
    )
    const denials = over.filter(({ exceeded: { effect } }) => effect === 'deny')
    if (denials.length > 0) {
      this.#notePauses(claim, counters)
      const full = denials.every((one) => Counters.fitsAlone(one)) ? denials : []
      return { effect: 'deny', reasons: denials.map((one) => one.exceeded), full }
    }
    if (over.length > 0) {
      const reasons = [...decision.reasons, ...over.map((one) => one.exceeded)]
      return { effect: 'require_approval', reasons }
    }
    return { effect: decision.effect, reasons: decision.reasons }
  }

  #blocked(claim: Claim): Reason | undefined {
    const { agent, request, upstream } = claim
    const target = { agentId: agent.id, agentName: agent.name, tool: request.tool, upstream }
    const row = this.#tx.killRows.find((one) => covers(one, target))
    if (row) return refusal('kill_switch_engaged', `the kill switch is engaged: ${row.reason}`)
    const status = this.#pauses.has(agent.id) ? 'paused' : this.#states.get(agent.id)?.status
    if (status === 'active') return undefined
    return refusal('agent_paused', `the agent is ${status ?? 'not registered'}`)
  }

  /** `scale` bounds how many of an agent's actions may be under way at once. */
  #isAtCapacity(agentId: string): boolean {
    const instances = this.#states.get(agentId)?.instances ?? null
    return instances !== null && (this.#executing.get(agentId) ?? 0) >= instances
  }

  #notePauses(claim: Claim, counters: Counters): void {
    const over = claim.decision.reservations.find(
      (one) => one.mode === 'enforce' && one.pausesAgent && !counters.fits(one),
    )
    if (over && !claim.dryRun) this.#pauses.set(claim.agent.id, over.exceeded)
  }

  #dryRun(claim: Claim, effect: Effect, reasons: readonly Reason[]): () => ClaimResult {
    this.#tx.append(decisionEntry(claim, effect, reasons))
    return () => ({ type: 'dry_run', effect, reasons })
  }

  // A full window opens again: such a denial does not settle an Idempotency-Key.
  #deny(asked: Claim, reasons: readonly Reason[], full: readonly Reservation[]): () => ClaimResult {
    const [first] = reasons
    for (const one of full) this.#full.add(one)
    const claim = full.length > 0 ? { ...asked, idempotencyKey: null } : asked
    this.#record(claim, 'deny', 'denied', reasons, {
      error_code: first ? wireCode(first) : 'policy_denied',
      error_message: storable(first?.message ?? ''),
    })
    return () => ({ type: 'denied', reasons, retryAtMs: this.#opensAt(full) })
  }

  #hold(claim: Claim, reasons: readonly Reason[]): () => ClaimResult {
    this.#record(claim, 'require_approval', 'held', reasons, {})
    if (claim.sealed !== null) this.#held.push({ action_id: claim.actionId, sealed: claim.sealed })
    if (claim.idempotencyKey === null) {
      this.#joinable.set(`${claim.agent.id} ${claim.requestHash}`, claim.actionId)
    }
    const result: { approval?: ApprovalRow } = {}
    this.#approvals.push({ claim, reasons, result })
    return () => ({ type: 'held', approval: result.approval as ApprovalRow, reasons })
  }

  #execute(claim: Claim, counters: Counters): () => ClaimResult {
    const held: Held[] = []
    for (const reservation of claim.decision.reservations) {
      if (reservation.phase !== 'effect') continue
      if (reservation.kind === 'budget' && !counters.fits(reservation)) continue // shadow only
      const taken = counters.take(reservation)
      if (taken.held) held.push(taken.held)
      for (const crossing of taken.crossings) this.#crossings.push({ claim, crossing })
    }
    this.#executing.set(claim.agent.id, (this.#executing.get(claim.agent.id) ?? 0) + 1)
    this.#record(claim, 'allow', 'executing', claim.decision.reasons, {
      reserved: JSON.stringify(held),
    })
    return () => ({ type: 'execute', fence: 1, held })
  }

  #record(
    claim: Claim,
    effect: Effect,
    state: NewAction['state'],
    reasons: readonly Reason[],
    more: Partial<NewAction>,
  ): void {
    const row = newAction(claim, effect, state, reasons, more)
    this.#rows.push(row)
    if (claim.idempotencyKey !== null) {
      this.#byKey.set(`${claim.agent.id} ${claim.idempotencyKey}`, row)
    }
    this.#tx.append(decisionEntry(claim, effect, reasons))
  }

  async #open(pending: {
    claim: Claim
    reasons: readonly Reason[]
    result: { approval?: ApprovalRow }
  }): Promise<void> {
    const { claim, reasons, result } = pending
    const approval = await createApproval(this.#tx, {
      id: newId('apr', this.#tx.nowMs),
      actionId: claim.actionId,
      agentId: claim.agent.id,
      tool: claim.request.tool,
      requestHash: claim.requestHash,
      targetHash: claim.targetHash,
      revision: claim.decision.revision,
      terms: claim.decision.approval,
      reason: storable(reasons.map(({ message }) => message).join('; ')),
    })
    result.approval = approval
    this.#tx.append({
      kind: 'approval.requested',
      agentId: claim.agent.id,
      tool: claim.request.tool,
      effect: '',
      actionId: claim.actionId,
      detail: {
        approval_id: approval.id,
        quorum: approval.quorum,
        approver_roles: approval.approver_roles,
        expires_at: approval.expires_at.toISOString(),
        request_hash: claim.requestHash,
        target_hash: claim.targetHash,
        revision: claim.decision.revision,
      },
    })
    await this.#hooks.onHeld(this.#tx, approval)
  }
}

function newAction(
  claim: Claim,
  effect: Effect,
  state: NewAction['state'],
  reasons: readonly Reason[],
  more: Partial<NewAction>,
): NewAction {
  return {
    id: claim.actionId,
    decision_id: claim.decisionId,
    agent_id: claim.agent.id,
    agent_name: claim.agent.name,
    key_id: claim.keyId,
    tool: claim.request.tool,
    upstream: claim.upstream,
    request: claim.requestText,
    request_hash: claim.requestHash,
    target_hash: claim.targetHash,
    effect,
    state,
    fence: 1,
    replica_id: state === 'executing' ? claim.replicaId : '',
    revision: claim.decision.revision,
    explain: explanation(claim.decision, reasons),
    error_code: '',
    error_message: '',
    reserved: '[]',
    idempotency_key: claim.idempotencyKey,
    ...more,
  }
}

// What a shadow limit would have refused is known only here, where the counters are.
function withShadow(claim: Claim, counters: Counters): Claim {
  const over = claim.decision.reservations
    .filter((one) => one.mode === 'shadow' && !counters.fits(one))
    .map((one) => one.exceeded)
  if (over.length === 0) return claim
  return { ...claim, decision: { ...claim.decision, shadow: [...claim.decision.shadow, ...over] } }
}

/** The enforced reservations that do not fit. */
function overdrawn(
  counters: Counters,
  reservations: readonly Reservation[],
): readonly Reservation[] {
  return reservations.filter((one) => one.mode === 'enforce' && !counters.fits(one))
}

/** Their reasons. */
export function exceeded(
  counters: Counters,
  reservations: readonly Reservation[],
): readonly Reason[] {
  return overdrawn(counters, reservations).map((one) => one.exceeded)
}

function mayJoin({ idempotencyKey, dryRun, decision }: Claim): boolean {
  if (idempotencyKey !== null || dryRun) return false
  return (
    decision.effect === 'require_approval' ||
    (decision.effect === 'allow' &&
      decision.reservations.some(({ exceeded: { effect } }) => effect === 'require_approval'))
  )
}

/** Not a denial: the same action may run when another has ended. */
export const AT_CAPACITY: Reason = Object.freeze({
  code: 'instances_busy',
  message: 'as many actions of this agent are under way as it has instances',
  wire: 'rate_limited',
  effect: 'deny',
  source: 'agent.instances',
})

function refusal(code: string, message: string): Reason {
  return { code, message, effect: 'deny', source: 'portcullis' }
}

/** PostgreSQL text holds no NUL and no half of a character, and a message may quote either. */
export function storable(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\ufffd')
}

/** The error code an agent sees for a reason. */
export function wireCode(reason: Reason): string {
  if (reason.code === 'kill_switch_engaged' || reason.code === 'agent_paused') return reason.code
  return reason.wire ?? 'policy_denied'
}
