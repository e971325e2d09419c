import { performance } from 'node:perf_hooks'
import type { Agent } from '../agents/agent.ts'
import { approvalOfAction } from '../approvals/tasks.ts'
import type { EnvironmentKeys } from '../approvals/voters.ts'
import { Policies, type PoliciesParts } from '../canary/policies.ts'
import { screen } from '../decide/screen.ts'
import { killTargetOf } from '../control/kill-state.ts'
import { GatewayError } from '../errors.ts'
import { sha256 } from '../lib/canonical.ts'
import type { SentFiles } from '../lib/spool.ts'
import type { JsonObject } from '../model/json.ts'
import type { RecordRules } from '../model/record-rules.ts'
import type { ActionRequest } from '../model/request.ts'
import type { Tool } from '../model/tool.ts'
import type { Bundle } from '../bundle/types.ts'
import type { CallOutcome } from '../record/actions.ts'
import { findAction, type Action } from '../record/actions.ts'
import type { HeldFiles } from '../record/held-files.ts'
import { heldRequests } from '../record/held-requests.ts'
import type { RecordMask } from '../record/mask.ts'
import {
  answerWith,
  dryRun,
  refused,
  retryAt,
  sealedAnswer,
  StoredAnswers,
  type StoredAnswersParts,
} from './answers.ts'
import {
  newClaim,
  openedRequest,
  recordedText,
  resumedClaim,
  type Claim,
  type ClaimResult,
} from './claim.ts'
import { CLAIM, mayBeHeld } from './claim-batch.ts'
import { transportOf, Judge, type JudgeParts, type Judgement } from './judge.ts'
import { Outcomes } from './finish.ts'
import type { AnswerPlan, CallResult } from '../protocols/http/exchange.ts'
import { fileTexts, fromStored, isNamedAlike, named, toRequest } from './requests.ts'
import { resumeKind } from './resume.ts'
import type { Answer, Submission } from './submission.ts'

// The way of one action, from any door to its answer, on one page. What has to be gathered is gathered and
// decided first, without effect; then one ledger batch records the decision and takes what it costs; only
// its `execute` lets the call be made, and the outcome is recorded before the agent hears of it. What fails
// before the batch is not on record, what fails in it has no effect, and an effect whose outcome cannot be
// recorded stops all new ones until it is.

/** What a call is made with, and who gets its answer. */
type Sent = Pick<Submission, 'files' | 'sink' | 'fetchesLater'>

const ttlOf = ({ tool }: Judgement): number => tool?.http.resultTtlMs ?? 0

export interface PipelineParts extends JudgeParts, StoredAnswersParts, PoliciesParts {
  readonly replicaId: string
  readonly mask: RecordMask
  /** Files of what is held. */
  readonly heldFiles: HeldFiles
  readonly environment: EnvironmentKeys
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
  /** What is decided before the ledger is asked, and by which policy, for whoever only asks. */
  readonly judge: Judge
  readonly policies: Policies
  readonly #outcomes: Outcomes
  readonly #stored: StoredAnswers
  /** Actions whose decision is durable and whose call has not been made yet. */
  readonly #cleared = new Set<string>()
  #inFlight = 0
  #stopping = false

  constructor(parts: PipelineParts) {
    this.#parts = parts
    this.judge = new Judge(parts)
    this.policies = new Policies(parts)
    this.#outcomes = new Outcomes(parts.ledger, parts.log)
    this.#stored = new StoredAnswers(parts)
    this.#resumption = resumeKind(parts.environment)
  }

  /** Outcomes that happened but are not on record yet; new effects stop while there are any. */
  get unrecordedOutcomes(): number {
    return this.#outcomes.unrecorded
  }

  /** Whether new actions are refused because the gate ends. */
  get isStopping(): boolean {
    return this.#stopping
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
  act(submission: Submission): Promise<Answer> {
    return this.#counted(() => this.#take(submission, false))
  }

  /** Judges and records what would become of it. It takes its rate and nothing else, and nothing is carried out. */
  evaluate(submission: Submission): Promise<Answer> {
    return this.#counted(() => this.#take(submission, true))
  }

  /** An answer that takes nothing, given as an action would be: by today's bundle, while anything may start. */
  async whileOpen<Said>(answer: (bundle: Bundle) => Promise<Said>): Promise<Said> {
    this.#assertOpen()
    this.#parts.ledger.assertRoom()
    this.#inFlight++
    try {
      return await answer(this.policies.live())
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
    const action = await findAction(this.#parts.db, actionId)
    if (!action || action.agentId !== submission.caller.agentId) {
      throw new GatewayError('not_found', `there is no action \`${actionId.slice(0, 64)}\``)
    }
    // Today's policy reads it, and it may come in slowly; who asks is looked up behind that.
    const { bundle, call } = await named(submission, await this.policies.for(submission.caller))
    const agent = await this.#parts.agents.acting(submission.caller)
    const request = toRequest(submission, call, agent)
    const { rules } = this.policies.onRecord(bundle, agent)
    // A canary that began or ended meanwhile may hide other things.
    if (![rules, bundle.record].some((one) => this.#isOf(action, request, bundle, one))) {
      throw new GatewayError('idempotency_mismatch', 'this action was a different request')
    }
    return this.#stored.collected(action, submission)
  }

  /** The answer a recorded action gives now; waits for a held one up to `waitMs`. */
  async answerOf(actionId: string, waitMs: number): Promise<Answer | undefined> {
    const action = await findAction(this.#parts.db, actionId)
    return action && this.#stored.of(action, waitMs)
  }

  /** Remembers that the agent has seen how a held action ended, if it has ended. */
  noteCollected(action: Action): Promise<void> {
    return this.#stored.noteCollected(action)
  }

  async #take(submission: Submission, dryRun: boolean): Promise<Answer> {
    this.#assertOpen()
    this.#parts.ledger.assertRoom()
    // The bundle that finds the tool is the one that judges, and both are of when the body was here.
    const { bundle, call } = await named(submission, await this.policies.for(submission.caller))
    this.#assertOpen()
    const agent = await this.#parts.agents.acting(submission.caller)
    const request = toRequest(submission, call, agent)
    const { files } = submission
    const isAlike = (one: Bundle, other: Bundle) => isNamedAlike(submission.call, one, other)
    const beside = this.policies.beside(bundle, agent, isAlike)
    const { mayBeHeld = true } = submission
    const judgement = await this.judge.judge({ request, agent, bundle, files, mayBeHeld, beside })
    const { surface } = submission
    const { consumes } = bundle.decisionApi
    const inquiry = surface === undefined ? undefined : { surface, isPart: false, consumes }
    const onRecord = this.policies.onRecord(bundle, agent)
    const judged = { submission, agent, request, judgement, dryRun, inquiry, onRecord }
    const claim = newClaim(this.#parts, judged)
    const result = await this.#claimed(claim, files)
    this.policies.note(claim, result.type)
    return this.#follow(submission, claim, judgement, result)
  }

  // What a held action needs to run is durable before it is held.
  async #claimed(claim: Claim, files: SentFiles | undefined): Promise<ClaimResult> {
    const { ledger, heldFiles } = this.#parts
    const mayHold = !claim.dryRun && files && files.all.length > 0 && mayBeHeld(claim)
    if (!mayHold) return ledger.submit(CLAIM, claim)
    await heldFiles.keep(claim.actionId, files.all)
    // Where the answer is lost it may be held: then the sweep knows.
    const result = await ledger.submit(CLAIM, claim)
    if (result.type !== 'held') await heldFiles.forget(claim.actionId)
    return result
  }

  /** Whether it is the request of this action; what an earlier version did not record of it does not count. */
  #isOf(action: Action, request: ActionRequest, bundle: Bundle, rules: RecordRules): boolean {
    const { mask } = this.#parts
    const hashOf = (one: ActionRequest) => sha256(recordedText(mask, one, bundle, rules))
    if (hashOf(request) === action.requestHash) return true
    const { headers, ...plain } = request
    return headers !== undefined && hashOf(plain) === action.requestHash
  }

  #assertOpen(): void {
    if (this.#stopping) throw new GatewayError('shutting_down', 'the gate is stopping')
    if (this.#outcomes.unrecorded > 0) {
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

  async #follow(
    submission: Submission,
    claim: Claim,
    judgement: Judgement,
    result: ClaimResult,
  ): Promise<Answer> {
    switch (result.type) {
      case 'execute':
        this.#cleared.add(claim.actionId)
        return this.#execute(claim, judgement, result.fence, submission)
      case 'held':
        return this.#stored.held(claim, result.approval, result.reasons, submission)
      case 'denied':
        return { ...refused(claim, result.reasons), ...retryAt(result) }
      case 'rate_limited':
        return { ...refused(claim, result.reasons), retryAfterS: 1, ...retryAt(result) }
      case 'dry_run':
        return dryRun(claim, result)
      case 'replay':
        return result.joined
          ? this.#stored.joined(result.action, submission)
          : this.#stored.replay(result.action, submission)
      case 'mismatch':
        throw new GatewayError(
          'idempotency_mismatch',
          'this Idempotency-Key was used for a different request',
        )
    }
  }

  async #execute(claim: Claim, judgement: Judgement, fence: number, sent: Sent): Promise<Answer> {
    const { exchange, result, ...judged } = await this.#dispatch(claim, judgement, sent)
    const { outcome, detail } = claim.masking?.judged({ ...judged, result }) ?? judged
    // What the agent gets, it must be able to get again, and the record no longer has it.
    const isMasked = result !== null && outcome.result !== judged.outcome.result
    if (isMasked) this.#stored.remember(claim.actionId, result)
    const action = await this.#outcomes.record({
      outcome: { id: claim.actionId, fence, ...outcome },
      requestId: claim.requestId,
      upstreamStatus: judged.upstreamStatus,
      ...(judged.spentMicros === undefined ? {} : { spentMicros: judged.spentMicros }),
      ...(detail === undefined ? {} : { detail }),
      ...(isMasked ? { sealed: sealedAnswer(claim, result) } : {}),
    })
    if (exchange.type !== 'answered') return answerWith(action, result)
    const { kept, isStreamed } = exchange
    if (kept && result) this.#parts.heldFiles.results.keep(action, result, kept, ttlOf(judgement))
    const answer = answerWith(action, result)
    return isStreamed && answer.type === 'executed' ? { ...answer, isStreamed } : answer
  }

  async #dispatch(
    claim: Claim,
    judgement: Judgement,
    sent: Sent,
  ): Promise<CallOutcome & { readonly exchange: CallResult }> {
    const { tool, upstream, target } = judgement
    if (!tool || !upstream || !target) throw new Error('an allowed action has no target')
    const { transports, killState, metrics } = this.#parts
    // The one place where an effect could slip out without a durable decision, were the order ever broken.
    if (!this.#cleared.delete(claim.actionId)) {
      metrics.failOpen.inc()
      throw new Error(`action ${claim.actionId} has no durable decision`)
    }
    const startedAt = performance.now()
    const options = {
      requestId: claim.requestId,
      actionId: claim.actionId,
      holder: claim.agent.id,
      mayStart: () => !killState.check(killTargetOf(claim)).blocked,
      files: (digest: string) => sent.files?.get(digest),
      answer: this.#answerPlan(claim, tool, sent),
      bundle: judgement.bundle,
    }
    const called = await transportOf(transports, upstream).call(upstream, target, options)
    const seconds = (performance.now() - startedAt) / 1000
    metrics.upstreamSeconds.observe(seconds, upstream.name)
    const { exchange } = called
    metrics.upstreamCalls.inc({ upstream: upstream.name, result: exchange.type })
    metrics.upstreams.note(upstream.name, {
      result: exchange.type,
      status: exchange.type === 'answered' ? exchange.status : null,
      seconds,
      atMs: Date.now(),
      isRefused: exchange.type === 'not_sent' && exchange.code === 'refused',
    })
    const { bundle, facts } = judgement
    const risks = (text: JsonObject) => screen({ reason: null, text }, facts, bundle, tool.name)
    return { ...called.read({ tool, bundle, screen: risks }), exchange }
  }

  // Where the record hides some of an answer, all of it has to be here before any of it is written or goes on.
  #answerPlan(claim: Claim, tool: Tool, { sink, fetchesLater }: Sent): AnswerPlan {
    const { killState, heldFiles } = this.#parts
    sink?.of(claim)
    return {
      rules: tool.http.response,
      isRead: tool.effectClass === 'read',
      mayGoOn: () => !killState.check(killTargetOf(claim)).blocked,
      sink: claim.masking === null ? sink : undefined,
      keep: fetchesLater && claim.masking === null ? () => heldFiles.spool.writer() : undefined,
    }
  }

  async #resume(actionId: string): Promise<void> {
    this.#assertOpen()
    const action = await findAction(this.#parts.db, actionId)
    if (action?.state !== 'held') return
    const agent = await this.#parts.agents.find(action.agentId)
    if (!agent || this.#isStopped(action, agent)) return
    const { db, mask } = this.#parts
    const held = openedRequest(mask, action, (await heldRequests(db, [action.id])).get(action.id))
    const files = await this.#parts.heldFiles.load(action.id)
    try {
      const stored = held?.request ?? fromStored(action)
      const texts = fileTexts(files)
      const request = texts.size > 0 ? { ...stored, fileTexts: texts } : stored
      const bundle = await this.#againBy(action)
      const beside = this.policies.beside(bundle, agent)
      const asked = { request, agent, bundle, files, mayBeHeld: true, beside }
      const judgement = await this.judge.judge(asked)
      // Look-ups of a stopped action are not made, and what is decided without them must not stand.
      if (this.#isStopped(action, agent)) return
      const onRecord = this.policies.onRecord(bundle, agent)
      const claim = resumedClaim(this.#parts, action, agent, held, { judgement, onRecord })
      const result = await this.#parts.ledger.submit(this.#resumption, claim)
      this.policies.note(claim, result.type)
      if (result.type !== 'execute') return
      this.#cleared.add(claim.actionId)
      await this.#execute(claim, judgement, result.fence, { files, fetchesLater: true })
    } finally {
      files.discard()
    }
  }

  /** By which a held action is judged again: by the side that it began on, as long as there is one. */
  async #againBy({ id }: Action): Promise<Bundle> {
    const approval = this.policies.isShared ? await approvalOfAction(this.#parts.db, id) : undefined
    return approval ? this.policies.holding(approval) : this.policies.live()
  }

  #isStopped(action: Action, agent: Agent): boolean {
    const { tool, upstream } = action
    const target = { agentId: agent.id, agentName: agent.name, tool, upstream }
    return this.#parts.killState.check(target).blocked
  }

  async #counted(take: () => Promise<Answer>): Promise<Answer> {
    const { metrics } = this.#parts
    const startedAt = performance.now()
    this.#inFlight++
    try {
      const answer = await take()
      const kind = answer.type === 'executed' ? answer.state : answer.type
      metrics.act.observe((performance.now() - startedAt) / 1000, kind)
      return answer
    } finally {
      this.#inFlight--
    }
  }
}
