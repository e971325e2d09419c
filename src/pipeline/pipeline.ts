import { performance } from 'node:perf_hooks'
import type { Agent } from '../agents/agent.ts'
import type { AgentCache } from '../agents/registry.ts'
import { approvalOfAction, type ApprovalRow } from '../approvals/tasks.ts'
import type { EnvironmentKeys } from '../approvals/voters.ts'
import type { KillState, KillTarget } from '../control/kill-state.ts'
import { decide } from '../decide/decide.ts'
import type { ModelClient } from '../enforce/model-client.ts'
import type { UpstreamClient } from '../enforce/upstream-client.ts'
import { GatewayError } from '../errors.ts'
import type { FactLookups, FetchFact } from '../facts/lookups.ts'
import { sha256 } from '../lib/canonical.ts'
import { newId } from '../lib/ids.ts'
import type { Logger } from '../lib/log.ts'
import type { Seal } from '../lib/seal.ts'
import { parseStrictJson } from '../lib/strict-json.ts'
import type { Reason } from '../model/decision.ts'
import type { Json } from '../model/json.ts'
import { MODEL_TOOL, MODEL_UPSTREAM } from '../model/model-call.ts'
import type { ActionRequest } from '../model/request.ts'
import type { Tool } from '../model/tool.ts'
import type { Bundle } from '../policy/types.ts'
import { buildTarget } from '../policy/target.ts'
import { findAction, isFinal, markCollected, type ActionRow } from '../record/actions.ts'
import type { EventStream } from '../record/events.ts'
import { heldRequests } from '../record/held-requests.ts'
import type { Ledger } from '../record/ledger.ts'
import type { RecordMask } from '../record/mask.ts'
import type { Db } from '../store/tx.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { answerWith, dryRun, heldAnswer, identify, reasonsOf, refused, retryAt } from './answers.ts'
import { killTargetOf, type Claim, type ClaimResult } from './claim.ts'
import { CLAIM } from './claim-batch.ts'
import { newClaim, openedRequest, recordedText, resumedClaim } from './claims.ts'
import { ClearAnswers, sealedAnswer } from './clear-answers.ts'
import { FINISH, type Finish } from './finish.ts'
import { honourable, unholdable, withTarget, type Judgement } from './judgement.ts'
import { judgeModel } from './model-outcome.ts'
import { judge, type Judged } from './outcome.ts'
import { fromStored, toRequest } from './requests.ts'
import { resumeKind } from './resume.ts'
import type { Answer, Submission } from './submission.ts'

const NO_FACT = 'the look-up got no usable answer'
const INEXACT_FACT = 'the answer of the look-up is not JSON that has one meaning'
const RETRY_OUTCOME_MS = 250
const POLL_HELD_MS = 500
const WAIT_MS_MAX = 60_000
const OUTCOME_FINAL = new Set([
  'succeeded',
  'failed',
  'indeterminate',
  'denied',
  'expired',
  'cancelled',
])

export interface PipelineParts {
  readonly db: Db
  readonly ledger: Ledger
  readonly events: EventStream
  readonly metrics: Metrics
  readonly log: Logger
  readonly client: UpstreamClient
  readonly model: ModelClient
  readonly agents: AgentCache
  readonly facts: FactLookups
  readonly killState: KillState
  readonly replicaId: string
  readonly mask: RecordMask
  readonly environment: EnvironmentKeys
  /** The live policy, or undefined when none ever loaded. */
  readonly bundle: () => Bundle | undefined
  /** Why nothing may start at the moment, or undefined. */
  readonly refusal: () => GatewayError | undefined
}

/**
 * The order of things for one action, whichever door it came through:
 * facts, decide, record, enforce, record. An effect without a durable decision cannot happen,
 * because the only call of the upstream client stands behind the ledger's `execute`.
 */
export class Pipeline {
  readonly #parts: PipelineParts
  readonly #resumption: ReturnType<typeof resumeKind>
  readonly #unrecorded = new Set<Finish>()
  readonly #answers: ClearAnswers
  /** Actions whose decision is durable and whose call has not been made yet. */
  readonly #cleared = new Set<string>()
  #inFlight = 0
  #stopping = false

  constructor(parts: PipelineParts) {
    this.#parts = parts
    this.#answers = new ClearAnswers(parts.db)
    this.#resumption = resumeKind(parts.environment)
  }

  /** Outcomes that happened but are not on record yet; new effects stop while there are any. */
  get unrecordedOutcomes(): number {
    return this.#unrecorded.size
  }

  /** Refuses new actions and waits for those under way, at most `deadlineMs`. */
  async stop(deadlineMs: number): Promise<void> {
    this.#stopping = true
    const deadline = performance.now() + deadlineMs
    while (this.#inFlight > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  /** Takes one action from request to answer. Refusals by policy are answers, not errors. */
  async act(submission: Submission): Promise<Answer> {
    const startedAt = performance.now()
    this.#inFlight++
    try {
      const answer = await this.#act(submission)
      this.#count(answer, startedAt)
      return answer
    } finally {
      this.#inFlight--
    }
  }

  /** Runs an approved action, if it is still to be run. Safe to call any number of times. */
  async resume(actionId: string): Promise<void> {
    this.#inFlight++
    try {
      await this.#resume(actionId)
    } finally {
      this.#inFlight--
    }
  }

  /**
   * The answer to an action submitted earlier, for whoever sends exactly the same request again.
   * @throws GatewayError `not_found`, or `idempotency_mismatch` when the request is another one
   */
  async collect(submission: Submission, actionId: string): Promise<Answer> {
    const row = await findAction(this.#parts.db, actionId)
    if (!row || row.agent_id !== submission.caller.agentId) {
      throw new GatewayError('not_found', `there is no action \`${actionId.slice(0, 64)}\``)
    }
    const agent = await this.#agent(submission)
    const request = toRequest(submission, agent)
    const bundle = submission.bundle ?? this.#parts.bundle()
    const text = bundle && recordedText(this.#parts.mask, request, bundle)
    if (text === undefined || sha256(text) !== row.request_hash) {
      throw new GatewayError('idempotency_mismatch', 'this action was a different request')
    }
    const settled = await this.#settled(row, submission.waitMs)
    await this.noteCollected(settled)
    return this.#fromRow(settled, submission.seal)
  }

  /** The answer a recorded action gives now; waits for a held one up to `waitMs`. */
  async answerOf(actionId: string, waitMs: number): Promise<Answer | undefined> {
    const row = await findAction(this.#parts.db, actionId)
    if (!row) return undefined
    return this.#fromRow(await this.#settled(row, waitMs))
  }

  async #act(submission: Submission): Promise<Answer> {
    this.#assertOpen()
    const agent = await this.#agent(submission)
    const request = toRequest(submission, agent)
    const judgement = await this.#judge(request, agent, submission.mayBeHeld, submission.bundle)
    const claim = newClaim(this.#parts, submission, agent, request, judgement)
    const result = await this.#parts.ledger.submit(CLAIM, claim)
    return this.#follow(submission, claim, judgement, result)
  }

  #assertOpen(): void {
    if (this.#stopping) throw new GatewayError('shutting_down', 'the gate is stopping')
    if (this.#unrecorded.size > 0) {
      throw new GatewayError('audit_unavailable', 'an outcome is not on record yet', {
        retryAfterS: 1,
      })
    }
    const refusal = this.#parts.refusal()
    if (refusal) throw refusal
    if (!this.#parts.killState.isKnown) {
      throw new GatewayError('kill_state_unknown', 'the state of the kill switch is unknown', {
        retryAfterS: 1,
      })
    }
  }

  async #agent(submission: Submission): Promise<Agent> {
    const { agentId } = submission.caller
    if (submission.caller.role !== 'agent' || !agentId) {
      throw new GatewayError('forbidden', 'only an agent key can act')
    }
    const agent = await this.#parts.agents.find(agentId)
    if (!agent) throw new GatewayError('unauthenticated', 'the agent of this key is gone')
    return agent
  }

  #assertModel(): void {
    if (this.#parts.model.settings) return
    throw new GatewayError('llm_unconfigured', 'no model is configured')
  }

  async #judge(
    request: ActionRequest,
    agent: Agent,
    mayBeHeld = true,
    bundle = this.#parts.bundle(),
  ): Promise<Judgement> {
    if (!bundle) throw new GatewayError('no_policy', 'no policy is loaded')
    const tool = bundle.tools.get(request.tool)
    const upstream = tool && bundle.upstreams.get(tool.upstream)
    if (tool?.name === MODEL_TOOL) this.#assertModel()
    const facts = {
      nowMs: Date.now(),
      agent,
      ...(await this.#gather(bundle, tool, request, agent)),
    }
    const startedAt = performance.now()
    const decided = decide(request, facts, bundle)
    const honoured = honourable(decided instanceof Promise ? await decided : decided)
    const decision = mayBeHeld ? honoured : unholdable(honoured)
    this.#parts.metrics.decide.observe((performance.now() - startedAt) / 1000)
    if (!tool || !upstream || decision.effect === 'deny') {
      return { bundle, facts, tool, upstream, target: undefined, decision }
    }
    const placed = withTarget(bundle, tool, upstream, request.args, decision)
    return { bundle, facts, tool, upstream, ...placed }
  }

  async #gather(bundle: Bundle, tool: Tool | undefined, request: ActionRequest, agent: Agent) {
    const isBlocked = tool && this.#parts.killState.check(killTarget(request, agent, tool)).blocked
    // Under an engaged switch not even look-ups leave the gate; the ledger refuses anyway.
    if (!tool || tool.facts.length === 0 || isBlocked) return { lookups: {}, unavailable: {} }
    return this.#parts.facts.gather(
      tool.facts,
      request.args,
      bundle.revision,
      this.#factFetcher(bundle, killTarget(request, agent, tool)),
    )
  }

  #factFetcher(bundle: Bundle, asking: KillTarget): FetchFact {
    return async (lookup, args) => {
      const tool = bundle.tools.get(lookup.tool)
      const upstream = tool && bundle.upstreams.get(tool.upstream)
      if (!tool || !upstream) throw new Error(`tool ${lookup.tool} is not declared`)
      const result = await this.#parts.client.call(upstream, buildTarget(tool, upstream, args), {
        requestId: newId('req'),
        actionId: '',
        mayStart: () => !this.#parts.killState.check(asking).blocked,
      })
      if (result.type !== 'answered' || result.status !== 200 || result.truncated) {
        throw new Error(NO_FACT)
      }
      return lookedUp(result.body)
    }
  }

  async #follow(
    submission: Submission,
    claim: Claim,
    judgement: Judgement,
    result: ClaimResult,
  ): Promise<Answer> {
    switch (result.type) {
      case 'execute':
        this.#cleared.add(claim.actionId)
        return this.#execute(claim, judgement, result.fence)
      case 'held':
        return this.#held(claim, result.approval, result.reasons, submission)
      case 'denied':
        return { ...refused(claim, result.reasons), ...retryAt(result) }
      case 'rate_limited':
        return { ...refused(claim, result.reasons), retryAfterS: 1, ...retryAt(result) }
      case 'dry_run':
        return dryRun(claim, result)
      case 'replay':
        return result.joined
          ? this.#joined(result.action, submission)
          : this.#replay(result.action, submission)
      case 'mismatch':
        throw new GatewayError(
          'idempotency_mismatch',
          'this Idempotency-Key was used for a different request',
        )
    }
  }

  async #execute(claim: Claim, judgement: Judgement, fence: number): Promise<Answer> {
    const { result, ...judged } = await this.#dispatch(claim, judgement)
    const { outcome, detail } = claim.masking?.judged({ ...judged, result }) ?? judged
    // What the agent gets, it must be able to get again, and the record no longer has it.
    const isMasked = result !== null && outcome.result !== judged.outcome.result
    if (isMasked) this.#answers.remember(claim.actionId, result)
    const row = await this.#finish({
      outcome: { id: claim.actionId, fence, ...outcome },
      requestId: claim.requestId,
      upstreamStatus: judged.upstreamStatus,
      ...(judged.spentMicros === undefined ? {} : { spentMicros: judged.spentMicros }),
      ...(detail === undefined ? {} : { detail }),
      ...(isMasked ? { sealed: sealedAnswer(claim, result) } : {}),
    })
    return answerWith(row, result)
  }

  async #dispatch(claim: Claim, judgement: Judgement): Promise<Judged> {
    const { tool, upstream, target } = judgement
    if (!tool || !upstream || !target) throw new Error('an allowed action has no target')
    const { client, model, killState, metrics } = this.#parts
    // The one place where an effect could slip out without a durable decision, were the order ever broken.
    if (!this.#cleared.delete(claim.actionId)) {
      metrics.failOpen.inc()
      throw new Error(`action ${claim.actionId} has no durable decision`)
    }
    const startedAt = performance.now()
    const options = {
      requestId: claim.requestId,
      actionId: claim.actionId,
      mayStart: () => !killState.check(killTargetOf(claim)).blocked,
    }
    const isModel = upstream.name === MODEL_UPSTREAM
    const asked = isModel ? await model.call(upstream, target, options) : undefined
    const call = asked?.call ?? (await client.call(upstream, target, options))
    const seconds = (performance.now() - startedAt) / 1000
    metrics.upstreamSeconds.observe({ upstream: upstream.name }, seconds)
    metrics.upstreamCalls.inc({ upstream: upstream.name, result: call.type })
    if (asked) return judgeModel(asked, judgement.facts, judgement.bundle)
    return judge(call, tool.effectClass)
  }

  // The effect has happened: what is known of it is kept and tried again until it is on record.
  async #finish(finish: Finish): Promise<ActionRow> {
    try {
      return await this.#parts.ledger.submit(FINISH, finish)
    } catch (error) {
      this.#parts.log.error({ err: error, action: finish.outcome.id }, 'outcome not recorded')
      this.#unrecorded.add(finish)
      void this.#keepTrying(finish)
      throw new GatewayError(
        'outcome_unrecorded',
        'the action was carried out, but its outcome could not be recorded yet',
        { cause: error, details: { action_id: finish.outcome.id } },
      )
    }
  }

  async #keepTrying(finish: Finish): Promise<void> {
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, RETRY_OUTCOME_MS).unref())
      try {
        await this.#parts.ledger.submit(FINISH, finish)
      } catch (error) {
        // A conflict means it is settled already, by an operator or by an earlier try.
        if (!(error instanceof GatewayError && error.code === 'conflict')) continue
      }
      this.#unrecorded.delete(finish)
      return
    }
  }

  async #held(
    claim: Claim,
    approval: ApprovalRow,
    reasons: readonly Reason[],
    { waitMs, seal }: Submission,
  ): Promise<Answer> {
    const answer = heldAnswer(claim, approval, reasons)
    if (waitMs <= 0) return answer
    const row = await findAction(this.#parts.db, claim.actionId)
    if (!row) return answer
    const settled = await this.#settled(row, waitMs)
    await this.noteCollected(settled)
    return this.#fromRow(settled, seal)
  }

  async #joined(action: ActionRow, { waitMs, seal }: Submission): Promise<Answer> {
    const row = await this.#settled(action, waitMs)
    await this.noteCollected(row)
    const answer = await this.#fromRow(row, seal)
    return answer.type === 'dry_run' ? answer : { ...answer, joined: true }
  }

  /** Remembers that the agent has seen how a held action ended, if it has ended. */
  async noteCollected(row: ActionRow): Promise<void> {
    if (row.effect !== 'require_approval' || row.collected_at !== null || !isFinal(row)) return
    try {
      await this.#parts.ledger.write((tx) => markCollected(tx, [row.id]))
    } catch (error) {
      // At worst the same request is answered with this outcome once more.
      this.#parts.log.warn({ err: error, action: row.id }, 'not noted as collected')
    }
  }

  async #replay(action: ActionRow, { waitMs, seal }: Submission): Promise<Answer> {
    const row = await this.#settled(action, waitMs)
    if (row.state === 'executing') {
      throw new GatewayError(
        'in_flight',
        'the first request with this Idempotency-Key is under way',
        {
          retryAfterS: 1,
          details: { action_id: action.id },
        },
      )
    }
    return this.#fromRow(row, seal)
  }

  /** The row once it is final, or as it is when the wait is over. */
  async #settled(row: ActionRow, waitMs: number): Promise<ActionRow> {
    const { db, events } = this.#parts
    const deadline = performance.now() + Math.min(waitMs, WAIT_MS_MAX)
    let current = row
    while (!OUTCOME_FINAL.has(current.state)) {
      const left = deadline - performance.now()
      if (left <= 0) return current
      await nextEvent(events, row.id, Math.min(left, POLL_HELD_MS))
      current = (await findAction(db, row.id)) ?? current
    }
    return current
  }

  async #fromRow(row: ActionRow, seal?: Seal | null): Promise<Answer> {
    if (row.state === 'held' || row.state === 'executing') {
      const approval = await approvalOfAction(this.#parts.db, row.id)
      if (approval) return heldAnswer(identify(row), approval, reasonsOf(row))
    }
    return answerWith(row, await this.#answers.find(row, seal))
  }

  async #resume(actionId: string): Promise<void> {
    this.#assertOpen()
    const row = await findAction(this.#parts.db, actionId)
    if (row?.state !== 'held') return
    const agent = await this.#parts.agents.find(row.agent_id)
    if (!agent || this.#isStopped(row, agent)) return
    const { db, mask } = this.#parts
    const held = openedRequest(mask, row, (await heldRequests(db, [row.id])).get(row.id))
    const judgement = await this.#judge(held?.request ?? fromStored(row), agent)
    // Look-ups of a stopped action are not made, and what is decided without them must not stand.
    if (this.#isStopped(row, agent)) return
    const claim = resumedClaim(this.#parts, row, agent, held, judgement)
    const result = await this.#parts.ledger.submit(this.#resumption, claim)
    if (result.type !== 'execute') return
    this.#cleared.add(claim.actionId)
    await this.#execute(claim, judgement, result.fence)
  }

  #isStopped(row: ActionRow, agent: Agent): boolean {
    const { tool, upstream } = row
    const target = { agentId: agent.id, agentName: agent.name, tool, upstream }
    return this.#parts.killState.check(target).blocked
  }

  #count(answer: Answer, startedAt: number): void {
    const { metrics } = this.#parts
    const kind = answer.type === 'executed' ? answer.state : answer.type
    metrics.act.observe({ kind }, (performance.now() - startedAt) / 1000)
  }
}

// Read as strictly as a request: exact numbers, no duplicate members. An error quotes nothing of the answer,
// which the agent would see.
function lookedUp(body: Buffer): Json {
  try {
    return parseStrictJson(utf8.decode(body))
  } catch {
    throw new Error(INEXACT_FACT)
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

function killTarget(request: ActionRequest, agent: Agent, tool: Tool): KillTarget {
  return { agentId: agent.id, agentName: agent.name, tool: request.tool, upstream: tool.upstream }
}

function nextEvent(events: EventStream, actionId: string, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      unsubscribe()
      resolve()
    }
    const timer = setTimeout(done, timeoutMs)
    const unsubscribe = events.subscribe((entry) => {
      if (entry.actionId === actionId) done()
    })
  })
}
