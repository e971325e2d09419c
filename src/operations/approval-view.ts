import { knownAgents, type KnownAgent } from '../agents/known.ts'
import { votesOfAll, type ApprovalRow } from '../approvals/tasks.ts'
import type { VoteRow } from '../approvals/voters.ts'
import { asFile, type NamedFile } from '../bundle/files.ts'
import { costOf } from '../decide/cost.ts'
import { GatewayError } from '../errors.ts'
import { microsToText } from '../lib/money.ts'
import type { Reason } from '../model/decision.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { ActionRequest, BodyPart } from '../model/request.ts'
import type { Bundle } from '../bundle/types.ts'
import { findActions, type ActionRow } from '../record/actions.ts'
import { heldRequests } from '../record/held-requests.ts'
import type { RecordMask } from '../record/mask.ts'
import type { Db } from '../store/tx.ts'
import { keyed, openedRequest } from '../pipeline/claim.ts'
import { effectHash, sentAlong, targetOf } from '../pipeline/judge.ts'
import { fromStored } from '../pipeline/requests.ts'

/** What an approval is shown by: the live policy, and where people find the gate. */
export interface ApprovalViewParts {
  readonly bundle: Bundle
  /** PUBLIC_SERVER_URL; null: links are paths. */
  readonly serverUrl: string | null
  readonly mask: RecordMask
  /** Who looks: while it is held, whoever may vote sees what the record has masked. Absent: nobody in particular. */
  readonly viewer?: { readonly role: string }
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
  const open = rows.filter((row) => !hasEnded(row)).map((row) => row.action_id)
  const held = await heldRequests(db, open)
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
      ...(action ? askedView(row, action, held.get(action.id), parts) : {}),
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

/** Whether nothing of it is to be decided or run any more; the deadline counts, not the job that tidies up. */
const hasEnded = ({ status, expires_at: at }: ApprovalRow): boolean =>
  !(status === 'pending' && at.getTime() > Date.now()) && status !== 'approved'

function askedView(
  row: ApprovalRow,
  action: ActionRow,
  sealed: string | undefined,
  { bundle, mask, viewer }: ApprovalViewParts,
): JsonObject {
  const clear = openedRequest(mask, action, sealed)
  const recorded = fromStored(action)
  const request =
    clear && viewer && row.approver_roles.includes(viewer.role) ? clear.request : recorded
  const { reasons, masked } = JSON.parse(action.explain) as { reasons: Reason[]; masked?: true }
  const bound = clear ?? (masked ? undefined : { request: recorded })
  return {
    decision_id: action.decision_id,
    args: request.action.properties,
    resource: request.resource && { ...request.resource },
    context: request.context,
    agent_reason: request.reason,
    cost: costText(request, bundle),
    reasons: reasons.map(({ code, message, source }) => ({ code, message, source })),
    ...filesView(row, action),
    // What was sent cannot be made of digests.
    target: bound
      ? sentView(
          row,
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
export function filesOf({ request }: Pick<ActionRow, 'request'>): readonly HeldFile[] {
  const { args } = JSON.parse(request) as { args: JsonObject }
  const named = Object.entries(args).flatMap(([arg, value]) =>
    [value].flat().map((one) => ({ arg, file: asFile(one as Json) })),
  )
  return named.flatMap(({ arg, file }) => (file ? [{ arg, ...file }] : []))
}

function filesView(row: ApprovalRow, action: ActionRow): { readonly files?: JsonObject[] } {
  const files = filesOf(action)
  if (files.length === 0) return {}
  return {
    files: files.map((file, n) => ({ n, ...file, url: `/approvals/${row.id}/files/${n}` })),
  }
}

function costText(request: ActionRequest, bundle: Bundle): string | null {
  const tool = bundle.tools.get(request.action.name)
  const micros = tool ? costOf(request, tool, bundle) : (request.costMicros ?? 0n)
  return micros > 0n || request.costMicros !== null ? microsToText(micros) : null
}

// What the live policy would send for the request. An approval is for the call as it was when it was asked for, and
// runs nothing else: `unchanged` says whether that still is this one.
function sentView(
  row: ApprovalRow,
  action: ActionRow,
  asked: {
    readonly shown: ActionRequest
    readonly bound: { readonly request: ActionRequest }
    readonly isKeyed: boolean
  },
  { bundle, mask }: Pick<ApprovalViewParts, 'bundle' | 'mask'>,
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
    const unchanged = (asked.isKeyed ? keyed(mask, hash) : hash) === row.target_hash
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
export function voteView({ approver, vote, comment, at }: VoteRow): JsonObject {
  return { approver, vote, reason: comment, comment, at: at.toISOString() }
}
