import { agentStates, type AgentState } from '../agents/registry.ts'
import {
  Counters,
  settleBudgets,
  settlementsOf,
  type Charge,
  type CountersRead,
} from '../agents/counters.ts'
import { createApproval, type Approval } from '../approvals/tasks.ts'
import { newId } from '../lib/ids.ts'
import type { Effect, Reason, Reservation } from '../model/decision.ts'
import { wireCode } from '../model/reason.ts'
import {
  executingOn,
  findActions,
  finishActions,
  insertActions,
  isFinal,
  joinableActions,
  markCollected,
  priorActions,
  type Action,
  type NewAction,
} from '../record/actions.ts'
import { keepHeld, type HeldRequest } from '../record/held-requests.ts'
import type { LedgerKind, Tx } from '../record/ledger.ts'
import { approvalNotice, expiryJob } from '../record/outbox.ts'
import { storable } from '../store/text.ts'
import { ahead } from '../store/tx.ts'
import { admit, effectOf, type Verdict } from './admission.ts'
import type { Claim, ClaimResult } from './claim.ts'
import { killTargetOf } from '../control/kill-state.ts'
import { bearConsequences } from './consequences.ts'
import { type CounterStand, factsText } from '../record/decision-facts.ts'
import { actionEntry, decisionEntry, explanation } from '../record/entries.ts'
import { withOwnLimits } from '../agents/own-limits.ts'

// Claims are judged by the batch, not one by one: what they need is read with one query a kind for all of
// them, each is admitted in its turn against what those before it have left, and everything is written
// together. So a hundred claims cost a few statements and still cannot overdraw a budget between them. When
// the commit of a batch gets no answer, `recover` ends in the next batch what did get through, because
// nobody has dispatched it.

/**
 * Claims: all of a batch are judged in order against the state that the batch has locked (kill
 * switch, agents, counters, earlier answers), then written together with their audit entries.
 * What is committed as `executing` is this replica's to dispatch, once.
 */
export const CLAIM: LedgerKind<Claim, ClaimResult, ClaimsRead> = {
  name: 'claim',
  order: 2,
  lane: 'work',
  agentOf: ({ agent }) => agent.id,
  begin: readAhead,
  async apply(tx, claims, begun) {
    return new ClaimBatch(tx).run(claims, begun)
  },
  async recover(tx, claims) {
    await undoClaims(tx, claims)
  },
}

/** The reads that need nothing but the claims, and travel with the lock. */
interface ClaimsRead {
  readonly prior: Promise<Map<string, Action>>
  readonly joinable: Promise<Map<string, Action>>
  readonly states: Promise<Map<string, AgentState>>
  readonly counters: CountersRead
}

function readAhead(tx: Tx, claims: readonly Claim[]): ClaimsRead {
  const keyed = claims.flatMap(({ agent, idempotencyKey }) =>
    idempotencyKey === null ? [] : [{ agentId: agent.id, key: idempotencyKey }],
  )
  // Only what may be held can have been held before.
  const joining = claims.filter(mayJoin).map(({ agent, requestHash, decision }) => ({
    agentId: agent.id,
    hash: requestHash,
    ttlMs: decision.approval.resultTtlMs,
  }))
  return {
    prior: ahead(priorActions(tx, keyed)),
    joinable: ahead(joinableActions(tx, joining)),
    states: ahead(agentStates(tx, [...new Set(claims.map(({ agent }) => agent.id))])),
    counters: Counters.begin(
      tx,
      claims.flatMap(({ decision }) => decision.reservations),
    ),
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
  releaseCharges(tx, actions)
  for (const action of actions) {
    tx.append(actionEntry('outcome', action, { state: 'failed', message }))
  }
}

/** The actions that unconfirmed claims of this replica left executing. */
export async function ownExecuting(tx: Tx, claims: readonly Claim[]): Promise<Action[]> {
  const [first] = claims
  if (!first) return []
  return executingOn(
    tx,
    first.replicaId,
    claims.map(({ actionId }) => actionId),
  )
}

export function releaseCharges(tx: Tx, actions: readonly Pick<Action, 'reserved'>[]): void {
  settleBudgets(
    tx,
    actions.flatMap((row) => settlementsOf(row, 'release')),
  )
}

class ClaimBatch {
  readonly #tx: Tx
  readonly #actions: NewAction[] = []
  readonly #held: HeldRequest[] = []
  readonly #approvals: {
    claim: Claim
    reasons: readonly Reason[]
    result: { approval?: Approval }
  }[] = []
  readonly #consequences: { agentId: string; verdict: Verdict }[] = []
  readonly #byKey = new Map<string, Pick<NewAction, 'id' | 'requestHash'>>()
  /** Actions that several claims of this batch are answered with, and as they are stored. */
  readonly #shared = new Set<string>()
  readonly #stored = new Map<string, Action>()
  /** Unkeyed requests that are held, by `agent hash`. */
  readonly #joinable = new Map<string, string>()
  readonly #collected: string[] = []
  /** Windows that refused something, and when they open again. */
  readonly #full = new Set<Reservation>()
  #openings: ReadonlyMap<Reservation, number> = new Map()
  #states = new Map<string, AgentState>()

  constructor(tx: Tx) {
    this.#tx = tx
  }

  async run(claims: readonly Claim[], begun: ClaimsRead): Promise<ClaimResult[]> {
    const counters = await this.#load(claims, begun)
    const results = claims.map((claim) => this.#judge(claim, counters))
    insertActions(this.#tx, this.#actions)
    keepHeld(this.#tx, this.#held)
    await this.#readShared()
    counters.flush(this.#tx)
    if (this.#full.size > 0) this.#openings = await counters.opensAt(this.#tx, [...this.#full])
    for (const pending of this.#approvals) this.#open(pending)
    for (const { agentId, verdict } of this.#consequences) {
      await bearConsequences(this.#tx, agentId, verdict)
    }
    return results.map((result) => result())
  }

  async #load(claims: readonly Claim[], begun: ClaimsRead): Promise<Counters> {
    for (const [id, action] of await begun.prior) {
      this.#byKey.set(id, action)
      this.#stored.set(action.id, action)
    }
    for (const [id, action] of await begun.joinable) {
      this.#joinable.set(id, action.id)
      this.#stored.set(action.id, action)
    }
    this.#states = await begun.states
    const reservations = claims.flatMap(
      ({ agent, decision, costMicros }) =>
        withOwnLimits(decision, costMicros, this.#states.get(agent.id)).reservations,
    )
    return Counters.load(this.#tx, reservations, begun.counters)
  }

  // Answers a thunk, because approvals get their rows only when the whole batch is written.
  #judge(asked: Claim, counters: Counters): () => ClaimResult {
    const prior = this.#prior(asked)
    const joinable = this.#joinableTo(asked)
    const verdict = admit(
      {
        decision: asked.decision,
        costMicros: asked.costMicros,
        target: killTargetOf(asked),
        stage: stageOf(asked),
      },
      {
        switches: this.#tx.switches,
        agent: asked.inquiry?.standing ?? this.#states.get(asked.agent.id),
        counters,
        prior: prior && { isSame: prior.requestHash === asked.requestHash },
        joinable: joinable !== undefined,
      },
    )
    const stands = asked.dryRun ? [] : standsOf(verdict, counters)
    const charges = counters.takeAll(verdict.taken)
    this.#note(asked, verdict)
    const claim = { ...asked, decision: verdict.decision }
    if (asked.dryRun) return this.#dryRun(claim, verdict)
    const known = this.#known(claim, stands)
    return this.#follow(claim, verdict, { charges, known }, prior?.id ?? joinable ?? '')
  }

  #follow(
    claim: Claim,
    verdict: Verdict,
    { charges, known }: Admitted,
    earlier: string,
  ): () => ClaimResult {
    const { reasons, full } = verdict
    switch (verdict.outcome) {
      case 'replay':
        this.#shared.add(earlier)
        return this.#answered(earlier, false)
      case 'mismatch':
        return () => ({ type: 'mismatch' })
      case 'join':
        return this.#join(claim, earlier)
      case 'deny':
        return this.#deny(claim, reasons, full, known)
      case 'hold':
        return this.#hold(claim, reasons, known)
      case 'execute':
        return this.#execute(claim, charges, known)
      case 'rate_limited':
      case 'later':
        return () => ({ type: 'rate_limited', reasons, retryAtMs: this.#opensAt(full) })
    }
  }

  /** What the action is to be known by later; nothing is made of it for a claim that becomes none. */
  #known({ agent, seen, decision }: Claim, counters: readonly CounterStand[]): () => string {
    const state = this.#states.get(agent.id)
    const limits = state ? { monthly: state.monthlyBudget, perAction: state.perActionLimit } : null
    const isMasked = decision.masked ?? false
    return () => (seen ? factsText({ ...seen, limits, counters, isMasked }) : '')
  }

  // What a verdict changes for the claims behind it in this batch, and what it means for its agent.
  #note({ agent }: Claim, verdict: Verdict): void {
    const { pause, crossed, full, outcome } = verdict
    for (const one of full) this.#full.add(one)
    if (pause || crossed.length > 0) this.#consequences.push({ agentId: agent.id, verdict })
    const state = this.#states.get(agent.id)
    if (!state || !(pause || outcome === 'execute')) return
    const status = pause ? ('paused' as const) : state.status
    const executing = state.executing + (outcome === 'execute' ? 1 : 0)
    this.#states.set(agent.id, { ...state, status, executing })
  }

  #prior({ agent, idempotencyKey }: Claim): Pick<NewAction, 'id' | 'requestHash'> | undefined {
    return idempotencyKey === null ? undefined : this.#byKey.get(`${agent.id} ${idempotencyKey}`)
  }

  #joinableTo({ agent, idempotencyKey, requestHash, dryRun }: Claim): string | undefined {
    if (idempotencyKey !== null || dryRun) return undefined
    return this.#joinable.get(`${agent.id} ${requestHash}`)
  }

  #answered(id: string, joined: boolean): () => ClaimResult {
    return () => ({ type: 'replay', action: this.#stored.get(id) as Action, joined })
  }

  /** The same request without a key, while the first one is held or has just ended: one approval is enough. */
  #join(claim: Claim, actionId: string): () => ClaimResult {
    const known = this.#stored.get(actionId)
    if (known && isFinal(known)) {
      this.#joinable.delete(`${claim.agent.id} ${claim.requestHash}`) // the next one asks anew
      this.#collected.push(actionId)
    } else this.#shared.add(actionId)
    return this.#answered(actionId, true)
  }

  #opensAt(reservations: readonly Reservation[]): number | undefined {
    if (reservations.length === 0) return undefined
    const times = reservations.map((one) => this.#openings.get(one))
    return times.every((at): at is number => at !== undefined) ? Math.max(...times) : undefined
  }

  // What was claimed earlier in this very batch is read as everybody else will read it.
  async #readShared(): Promise<void> {
    const missing = [...this.#shared].filter((id) => !this.#stored.has(id))
    markCollected(this.#tx, this.#collected)
    if (missing.length === 0) return
    for (const row of await findActions(this.#tx, missing)) this.#stored.set(row.id, row)
  }

  // Refused for its rate, it is not on record, like any other request.
  #dryRun(claim: Claim, verdict: Verdict): () => ClaimResult {
    const { outcome, reasons, full } = verdict
    if (outcome === 'rate_limited') {
      return () => ({ type: 'rate_limited', reasons, retryAtMs: this.#opensAt(full) })
    }
    const effect = effectOf(verdict)
    if (!claim.inquiry?.isPart) this.#tx.append(decisionEntry(claim, effect, reasons))
    const { shadow } = claim.decision
    const consumed = [...new Set(verdict.taken.map(({ exceeded }) => exceeded.source))]
    return () => ({ type: 'dry_run', effect, reasons, shadow, consumed })
  }

  // A full window opens again: such a denial does not settle an Idempotency-Key.
  #deny(
    asked: Claim,
    reasons: readonly Reason[],
    full: readonly Reservation[],
    facts: () => string,
  ): () => ClaimResult {
    const [first] = reasons
    const claim = full.length > 0 ? { ...asked, idempotencyKey: null } : asked
    this.#record(claim, 'deny', 'denied', reasons, {
      errorCode: first ? wireCode(first) : 'policy_denied',
      errorMessage: storable(first?.message ?? ''),
      facts: facts(),
    })
    return () => ({ type: 'denied', reasons, retryAtMs: this.#opensAt(full) })
  }

  #hold(claim: Claim, reasons: readonly Reason[], facts: () => string): () => ClaimResult {
    this.#record(claim, 'require_approval', 'held', reasons, { facts: facts() })
    if (claim.sealed !== null) this.#held.push({ actionId: claim.actionId, sealed: claim.sealed })
    if (claim.idempotencyKey === null) {
      this.#joinable.set(`${claim.agent.id} ${claim.requestHash}`, claim.actionId)
    }
    const result: { approval?: Approval } = {}
    this.#approvals.push({ claim, reasons, result })
    return () => ({ type: 'held', approval: result.approval as Approval, reasons })
  }

  #execute(claim: Claim, charges: readonly Charge[], facts: () => string): () => ClaimResult {
    const more = { reserved: JSON.stringify(charges), facts: facts() }
    this.#record(claim, 'allow', 'executing', claim.decision.reasons, more)
    return () => ({ type: 'execute', fence: 1 })
  }

  #record(
    claim: Claim,
    effect: Effect,
    state: NewAction['state'],
    reasons: readonly Reason[],
    more: Partial<NewAction>,
  ): void {
    const row = newAction(claim, effect, state, reasons, more)
    this.#actions.push(row)
    if (claim.idempotencyKey !== null) {
      this.#byKey.set(`${claim.agent.id} ${claim.idempotencyKey}`, row)
    }
    this.#tx.append(decisionEntry(claim, effect, reasons))
  }

  #open(pending: {
    claim: Claim
    reasons: readonly Reason[]
    result: { approval?: Approval }
  }): void {
    const { claim, reasons, result } = pending
    const approval = createApproval(this.#tx, {
      id: newId('apr', this.#tx.nowMs),
      origin: 'action',
      actionId: claim.actionId,
      agentId: claim.agent.id,
      tool: claim.request.action.name,
      requestHash: claim.requestHash,
      targetHash: claim.targetHash,
      revision: claim.decision.revision,
      canaryId: claim.canaryId,
      terms: claim.decision.approval,
      reason: storable(reasons.map(({ message }) => message).join('; ')),
    })
    result.approval = approval
    this.#tx.append({
      kind: 'approval.requested',
      agentId: claim.agent.id,
      tool: claim.request.action.name,
      effect: '',
      actionId: claim.actionId,
      detail: {
        agent_name: claim.agent.name,
        approval_id: approval.id,
        quorum: approval.quorum,
        approver_roles: approval.approverRoles,
        expires_at: approval.expiresAt.toISOString(),
        request_hash: claim.requestHash,
        target_hash: claim.targetHash,
        revision: claim.decision.revision,
      },
    })
    this.#tx.enqueue(expiryJob(approval.id, approval.expiresAt))
    this.#tx.enqueue(approvalNotice(approval.id))
  }
}

const stageOf = ({ inquiry, dryRun }: Claim) => {
  if (inquiry && !inquiry.consumes) return 'inquiry'
  return dryRun ? 'dry_run' : 'action'
}

/** What admission left of a claim for its row. */
interface Admitted {
  readonly charges: readonly Charge[]
  readonly known: () => string
}

/** The counters that an action was held against, as they were before it took of them. */
function standsOf({ decision, taken }: Verdict, counters: Counters): readonly CounterStand[] {
  return decision.reservations.map((one) => {
    const { key, kind, phase, amount, members, windowMs, period } = one
    const span = period ?? String(windowMs)
    return {
      key,
      span,
      kind,
      phase,
      amount,
      members,
      taken: taken.includes(one),
      ...counters.stand(one),
    }
  })
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
    decisionId: claim.decisionId,
    agentId: claim.agent.id,
    agentName: claim.agent.name,
    keyId: claim.keyId,
    tool: claim.request.action.name,
    upstream: claim.upstream,
    request: claim.requestText,
    requestHash: claim.requestHash,
    targetHash: claim.targetHash,
    effect,
    state,
    fence: 1,
    replicaId: state === 'executing' ? claim.replicaId : '',
    revision: claim.decision.revision,
    explain: explanation(claim.decision, reasons),
    errorCode: '',
    errorMessage: '',
    reserved: '[]',
    facts: '',
    idempotencyKey: claim.idempotencyKey,
    ...more,
  }
}

function mayJoin(claim: Claim): boolean {
  return claim.idempotencyKey === null && !claim.dryRun && mayBeHeld(claim)
}

/** Whether a person may have to be asked, as far as the decision says. */
export function mayBeHeld({ decision }: Pick<Claim, 'decision'>): boolean {
  return (
    decision.effect === 'require_approval' ||
    (decision.effect === 'allow' &&
      decision.reservations.some(({ exceeded: { effect } }) => effect === 'require_approval'))
  )
}
