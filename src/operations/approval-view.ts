import { accessItemsOf } from '../approvals/access.ts'
import { knownAgents, type KnownAgent } from '../agents/known.ts'
import { votesOfAll, type Approval } from '../approvals/tasks.ts'
import type { Vote } from '../approvals/voters.ts'
import { asFile, type NamedFile } from '../bundle/files.ts'
import { costOf } from '../decide/cost.ts'
import { GatewayError } from '../errors.ts'
import { microsToText } from '../lib/money.ts'
import type { Reason } from '../model/decision.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { ActionRequest, BodyPart } from '../model/request.ts'
import type { Bundle } from '../bundle/types.ts'
import { findActions, type Action } from '../record/actions.ts'
import { heldRequests } from '../record/held-requests.ts'
import type { RecordMask } from '../record/mask.ts'
import type { Db } from '../store/tx.ts'
import { keyed, openedRequest } from '../pipeline/claim.ts'
import { accessView } from './access-view.ts'
import { effectHash, sentAlong, targetOf } from '../pipeline/judge.ts'
import { fromStored } from '../pipeline/requests.ts'

/** What an approval is shown by: the policy that holds it, and where people find the gate. */
export interface ApprovalViewParts {
  readonly bundleOf: (approval: Approval) => Bundle
  /** PUBLIC_SERVER_URL; null: links are paths. */
  readonly serverUrl: string | null
  readonly mask: RecordMask
  /** Who looks: while it is held, whoever may vote sees what the record has masked. Absent: nobody in particular. */
  readonly viewer?: { readonly role: string }
}

/** Approvals with everything a person needs to judge them, in the order given. */
export async function approvalViews(
  db: Db,
  approvals: readonly Approval[],
  parts: ApprovalViewParts,
): Promise<JsonObject[]> {
  if (approvals.length === 0) return []
  const actions = new Map(
    (
      await findActions(
        db,
        approvals.flatMap(({ actionId }) => (actionId === '' ? [] : actionId)),
      )
    ).map((one) => [one.id, one]),
  )
  const open = approvals.filter((row) => !hasEnded(row)).map((row) => row.actionId)
  const held = await heldRequests(db, open)
  const requests = await accessItemsOf(db, requestsAmong(approvals))
  const agents = await knownAgents(db, [...new Set(approvals.map((row) => row.agentId))])
  const votes = await votesOfAll(
    db,
    approvals.map(({ id }) => id),
  )
  return approvals.map((row) => {
    const action = actions.get(row.actionId)
    return {
      ...taskView(row, parts),
      ...effectView(row, parts),
      ...whoseView(row, agents.get(row.agentId), action),
      ...(action ? askedView(row, action, held.get(action.id), parts) : {}),
      ...accessView(row, requests.get(row.id), parts),
      votes: votes.filter((one) => one.approvalId === row.id).map(voteView),
    }
  })
}

const requestsAmong = (approvals: readonly Approval[]): string[] =>
  approvals.flatMap(({ id, origin }) => (origin === 'access_request' ? id : []))

function effectView(approval: Approval, { bundleOf }: ApprovalViewParts): JsonObject {
  const effect = bundleOf(approval).tools.get(approval.tool)?.effectClass
  return effect === undefined ? {} : { effect }
}

/** One approval, as `approvalViews` shows it. */
export async function approvalView(
  db: Db,
  approval: Approval,
  parts: ApprovalViewParts,
): Promise<JsonObject> {
  const [view = {}] = await approvalViews(db, [approval], parts)
  return view
}

function taskView(approval: Approval, { serverUrl }: ApprovalViewParts): JsonObject {
  const isOverdue = approval.status === 'pending' && approval.expiresAt.getTime() <= Date.now()
  return {
    id: approval.id,
    origin: approval.origin,
    action_id: approval.actionId,
    tool: approval.tool,
    // The deadline counts, not the job that tidies up after it.
    status: isOverdue ? 'expired' : approval.status,
    reason: approval.reason,
    quorum: approval.quorum,
    approver_roles: approval.approverRoles,
    request_hash: approval.requestHash,
    revision: approval.revision,
    created_at: approval.createdAt.toISOString(),
    expires_at: approval.expiresAt.toISOString(),
    decided_at: approval.decidedAt?.toISOString() ?? null,
    url: `${serverUrl?.replace(/\/+$/, '') ?? ''}/ui/approvals/${approval.id}`,
  }
}

function whoseView(
  approval: Approval,
  agent: KnownAgent | undefined,
  action: Action | undefined,
): JsonObject {
  return {
    agent: approval.agentId,
    agent_name: agent?.name ?? (action?.agentName || null),
    owner: agent?.owner ?? null,
  }
}

/** Whether nothing of it is to be decided or run any more; the deadline counts, not the job that tidies up. */
const hasEnded = ({ status, expiresAt: at }: Approval): boolean =>
  !(status === 'pending' && at.getTime() > Date.now()) && status !== 'approved'

function askedView(
  approval: Approval,
  action: Action,
  sealed: string | undefined,
  { bundleOf, mask, viewer }: ApprovalViewParts,
): JsonObject {
  const bundle = bundleOf(approval)
  const clear = openedRequest(mask, action, sealed)
  const recorded = fromStored(action)
  const request =
    clear && viewer && approval.approverRoles.includes(viewer.role) ? clear.request : recorded
  const { reasons, masked } = JSON.parse(action.explain) as { reasons: Reason[]; masked?: true }
  const bound = clear ?? (masked ? undefined : { request: recorded })
  return {
    decision_id: action.decisionId,
    args: request.action.properties,
    resource: request.resource && { ...request.resource },
    context: request.context,
    agent_reason: request.reason,
    cost: costText(request, bundle),
    reasons: reasons.map(({ code, message, source }) => ({ code, message, source })),
    ...filesView(approval, action),
    // What was sent cannot be made of digests.
    target: bound
      ? sentView(
          approval,
          action,
          { shown: request, bound, isKeyed: clear !== undefined },
          { bundle, mask },
        )
      : null,
  }
}

/** A file of a held action. */
export type HeldFile = NamedFile['file'] & { readonly arg: string }

/** The files of an action, in the order of their numbers. What is no file but looks like one has no bytes to download. */
export function filesOf({ request }: Pick<Action, 'request'>): readonly HeldFile[] {
  const { args } = JSON.parse(request) as { args: JsonObject }
  const named = Object.entries(args).flatMap(([arg, value]) =>
    [value].flat().map((one) => ({ arg, file: asFile(one) })),
  )
  return named.flatMap(({ arg, file }) => (file ? [{ arg, ...file }] : []))
}

function filesView(approval: Approval, action: Action): { readonly files?: JsonObject[] } {
  const files = filesOf(action)
  if (files.length === 0) return {}
  return {
    files: files.map((file, n) => ({ n, ...file, url: `/approvals/${approval.id}/files/${n}` })),
  }
}

function costText(request: ActionRequest, bundle: Bundle): string | null {
  const tool = bundle.tools.get(request.action.name)
  const micros = tool ? costOf(request, tool, bundle) : (request.costMicros ?? 0n)
  return micros > 0n || request.costMicros !== null ? microsToText(micros) : null
}

// What the policy that holds it would send for the request. An approval is for the call as it was when it was asked for, and
// runs nothing else: `unchanged` says whether that still is this one.
function sentView(
  approval: Approval,
  action: Action,
  asked: {
    readonly shown: ActionRequest
    readonly bound: { readonly request: ActionRequest }
    readonly isKeyed: boolean
  },
  { bundle, mask }: Pick<ApprovalViewParts, 'mask'> & { readonly bundle: Bundle },
): Json {
  const tool = bundle.tools.get(action.tool)
  const upstream = bundle.upstreams.get(action.upstream)
  if (!tool || !upstream) return null
  try {
    const { bound, shown } = asked
    const callOf = (request: ActionRequest) => ({
      ...{ tool, upstream, args: request.action.properties },
      ...sentAlong(request),
    })
    const target = targetOf(bundle, callOf(bound.request))
    const hash = effectHash({ target, tool, upstream })
    const unchanged = (asked.isKeyed ? keyed(mask, hash) : hash) === approval.targetHash
    const { method, path, query, body, headers, parts, file } = targetOf(bundle, callOf(shown))
    const more = {
      ...(headers ? { headers: { ...headers } } : {}),
      ...(parts ? { parts: partsView(parts) } : {}),
      ...(file ? { file: { ...file } } : {}),
    }
    return { upstream: upstream.name, method, path, query, body, ...more, unchanged }
  } catch (error) {
    if (error instanceof GatewayError) return null
    throw error
  }
}

const partsView = (parts: readonly BodyPart[]): JsonObject[] =>
  parts.map((part) => ('file' in part ? { name: part.name, file: { ...part.file } } : { ...part }))

/** `comment` is what `reason` was called before. */
export function voteView({ approver, vote, comment, at }: Vote): JsonObject {
  return { approver, vote, reason: comment, comment, at: at.toISOString() }
}
