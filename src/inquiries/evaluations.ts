import type { Agent } from '../agents/agent.ts'
import type { Caller } from '../agents/keys.ts'
import type { AgentCache } from '../agents/registry.ts'
import type { Bundle, DecisionApi } from '../bundle/types.ts'
import { decide } from '../decide/decide.ts'
import { elsewhere } from '../decide/inquiry.ts'
import { GatewayError } from '../errors.ts'
import type { Decision, Effect, Obligation, Reason } from '../model/decision.ts'
import type { Inquiry } from '../model/inquiry.ts'
import { obligationType } from '../model/obligation.ts'
import type { Policies } from '../canary/policies.ts'
import { denial } from '../model/reason.ts'
import type { ActionRequest } from '../model/request.ts'
import type { Ledger } from '../record/ledger.ts'
import { UNBOUNDED } from '../pipeline/admission.ts'
import { CLAIM, mayBeHeld } from '../pipeline/claim-batch.ts'
import { newClaim, type Claim, type ClaimMaker } from '../pipeline/claim.ts'
import type { AskedToJudge, Judge, Judgement } from '../pipeline/judge.ts'
import type { AccessRequests, AskedAgain } from './access-requests/access-requests.ts'
import { parted } from './access-requests/approval.ts'
import type { Denied } from './access-requests/offer.ts'
import type { Reevaluated } from './access-requests/reevaluation.ts'
import { requestOf, stranger } from './subject.ts'

// Decisions for enforcement points of others. An inquiry takes the way of an action (one bundle, look-ups,
// guards and modules, then the ledger with its kill switch, windows and budgets) and ends there: it is on
// record before it is answered, takes nothing, and nothing is called. An answer that cannot be recorded is an
// error, and who enforces must refuse then.

/** Who asks, and through which surface. */
export interface Asker {
  readonly caller: Caller
  readonly requestId: string
  /** Such as `authzen`. */
  readonly surface: string
  /** One of many questions that are on record as one. */
  readonly isPart?: boolean
}

/** What the gate says to an inquiry. Only `allow` permits. */
export interface Evaluation {
  readonly decisionId: string
  readonly revision: string
  readonly effect: Effect
  readonly reasons: readonly Reason[]
  /** What who enforces has to do besides; one that cannot must refuse. */
  readonly obligations: readonly Obligation[]
  /** The limits that it took something of; undefined where questions take nothing. */
  readonly consumed?: readonly string[]
  /** What it needs to be asked for, where a person could lift it. */
  readonly denied?: Denied | undefined
  /** What became of the approval that it came with. */
  readonly again?: Pick<Reevaluated, 'approval' | 'refusal'> | undefined
  /** How the policy that decided wants answers to be given; the one of a moment later may want them otherwise. */
  readonly api: DecisionApi
}

export interface EvaluationParts extends ClaimMaker {
  readonly agents: AgentCache
  readonly ledger: Ledger
  readonly accessRequests: AccessRequests
}

export class Evaluations {
  readonly #parts: EvaluationParts
  readonly #judge: Judge
  readonly #policies: Policies

  constructor(parts: EvaluationParts, judge: Judge, policies: Policies) {
    this.#parts = parts
    this.#judge = judge
    this.#policies = policies
  }

  /**
   * Answers several by one bundle, but for agents whom a canary is for, in order; `isLast` says after which to stop.
   * @throws GatewayError `forbidden` for an agent that asks about another, `audit_unavailable`
   */
  async evaluate(
    inquiries: readonly Inquiry[],
    asker: Asker,
    bundle: Bundle,
    isLast?: (evaluation: Evaluation) => boolean,
  ): Promise<Evaluation[]> {
    for (const { subject } of inquiries) assertMayAsk(asker.caller, subject)
    if (!isLast) {
      return Promise.all(inquiries.map((inquiry) => this.#evaluate(inquiry, asker, bundle)))
    }
    const evaluations: Evaluation[] = []
    for (const inquiry of inquiries) {
      const evaluation = await this.#evaluate(inquiry, asker, bundle)
      evaluations.push(evaluation)
      if (isLast(evaluation)) break
    }
    return evaluations
  }

  async #evaluate(asked: Inquiry, asker: Asker, live: Bundle): Promise<Evaluation> {
    // What was not verified is nothing that a rule should see.
    const { inquiry, shown } = parted(asked)
    const known = await this.#subject(inquiry)
    const bundle = this.#policies.about(known, live)
    const agent = known ?? stranger(inquiry)
    const request = requestOf(inquiry, agent)
    const { surface, caller, requestId, isPart = false } = asker
    const beside = known && !isPart ? this.#policies.beside(bundle, known) : null
    const isUnknownAgent = inquiry.subject.type === 'agent' && !known
    const judgement = isUnknownAgent
      ? refusal(bundle, agent, 'unknown_subject', 'there is no such agent')
      : heeding(inquiry, await this.#judgement(inquiry, request, agent, { bundle, beside }))
    const requestable = this.#requestable(inquiry, judgement, asker)
    const claim = newClaim(this.#parts, {
      submission: { caller, requestId, idempotencyKey: null, seal: null, told: [] },
      ...{ agent, request, judgement, dryRun: true },
      onRecord: this.#policies.onRecord(bundle, known),
      inquiry: {
        ...{ surface, isPart, requestable },
        // Somebody the registry does not know has no rate to take of.
        ...(known ? { consumes: bundle.decisionApi.consumes && !isPart } : { standing: UNBOUNDED }),
      },
    })
    if (shown === undefined || isPart) return this.#recorded(claim, bundle)
    const { accessRequests: rules } = bundle.decisionApi
    return this.#again(claim, bundle, { inquiry, shown, caller, rules })
  }

  #requestable({ given }: Inquiry, { bundle, decision }: Judgement, { caller, isPart }: Asker) {
    if (isPart || !mayBeHeld({ decision })) return undefined
    const { accessRequests: rules } = bundle.decisionApi
    return this.#parts.accessRequests.requestable(given, rules, caller)
  }

  async #recorded(claim: Claim, bundle: Bundle): Promise<Evaluation> {
    const result = await this.#parts.ledger.submit(CLAIM, claim)
    this.#policies.note(claim, result.type)
    if (result.type === 'dry_run') return evaluationOf(claim, bundle, result)
    if (result.type === 'rate_limited') {
      return evaluationOf(claim, bundle, { effect: 'deny', reasons: result.reasons })
    }
    throw new Error(`an inquiry became ${result.type}`)
  }

  async #again(claim: Claim, bundle: Bundle, asked: AskedAgain): Promise<Evaluation> {
    const result = await this.#parts.accessRequests.reevaluate(claim, asked)
    this.#policies.note(claim, 'dry_run')
    const { approval, refusal: refused } = result
    return { ...evaluationOf(claim, bundle, result), again: { approval, refusal: refused } }
  }

  /** The agent that is meant, by id or name; undefined for others. */
  async #subject({ subject }: Inquiry): Promise<Agent | undefined> {
    return subject.type === 'agent' ? this.#parts.agents.find(subject.id) : undefined
  }

  async #judgement(
    inquiry: Inquiry,
    request: ActionRequest,
    agent: Agent,
    { bundle, beside }: Pick<AskedToJudge, 'bundle' | 'beside'>,
  ): Promise<Judgement> {
    if (bundle.tools.has(inquiry.action.name)) {
      const asked = { request, agent, bundle, files: undefined, mayBeHeld: true }
      return this.#judge.judge({ ...asked, beside: beside ?? null })
    }
    const facts = { nowMs: Date.now(), agent, lookups: {}, unavailable: {} }
    const asked = elsewhere(inquiry, facts, bundle)
    if (!asked) {
      const message = 'no action of this name may be asked about for such a resource'
      return refusal(bundle, agent, 'no_such_action', message)
    }
    const decision = await decide(request, facts, bundle, asked)
    return { bundle, facts, tool: undefined, upstream: undefined, target: undefined, decision }
  }
}

function evaluationOf(
  { decisionId, decision, inquiry, targetHash }: Claim,
  { revision, decisionApi: api }: Bundle,
  { effect, reasons, consumed = [] }: Pick<Evaluation, 'effect' | 'reasons' | 'consumed'>,
): Evaluation {
  const requestable = effect === 'require_approval' ? inquiry?.requestable : undefined
  const template = api.disclosesReasons ? reasons[0]?.source : undefined
  return {
    ...{ decisionId, revision, effect, reasons, api },
    obligations: effect === 'deny' ? [] : decision.obligations,
    ...(inquiry?.consumes ? { consumed } : {}),
    ...(requestable ? { denied: { decisionId, requestable, targetHash, template } } : {}),
  }
}

/**
 * Who enforces may say which obligations it can meet (AuthZEN obligations profile): what it would have to do and cannot is a
 * denial, which is said here and not left to it.
 */
function heeding({ context }: Inquiry, judgement: Judgement): Judgement {
  const supported = context['supported_obligations']
  const { decision } = judgement
  if (!Array.isArray(supported) || decision.effect === 'deny') return judgement
  const unmet = decision.obligations.find(({ type }) => !supported.includes(obligationType(type)))
  if (!unmet) return judgement
  const message = 'it comes with an obligation that who enforces does not support'
  const reasons = [denial('obligation_unsupported', message)]
  return { ...judgement, decision: { ...decision, effect: 'deny', reasons, obligations: [] } }
}

/** An agent asks about itself; it cannot speak for another. @throws GatewayError `forbidden` */
function assertMayAsk({ role, agentId, name }: Caller, subject: Inquiry['subject']): void {
  if (role !== 'agent') return
  if (subject.type === 'agent' && (subject.id === agentId || subject.id === name)) return
  throw new GatewayError('forbidden', 'an agent may ask about itself only')
}

function refusal(bundle: Bundle, agent: Agent, code: string, message: string): Judgement {
  const decision: Decision = {
    effect: 'deny',
    reasons: [denial(code, message)],
    shadow: [],
    reservations: [],
    obligations: [],
    trace: [],
    approval: bundle.approvals.default,
    revision: bundle.revision,
  }
  const facts = { nowMs: Date.now(), agent, lookups: {}, unavailable: {} }
  return { bundle, facts, tool: undefined, upstream: undefined, target: undefined, decision }
}
