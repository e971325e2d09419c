import type { CanonicalText } from '../lib/canonical.ts'
import { microsToText } from '../lib/money.ts'
import type { AuditDraft } from '../model/audit.ts'
import type { SecondOpinion } from '../model/canary.ts'
import type { Decision, Effect, Reason } from '../model/decision.ts'
import type { Facts } from '../model/facts.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { ActionRequest } from '../model/request.ts'
import type { EndedAction } from './actions.ts'

/** Larger args stay in the action's own row; the entry then names them by the request's hash alone. */
const ARGS_CHARS_MAX = 16_384
/** Look-ups may be as large as an upstream's answer; an explanation is not worth keeping those twice. */
const FACTS_CHARS_MAX = 32_768

/** The canonical form that hashes, the approval and the database share. */
export function requestJson(
  request: ActionRequest,
  args: Json = request.action.properties,
): JsonObject {
  return {
    action: { name: request.action.name },
    args,
    context: request.context,
    cost: request.costMicros === null ? null : microsToText(request.costMicros),
    ...(request.headers ? { headers: { ...request.headers } } : {}),
    reason: request.reason,
    resource: request.resource && { id: request.resource.id, type: request.resource.type },
    subject: { id: request.subject.id, type: request.subject.type },
  }
}

export function reasonJson(reason: Reason): JsonObject {
  const { code, message, effect, source, location } = reason
  const place = location && { file: location.file, line: location.line, col: location.col }
  // A message that quotes may cut a character in half, which canonical JSON cannot hold.
  const whole = message.toWellFormed()
  return { code, message: whole, effect, source, ...(place ? { location: place } : {}) }
}

/** What `GET /actions/{id}/explain` reads back. */
export function explanation(decision: Decision, reasons: readonly Reason[]): string {
  return JSON.stringify({
    reasons: reasons.map(reasonJson),
    shadow: decision.shadow.map(reasonJson),
    obligations: decision.obligations,
    trace: decision.trace,
    ...(decision.facts ? { facts: factsJson(decision.facts) } : {}),
    ...(decision.masked ? { masked: true } : {}),
  })
}

// What a module saw beside the request, so that its rules can be explained later. Null: too much to keep.
function factsJson({ agent, ...rest }: Facts): Facts | null {
  const { id, name, owner, roles, status, properties } = agent
  const facts = { ...rest, agent: { id, name, owner, roles, status, properties } }
  return JSON.stringify(facts).length <= FACTS_CHARS_MAX ? facts : null
}

/** What a denial is bound to, so that it can be asked for by its id. */
export interface RequestableDetail {
  readonly boundHash: string
  readonly boundContext: readonly string[]
  /** Until when; RFC 3339. */
  readonly until: string
}

interface AskedElsewhere {
  readonly surface: string
  readonly requestable?: RequestableDetail | undefined
}

/** What of a decided action its entry tells. */
export interface Decided {
  readonly actionId: string
  readonly decisionId: string
  readonly requestId: string
  readonly keyId: string
  readonly agent: { readonly id: string; readonly name: string; readonly owner: string }
  readonly request: ActionRequest
  readonly requestText: string
  /** Its args, whose text is in there. */
  readonly args: CanonicalText
  readonly requestHash: string
  readonly targetHash: string
  readonly decision: Decision
  readonly costMicros: bigint
  readonly dryRun: boolean
  /** Where it was asked, by whom it is enforced, where that is not the gate. */
  readonly inquiry?: AskedElsewhere | undefined
  /** What the other policy of a canary says. */
  readonly beside?: SecondOpinion | undefined
}

/** The entry that must be durable before the effect may start. */
export function decisionEntry(
  claim: Decided,
  effect: Effect,
  reasons: readonly Reason[],
): AuditDraft {
  const { request, decision, agent } = claim
  const args = claim.requestText.length <= ARGS_CHARS_MAX ? claim.args.json : null
  return {
    kind: 'decision',
    agentId: agent.id,
    tool: request.action.name,
    effect,
    actionId: claim.dryRun ? '' : claim.actionId,
    detail: {
      // In the order of canonical text, which then need not be sorted.
      agent_name: agent.name,
      args,
      cost: costText(claim),
      decision_id: claim.decisionId,
      dry_run: claim.dryRun && !claim.inquiry,
      key_id: claim.keyId,
      owner: agent.owner,
      reason: request.reason,
      reasons: reasons.map(reasonJson),
      request_hash: claim.requestHash,
      request_id: claim.requestId,
      resource: request.resource && { ...request.resource },
      revision: decision.revision,
      shadow: decision.shadow.map(reasonJson),
      target_hash: claim.targetHash,
      ...(claim.inquiry ? inquiryDetail(claim, claim.inquiry, effect) : {}),
      ...(claim.beside ? besideDetail(claim.beside) : {}),
    },
  }
}

const besideDetail = ({ side, differing }: SecondOpinion): JsonObject =>
  differing === null ? {} : { [side]: { ...differing, reasons: differing.reasons.map(reasonJson) } }

const inquiryDetail = (
  { request }: Decided,
  { surface, requestable }: AskedElsewhere,
  effect: Effect,
) => ({
  surface,
  enforced_by: 'caller',
  subject: { type: request.subject.type, id: request.subject.id },
  ...(requestable && effect === 'require_approval' ? requestableDetail(requestable) : {}),
})

const requestableDetail = ({ boundHash, boundContext, until }: RequestableDetail) => ({
  bound_context: [...boundContext],
  bound_hash: boundHash,
  requestable_until: until,
})

// What it costs, which the tool may say where the request does not; a denied action costs nothing, and then
// what it declared is what there is to tell.
function costText({ costMicros, request }: Decided): string | null {
  if (costMicros > 0n) return microsToText(costMicros)
  return request.costMicros === null ? null : microsToText(request.costMicros)
}

/** An entry about an action that exists already. */
export function actionEntry(kind: string, row: EndedAction, detail: JsonObject): AuditDraft {
  return {
    kind,
    agentId: row.agentId,
    tool: row.tool,
    effect: effectOf(row),
    actionId: row.id,
    detail: { decision_id: row.decisionId, agent_name: row.agentName, ...detail },
  }
}

// An approved action was allowed in the end, whatever was said of it first.
const effectOf = ({ effect, state }: EndedAction): EndedAction['effect'] =>
  effect === 'require_approval' && state !== 'held' && state !== 'denied' ? 'allow' : effect
