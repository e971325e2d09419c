import type { Agent } from '../agents/agent.ts'
import type { AgentState } from '../agents/registry.ts'
import type { Approval } from '../approvals/tasks.ts'
import { protocolOf } from '../bundle/protocol.ts'
import type { Bundle } from '../bundle/types.ts'
import type { OnRecord } from '../canary/policies.ts'
import { CanonicalText, canonicalJson, sha256 } from '../lib/canonical.ts'
import { newId } from '../lib/ids.ts'
import type { Seal } from '../lib/seal.ts'
import type { SecondOpinion } from '../model/canary.ts'
import type { Decision, Effect, Reason } from '../model/decision.ts'
import type { Facts } from '../model/facts.ts'
import type { Given } from '../model/inquiry.ts'
import { hidesAny, type RecordRules, unionOf } from '../model/record-rules.ts'
import type { ActionRequest } from '../model/request.ts'
import type { Action } from '../record/actions.ts'
import { requestJson, type RequestableDetail } from '../record/entries.ts'
import type { RecordMask } from '../record/mask.ts'
import { Masking } from '../record/masking.ts'
import { costIn, effectHash, type Judgement } from './judge.ts'
import { fromStored } from './requests.ts'
import type { Submission } from './submission.ts'

// The nouns between judging and the ledger. A claim holds all that the batch needs to let an action start, and nothing that it would
// have to ask a policy for: the hash that an approval is bound to, what is counted, and what of it the record may hold.

/** A question of who enforces the answer. */
export interface AskedBy {
  readonly surface: string
  /** On record as one of many, and not by itself. */
  readonly isPart: boolean
  /** Of a subject the registry does not know. */
  readonly standing?: AgentState
  /** It takes what asking takes, and nothing else. */
  readonly consumes?: boolean
  /** What a denial of it is to be asked for by, where a person could lift it. */
  readonly requestable?: (RequestableDetail & { readonly given: Given }) | undefined
}

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
  readonly args: CanonicalText
  readonly requestHash: string
  /** Hash of the exact upstream call, '' when there is none to make. */
  readonly targetHash: string
  readonly upstream: string
  readonly decision: Decision
  /** Micro-units: the larger of what the tool costs and what the request declares. */
  readonly costMicros: bigint
  readonly idempotencyKey: string | null
  readonly dryRun: boolean
  /** Asked by who enforces it: nothing of it happens here. */
  readonly inquiry?: AskedBy | undefined
  /** What the other policy of a canary says of it. */
  readonly beside?: SecondOpinion | undefined
  /** The canary whose candidate decided; '': the live policy did. */
  readonly canaryId: string
  /** What it was judged by, as it is to be kept; undefined for one that was kept when it was held. */
  readonly seen?: Seen | undefined
  /** Masks what is written of the outcome; null where the policy hides nothing from the record. */
  readonly masking: Masking | null
  /** The clear request, to be kept while it is held; null where the request is on record as it is. */
  readonly sealed: string | null
  /** What the agent can open its answer with later, where the record is masked. */
  readonly seal: Seal | null
}

/** What a decision was judged by beside its request, without what the record may not hold. */
export interface Seen {
  readonly facts: Facts
  readonly cannotBeHeld: boolean
  readonly hasFiles: boolean
}

/** What the ledger made of a claim. Only `execute` lets an effect start. */
export type ClaimResult =
  | { readonly type: 'execute'; readonly fence: number }
  | { readonly type: 'held'; readonly approval: Approval; readonly reasons: readonly Reason[] }
  | {
      readonly type: 'denied'
      readonly reasons: readonly Reason[]
      /** When it would fit, if it was a full window that refused it. */
      readonly retryAtMs?: number | undefined
    }
  | {
      readonly type: 'dry_run'
      readonly effect: Effect
      readonly reasons: readonly Reason[]
      /** With what limits in shadow would have refused. */
      readonly shadow: readonly Reason[]
      /** The limits that it took something of. */
      readonly consumed: readonly string[]
    }
  /** `joined`: sent again without a key while the first one is held, or to collect what became of it. */
  | { readonly type: 'replay'; readonly action: Action; readonly joined: boolean }
  | { readonly type: 'mismatch' }
  /** Refused for its rate: no record is made of it, or a flood would fill the record. */
  | {
      readonly type: 'rate_limited'
      readonly reasons: readonly Reason[]
      readonly retryAtMs?: number | undefined
    }

// A claim is what the ledger is told of an action, so here is where the clear values stay behind: what becomes of them
// is in the judgement, which goes to the upstream, and sealed beside what is held.

export interface ClaimMaker {
  readonly mask: RecordMask
  readonly replicaId: string
}

/** The masking that a policy asks for, or the rules of two; null where nothing is hidden. */
export function maskingOf(
  mask: RecordMask,
  bundle: Bundle,
  { rules, keysContacts }: Omit<OnRecord, 'canaryId'> = alone(bundle),
): Masking | null {
  if (!hidesAny(rules)) return null
  const conversationOf = ({ action: { name, properties } }: ActionRequest) => {
    const tool = bundle.tools.get(name)
    return (tool && protocolOf(bundle, tool).conversation?.(properties)) ?? []
  }
  return new Masking(mask, { rules, keysContacts }, conversationOf)
}

const alone = ({ record }: Bundle) => ({ rules: record, keysContacts: hidesAny(record) })

/** The canonical text that a request is known by, on record and to itself when it is sent again. */
export function recordedText(
  mask: RecordMask,
  request: ActionRequest,
  bundle: Bundle,
  rules: RecordRules,
): string {
  const masking = maskingOf(mask, bundle, { rules, keysContacts: true })
  return canonicalJson(requestJson(masking?.request(request) ?? request))
}

/** An action that was judged, on its way to the ledger. */
export interface Judged {
  readonly submission: Pick<
    Submission,
    'requestId' | 'caller' | 'idempotencyKey' | 'seal' | 'told' | 'mayBeHeld' | 'files'
  >
  readonly agent: Agent
  readonly request: ActionRequest
  readonly judgement: Judgement
  readonly dryRun: boolean
  readonly inquiry?: Claim['inquiry']
  readonly onRecord: OnRecord
}

export function newClaim(
  { mask, replicaId }: ClaimMaker,
  { submission, agent, request, judgement, dryRun, inquiry, onRecord }: Judged,
): Claim {
  const nowMs = Date.now()
  const actionId = newId('act', nowMs)
  const masking = maskingOf(mask, judgement.bundle, onRecord)
  masking?.learn(submission.told ?? [])
  const shown = masking?.request(request) ?? request
  const isMasked = masking?.any ?? false
  const args = CanonicalText.of(shown.action.properties)
  const requestText = canonicalJson(requestJson(shown, args.json))
  const requestHash = sha256(requestText)
  const targetHash = effectHash(judgement)
  // What it saw is kept beside it, where it stays as it was when the action is judged again.
  const { facts: _, ...decided } = heldBack(judgement.decision, onRecord)
  const decision = masking?.decision(decided, judgement.facts) ?? decided
  return {
    actionId,
    decisionId: newId('dec', nowMs),
    requestId: submission.requestId,
    keyId: submission.caller.keyId,
    replicaId,
    agent,
    request: shown,
    requestText,
    args,
    requestHash,
    targetHash: isMasked ? keyed(mask, targetHash) : targetHash,
    upstream: judgement.upstream?.name ?? '',
    decision,
    costMicros: costIn(judgement, request),
    idempotencyKey: dryRun ? null : submission.idempotencyKey,
    dryRun,
    inquiry,
    beside: besideIn(judgement, masking),
    canaryId: onRecord.canaryId,
    seen: {
      facts: masking?.any ? maskedFacts(masking, judgement.facts) : judgement.facts,
      cannotBeHeld: submission.mayBeHeld === false,
      hasFiles: (submission.files?.all.length ?? 0) > 0,
    },
    masking,
    sealed: isMasked
      ? sealedRequest(mask, { id: actionId, requestHash }, request, onRecord.rules)
      : null,
    seal: submission.seal ?? null,
  }
}

// What a policy on trial refuses is refused, and ends there: an agent that it paused would stay so when the trial is over, and
// a threshold that it said was crossed would not be told again by the live policy.
function heldBack(decision: Decision, { canaryId }: OnRecord): Decision {
  if (canaryId === '') return decision
  const lasting = { pausesAgent: false, thresholds: [] }
  const reservations = decision.reservations.map((one) => ({ ...one, ...lasting }))
  return { ...decision, reservations }
}

const maskedFacts = (masking: Masking, facts: Facts): Facts => ({
  ...facts,
  lookups: masking.facts(facts.lookups),
  unavailable: Object.fromEntries(
    Object.entries(facts.unavailable).map(([name, why]) => [name, masking.message(why)]),
  ),
})

/** The claim of an action that was held, judged again. `held`: its clear request, where the row is masked. */
export function resumedClaim(
  { mask, replicaId }: ClaimMaker,
  action: Action,
  agent: Agent,
  held: HeldClear | undefined,
  { judgement, onRecord }: Pick<Judged, 'judgement' | 'onRecord'>,
): Claim {
  const request = held?.request ?? fromStored(action)
  const decision = heldBack(judgement.decision, onRecord)
  // What was hidden when it was asked for stays hidden, whatever the policy of today says.
  const rules = held ? unionOf(onRecord.rules, held.rules) : onRecord.rules
  const masking = maskingOf(mask, judgement.bundle, { ...onRecord, rules })
  const shown = masking?.request(request) ?? request
  const targetHash = effectHash(judgement)
  return {
    actionId: action.id,
    decisionId: action.decisionId,
    requestId: newId('req'),
    keyId: action.keyId,
    replicaId,
    agent,
    request: shown,
    requestText: action.request,
    args: CanonicalText.of(shown.action.properties),
    requestHash: sha256(action.request),
    targetHash: held ? keyed(mask, targetHash) : targetHash,
    upstream: judgement.upstream?.name ?? '',
    decision: masking?.decision(decision, judgement.facts) ?? decision,
    costMicros: costIn(judgement, request),
    idempotencyKey: null,
    dryRun: false,
    beside: besideIn(judgement, masking),
    canaryId: onRecord.canaryId,
    masking,
    sealed: null,
    seal: null,
  }
}

// Asked after the decision, of which the values that are hidden are known.
function besideIn({ beside }: Judgement, masking: Masking | null): SecondOpinion | undefined {
  if (!beside?.differing || !masking) return beside
  const reasons = beside.differing.reasons.map((one) => masking.reason(one))
  return { ...beside, differing: { ...beside.differing, reasons } }
}

/** A request in clear, and the rules by which its row was masked. */
export interface HeldClear {
  readonly request: ActionRequest
  readonly rules: RecordRules
}

type Masked = Pick<Action, 'id' | 'requestHash'>

// Bound to its row: what was sealed for one action cannot be put beside another.
const placeOf = (row: Masked): string => `held request ${row.id} ${row.requestHash}`

function sealedRequest(
  mask: RecordMask,
  row: Masked,
  request: ActionRequest,
  rules: RecordRules,
): string {
  const text = JSON.stringify({ request: canonicalJson(requestJson(request)), rules })
  return mask.sealFor(placeOf(row)).close(text)
}

/** The clear request that was sealed for a held action; undefined where none can be had. */
export function openedRequest(
  mask: RecordMask,
  row: Masked,
  sealed: string | undefined,
): HeldClear | undefined {
  if (sealed === undefined) return undefined
  try {
    const text = mask.sealFor(placeOf(row)).open(sealed)
    const { request, rules } = JSON.parse(text) as { request: string; rules: RecordRules }
    return { request: fromStored({ request }), rules }
  } catch {
    return undefined // of another secret or another row: it can be shown masked, and does not run
  }
}

/** The hash of a call as its approval keeps it. */
export function keyed(mask: RecordMask, hash: string): string {
  return hash === '' ? '' : mask.keyed(hash)
}
