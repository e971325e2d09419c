import { holderOf, type Caller } from '../../agents/keys.ts'
import type { AgentCache } from '../../agents/registry.ts'
import {
  accessTaskUnder,
  askedBefore,
  insertAccessItem,
  insertAccessTask,
  type AccessItem,
  type AccessTask,
} from '../../approvals/access.ts'
import { createApproval, type NewApproval } from '../../approvals/tasks.ts'
import type { Bundle } from '../../bundle/types.ts'
import type { Policies } from '../../canary/policies.ts'
import { approvalFor } from '../../decide/approval.ts'
import { GatewayError } from '../../errors.ts'
import { canonicalJson, sha256 } from '../../lib/canonical.ts'
import { newId, opaqueId } from '../../lib/ids.ts'
import type { Inquiry } from '../../model/inquiry.ts'
import type { JsonObject } from '../../model/json.ts'
import { recordedText } from '../../pipeline/claim.ts'
import type { Ledger, Tx } from '../../record/ledger.ts'
import { approvalNotice, expiryJob } from '../../record/outbox.ts'
import { sealedAsk } from '../../record/sealed-asks.ts'
import { storable } from '../../store/text.ts'
import { requestOf, stranger } from '../subject.ts'
import { boundHash } from './bound.ts'
import { provenDenial, type DenialClaim, type DenialParts, type ProvenDenial } from './denial.ts'

// A submission becomes a task with an approval for each of its items (sections 10 and 18). Everything that can refuse it is
// looked at first: whether each item was denied to this one, can still be asked for, and was not asked for before. It is on
// record before it is answered, and sent again under its Idempotency-Key it is the same task.

export interface AskedItem {
  readonly inquiry: Inquiry
  readonly denial: DenialClaim | undefined
  readonly requestedAccess: JsonObject
  readonly requestedUntil: Date | null
}

export interface Submission {
  readonly caller: Caller
  readonly requestId: string
  readonly idempotencyKey: string | null
  /** As it was sent, to know it by. */
  readonly body: JsonObject
  readonly isBundle: boolean
  readonly items: readonly AskedItem[]
  readonly client: JsonObject
  /** Names of `client` whose approval would be their own. */
  readonly actors: readonly string[]
  readonly callback: JsonObject | null
}

export interface SubmissionParts extends DenialParts {
  readonly ledger: Ledger
  readonly agents: AgentCache
  readonly policies: Policies
}

/** All that is written of one item but for what the batch says. */
interface Prepared {
  readonly item: AskedItem
  readonly denial: ProvenDenial
  readonly approval: Omit<NewApproval, 'id'>
  readonly row: Omit<AccessItem, 'approvalId' | 'taskId' | 'position' | 'sealed'>
  readonly ask: JsonObject
  readonly subject: JsonObject
  readonly keptMs: number
}

/** @throws GatewayError with the code of one of the profile's problems */
export async function submitted(asked: Submission, parts: SubmissionParts): Promise<AccessTask> {
  const bodyHash = parts.mask.keyed(sha256(canonicalJson(asked.body)))
  const known = await knownTask(parts.db, asked, bodyHash)
  if (known) return known
  const prepared: Prepared[] = []
  for (const item of asked.items) prepared.push(await prepare(item, asked, parts))
  return parts.ledger.write(async (tx) => {
    const sameTime = await knownTask(tx, asked, bodyHash)
    return sameTime ?? written(tx, asked, prepared, bodyHash, parts)
  })
}

async function knownTask(
  db: SubmissionParts['db'],
  { caller, idempotencyKey }: Submission,
  bodyHash: string,
): Promise<AccessTask | undefined> {
  if (idempotencyKey === null) return undefined
  const known = await accessTaskUnder(db, holderOf(caller), idempotencyKey)
  if (!known || known.bodyHash === bodyHash) return known
  const message = 'this Idempotency-Key was used for a different request'
  throw new GatewayError('duplicate_request', message)
}

async function prepare(
  item: AskedItem,
  { caller, client, actors }: Submission,
  parts: SubmissionParts,
): Promise<Prepared> {
  const { mask, policies, agents } = parts
  const { inquiry, requestedAccess, requestedUntil } = item
  const { given, subject } = inquiry
  if (!given) throw new Error('a submission has no parts')
  const holder = holderOf(caller)
  const denial = await provenDenial({ given, holder, denial: item.denial }, Date.now(), parts)
  const agent = subject.type === 'agent' ? await agents.find(subject.id) : undefined
  if (subject.type === 'agent' && !agent) {
    throw new GatewayError('not_requestable', 'there is no such agent any more')
  }
  const bundle = policies.about(agent, policies.live())
  const { canaryId, rules } = policies.onRecord(bundle, agent)
  const request = requestOf(inquiry, agent ?? stranger(inquiry))
  const text = recordedText(mask, request, bundle, rules)
  const terms = approvalFor(inquiry.action.name, agent?.roles ?? [], bundle.approvals)
  return {
    item,
    denial,
    approval: {
      ...({ origin: 'access_request', actionId: '', agentId: agent?.id ?? '' } as const),
      ...{ tool: inquiry.action.name, requestHash: sha256(text), targetHash: denial.targetHash },
      ...{ revision: bundle.revision, canaryId, terms, reason: storable(denial.reason) },
    },
    row: {
      evaluationId: denial.evaluationId,
      grantId: opaqueId('apv'),
      boundHash: boundHash(mask, given, denial.boundContext, holder),
      boundContext: denial.boundContext,
      voices: [caller.name, ...actors, ...(agent ? [] : [subject.id])].map(storable),
      request: text,
      validMs: validMs(bundle),
      requestedUntil,
    },
    ask: { ...given, requested_access: requestedAccess, client },
    subject: { type: request.subject.type, id: request.subject.id },
    keptMs: terms.expiresMs + bundle.decisionApi.accessRequests.keptMs,
  }
}

const validMs = ({ decisionApi }: Bundle): number => decisionApi.accessRequests.approvedMs

async function written(
  tx: Tx,
  asked: Submission,
  prepared: readonly Prepared[],
  bodyHash: string,
  { mask }: Pick<SubmissionParts, 'mask'>,
): Promise<AccessTask> {
  await assertFirst(tx, prepared)
  const { caller, idempotencyKey, isBundle, client, callback } = asked
  const id = opaqueId('arq')
  const task: AccessTask = {
    ...{ id, holder: holderOf(caller), keyId: caller.keyId, idempotencyKey, bodyHash, isBundle },
    sealed: sealedAsk(mask, id, { client, callback }),
    hasCallback: callback !== null,
    createdAt: new Date(tx.nowMs),
    expiresAt: new Date(tx.nowMs + Math.max(...prepared.map(({ keptMs }) => keptMs))),
  }
  insertAccessTask(tx, task)
  for (const [position, one] of prepared.entries()) writeItem(tx, asked, task, position, one, mask)
  return task
}

/** @throws GatewayError `invalid_denial_binding` for a denial that was asked for before, or twice here */
async function assertFirst(tx: Tx, prepared: readonly Prepared[]): Promise<void> {
  const ids = prepared.map(({ denial }) => denial.evaluationId)
  const isTwice = new Set(ids).size < ids.length
  if (!isTwice && (await askedBefore(tx, ids)).length === 0) return
  throw new GatewayError('invalid_denial_binding', 'this denial was asked for before')
}

function writeItem(
  tx: Tx,
  { caller, requestId }: Submission,
  task: AccessTask,
  position: number,
  { approval, row, ask, subject, denial }: Prepared,
  mask: SubmissionParts['mask'],
): void {
  const made = createApproval(tx, { ...approval, id: newId('apr', tx.nowMs) })
  const sealed = sealedAsk(mask, made.id, ask)
  insertAccessItem(tx, { ...row, approvalId: made.id, taskId: task.id, position, sealed })
  tx.append({
    kind: 'approval.requested',
    agentId: made.agentId,
    tool: made.tool,
    effect: '',
    actionId: '',
    detail: {
      access_request: task.id,
      approval_id: made.id,
      approver_roles: made.approverRoles,
      bound_hash: row.boundHash,
      caller: caller.name,
      evaluation_id: denial.evaluationId,
      expires_at: made.expiresAt.toISOString(),
      key_id: caller.keyId,
      quorum: made.quorum,
      request_hash: made.requestHash,
      request_id: requestId,
      revision: made.revision,
      subject,
      target_hash: made.targetHash,
    },
  })
  tx.enqueue(expiryJob(made.id, made.expiresAt))
  tx.enqueue(approvalNotice(made.id))
}
