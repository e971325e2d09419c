import { knownAgents, type KnownAgent } from '../agents/known.ts'
import { votesOfAll, type ApprovalRow, type VoteRow } from '../approvals/tasks.ts'
import { costOf } from '../decide/cost.ts'
import { GatewayError } from '../errors.ts'
import { microsToText } from '../lib/money.ts'
import type { Reason } from '../model/decision.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { ActionRequest } from '../model/request.ts'
import type { Bundle } from '../policy/types.ts'
import { findActions, type ActionRow } from '../record/actions.ts'
import type { Db } from '../store/tx.ts'
import { effectHash, targetOf } from './judgement.ts'
import { fromStored } from './requests.ts'

/** What an approval is shown by: the live policy, and where people find the gate. */
export interface ApprovalViewParts {
  readonly bundle: Bundle
  /** PUBLIC_SERVER_URL; null: links are paths. */
  readonly serverUrl: string | null
}

/** Approvals with everything a person needs to judge them, in the order given. */
export async function approvalViews(
  db: Db,
  rows: readonly ApprovalRow[],
  parts: ApprovalViewParts,
): Promise<JsonObject[]> {
  if (rows.length === 0) return []
  const actions = new Map(
    (
      await findActions(
        db,
        rows.map((row) => row.action_id),
      )
    ).map((one) => [one.id, one]),
  )
  const agents = await knownAgents(db, [...new Set(rows.map((row) => row.agent_id))])
  const votes = await votesOfAll(
    db,
    rows.map(({ id }) => id),
  )
  return rows.map((row) => {
    const action = actions.get(row.action_id)
    return {
      ...taskView(row, parts),
      ...whoseView(row, agents.get(row.agent_id), action),
      ...(action ? askedView(row, action, parts.bundle) : {}),
      votes: votes.filter((one) => one.approval_id === row.id).map(voteView),
    }
  })
}

/** One approval, as `approvalViews` shows it. */
export async function approvalView(
  db: Db,
  row: ApprovalRow,
  parts: ApprovalViewParts,
): Promise<JsonObject> {
  const [view = {}] = await approvalViews(db, [row], parts)
  return view
}

function taskView(row: ApprovalRow, { serverUrl }: ApprovalViewParts): JsonObject {
  const isOverdue = row.status === 'pending' && row.expires_at.getTime() <= Date.now()
  return {
    id: row.id,
    action_id: row.action_id,
    tool: row.tool,
    // The deadline counts, not the job that tidies up after it.
    status: isOverdue ? 'expired' : row.status,
    reason: row.reason,
    quorum: row.quorum,
    approver_roles: row.approver_roles,
    request_hash: row.request_hash,
    revision: row.revision,
    created_at: row.created_at.toISOString(),
    expires_at: row.expires_at.toISOString(),
    decided_at: row.decided_at?.toISOString() ?? null,
    url: `${serverUrl?.replace(/\/+$/, '') ?? ''}/ui/approvals/${row.id}`,
  }
}

function whoseView(
  row: ApprovalRow,
  agent: KnownAgent | undefined,
  action: ActionRow | undefined,
): JsonObject {
  return {
    agent: row.agent_id,
    agent_name: agent?.name ?? (action?.agent_name || null),
    owner: agent?.owner ?? null,
  }
}

function askedView(row: ApprovalRow, action: ActionRow, bundle: Bundle): JsonObject {
  const request = fromStored(action)
  const { reasons } = JSON.parse(action.explain) as { reasons: Reason[] }
  return {
    decision_id: action.decision_id,
    args: request.args,
    resource: request.resource && { ...request.resource },
    context: request.context,
    agent_reason: request.reason,
    cost: costText(request, bundle),
    reasons: reasons.map(({ code, message, source }) => ({ code, message, source })),
    target: sentView(row, action, request, bundle),
  }
}

function costText(request: ActionRequest, bundle: Bundle): string | null {
  const tool = bundle.tools.get(request.tool)
  const micros = tool ? costOf(request, tool, bundle) : (request.costMicros ?? 0n)
  return micros > 0n || request.costMicros !== null ? microsToText(micros) : null
}

// What the live policy would send for the request. An approval is for the call as it was when it was asked for, and
// runs nothing else: `unchanged` says whether that still is this one.
function sentView(
  row: ApprovalRow,
  action: ActionRow,
  request: ActionRequest,
  bundle: Bundle,
): Json {
  const tool = bundle.tools.get(request.tool)
  const upstream = bundle.upstreams.get(action.upstream)
  if (!tool || !upstream) return null
  try {
    const target = targetOf(bundle, tool, upstream, request.args)
    const { method, path, query, body } = target
    const unchanged = effectHash({ target, tool, upstream }) === row.target_hash
    return { upstream: upstream.name, method, path, query, body, unchanged }
  } catch (error) {
    if (error instanceof GatewayError) return null
    throw error
  }
}

/** `comment` is what `reason` was called before. */
export function voteView({ approver, vote, comment, at }: VoteRow): JsonObject {
  return { approver, vote, reason: comment, comment, at: at.toISOString() }
}
