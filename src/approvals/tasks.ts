import { GatewayError } from '../errors.ts'
import type { ApprovalTerms } from '../model/decision.ts'
import { columns } from '../store/columns.ts'
import type { Db, Tx } from '../store/tx.ts'
import {
  countingVoices,
  objectionsTo,
  voiceOf,
  type EnvironmentKeys,
  type Vote,
  type Requester,
} from './voters.ts'

// What waits for people. A task is bound to the hash of its request and of its call, and its terms are read anew at every
// vote: who must agree is what today's policy says, not what it said when somebody asked. An end is a
// conditional update under the ledger's lock, so of a vote, an expiry and a withdrawal at the same moment one counts; what
// was approved and has not run yet can still be denied.

export type ApprovalStatus = 'pending' | 'approved' | 'denied' | 'expired' | 'cancelled' | 'failed'

/** `access_request`: nothing is held here; who asked shows the approval when it asks again. */
export type ApprovalOrigin = 'action' | 'access_request'

/** A task as stored; terminal states are final. */
export interface Approval {
  readonly id: string
  readonly origin: ApprovalOrigin
  /** '' where there is none: it was asked by who enforces the answer. */
  readonly actionId: string
  /** '' where it is for somebody the registry does not know. */
  readonly agentId: string
  readonly tool: string
  readonly status: ApprovalStatus
  readonly requestHash: string
  readonly targetHash: string
  readonly revision: string
  /** The canary whose candidate holds it; '': the live policy does. */
  readonly canaryId: string
  readonly quorum: number
  readonly approverRoles: string[]
  readonly reason: string
  readonly createdAt: Date
  /** Of an access request that was approved: until when the approval counts. */
  readonly expiresAt: Date
  /** When the quorum was reached, also where the approval was taken back later. */
  readonly approvedAt: Date | null
  readonly decidedAt: Date | null
}

export interface NewApproval {
  readonly id: string
  readonly origin: ApprovalOrigin
  readonly actionId: string
  readonly agentId: string
  readonly tool: string
  readonly requestHash: string
  readonly targetHash: string
  readonly revision: string
  readonly canaryId: string
  readonly terms: ApprovalTerms
  readonly reason: string
}

/** Who votes. `name` is the voice: two keys of one name count once. */
export interface Voter {
  readonly keyId: string
  readonly name: string
  readonly role: string
}

const COLUMNS = `coalesce(action_id, '') as "actionId", ${columns(`id, origin, agent_id, tool, status,
  request_hash, target_hash, revision, canary_id, quorum, approver_roles, reason, created_at, expires_at,
  approved_at, decided_at`)}`
const VOTE_COLUMNS = columns('approval_id, key_id, approver, vote, comment, at')

/** Opens a task; it is written with its batch. */
export function createApproval(tx: Tx, approval: NewApproval): Approval {
  const { terms, ...rest } = approval
  const createdAt = new Date(tx.nowMs)
  const expiresAt = new Date(tx.nowMs + terms.expiresMs)
  tx.send(
    `insert into approvals (id, action_id, agent_id, tool, status, request_hash, target_hash,
       revision, quorum, approver_roles, reason, created_at, expires_at, canary_id, origin)
     values ($1, nullif($2, ''), $3, $4, 'pending', $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
    [
      approval.id,
      approval.actionId,
      approval.agentId,
      approval.tool,
      approval.requestHash,
      approval.targetHash,
      approval.revision,
      terms.quorum,
      terms.approverRoles,
      approval.reason,
      createdAt,
      expiresAt,
      approval.canaryId,
      approval.origin,
    ],
  )
  return {
    ...rest,
    status: 'pending',
    quorum: terms.quorum,
    approverRoles: [...terms.approverRoles],
    createdAt,
    expiresAt,
    approvedAt: null,
    decidedAt: null,
  }
}

/** By what a vote counts: the terms of today's policy, and who asks. */
export interface VoteRules {
  readonly terms: ApprovalTerms
  readonly requester: Requester
  readonly environment: EnvironmentKeys
}

/** What the refusal says to somebody who may not vote, so that a single admin is not stuck. */
const MAKE_A_KEY =
  'portcullis keys create --role approver --name NAME makes a key for somebody who may'

/**
 * Counts one vote. A denial ends the task at once; the approval that completes the quorum ends it
 * as approved. A second vote of the same voice is a no-op that answers the task as it stands. What was approved and still
 * waits takes votes as well: the policy may ask for more of them by the time it runs, and somebody may think again.
 * @throws GatewayError `not_found`, `forbidden` (wrong role, or not to be separated from who asks),
 *   `conflict` (already decided, expired)
 */
export async function vote(
  tx: Tx,
  id: string,
  voter: Voter,
  choice: 'approve' | 'deny',
  comment: string,
  { terms, requester, environment }: VoteRules,
): Promise<{ approval: Approval; counted: boolean }> {
  const task = await withTerms(tx, await openTask(tx, id), terms)
  const objection = await objectionsTo(tx, requester, terms, tx.nowMs)
  assertMayVote(voter, choice, terms, objection(voter.name))
  const before = await votesOf(tx, id)
  const enough = async (votes: readonly Vote[]) =>
    (await countingVoices(tx, votes, terms, objection, environment)).size >= terms.quorum
  const isKnown = before.some(({ approver }) => voiceOf(approver) === voiceOf(voter.name))
  const isDone =
    task.status === 'approved' && (isKnown || (choice === 'approve' && (await enough(before))))
  if (isDone) throw alreadyDecided(task)
  if (isKnown) {
    // Said again it is no second voice, but what was too few before may be enough for the policy of today.
    const isNowEnough = choice === 'approve' && task.status === 'pending' && (await enough(before))
    return { approval: isNowEnough ? await end(tx, id, 'approved') : task, counted: false }
  }
  await tx.query(
    `insert into approval_votes (approval_id, key_id, approver, vote, comment, at)
     values ($1, $2, $3, $4, $5, $6)`,
    [id, voter.keyId, voter.name, choice, comment, new Date(tx.nowMs)],
  )
  if (choice === 'deny') return { approval: await end(tx, id, 'denied'), counted: true }
  const isComplete = task.status === 'pending' && (await enough(await votesOf(tx, id)))
  return { approval: isComplete ? await end(tx, id, 'approved') : task, counted: true }
}

function assertMayVote(
  { name, role }: Voter,
  choice: 'approve' | 'deny',
  { approverRoles }: ApprovalTerms,
  objection: string | null,
): void {
  const who = approverRoles.join(', ')
  if (!approverRoles.includes(role)) {
    throw new GatewayError('forbidden', `this approval is for ${who}; ${MAKE_A_KEY}`)
  }
  // To deny tightens, and anybody of the right role may.
  if (choice === 'deny' || objection === null) return
  const message = `\`${name}\` ${objection}, so this approval is for another ${who}; ${MAKE_A_KEY}`
  throw new GatewayError('forbidden', message)
}

// The terms are those of today's policy, and what people are shown says so.
async function withTerms(tx: Tx, task: Approval, terms: ApprovalTerms): Promise<Approval> {
  const [row] = await tx.query<Approval>(
    `update approvals set quorum = $2, approver_roles = $3 where id = $1 returning ${COLUMNS}`,
    [task.id, terms.quorum, terms.approverRoles],
  )
  return row ?? task
}

/** Withdraws a task that is still open. @throws GatewayError `not_found` or `conflict` */
export async function cancel(tx: Tx, id: string): Promise<Approval> {
  await openTask(tx, id)
  return end(tx, id, 'cancelled')
}

/** Withdraws every task of an agent that has not run yet, or whose approval could still be shown; answers them. */
export async function cancelOfAgent(tx: Tx, agentId: string): Promise<Approval[]> {
  return tx.query<Approval>(
    `update approvals set status = 'cancelled', decided_at = $2
     where agent_id = $1 and (status = 'pending' or (status = 'approved' and exists
       (select 1 from actions where actions.id = approvals.action_id and state = 'held'))
       or (status = 'approved' and origin = 'access_request' and expires_at > $2))
     returning ${COLUMNS}`,
    [agentId, new Date(tx.nowMs)],
  )
}

/** Ends a task as expired if it is pending, or approved and held up, and its time is over. */
export async function expire(tx: Tx, id: string): Promise<Approval | undefined> {
  const [row] = await tx.query<Approval>(
    `update approvals set status = 'expired', decided_at = $2
     where id = $1 and expires_at <= $2 and (status = 'pending' or (${WAITS})) returning ${COLUMNS}`,
    [id, new Date(tx.nowMs)],
  )
  return row
}

/** Marks an approved task whose action could not run after all. */
export function fail(tx: Tx, actionId: string): void {
  tx.send(`update approvals set status = 'failed' where action_id = $1 and status = 'approved'`, [
    actionId,
  ])
}

/** Approved, and still waiting for what stops it, such as the kill switch, a while after that. */
const WAITS = `status = 'approved' and decided_at < clock_timestamp() - interval '5 seconds'
  and exists (select 1 from actions where actions.id = approvals.action_id and state = 'held')`

export async function overdueApprovals(db: Db): Promise<string[]> {
  const rows = await db.query<{ id: string }>(
    `select id from approvals
     where expires_at <= now() and (status = 'pending' or (${WAITS})) limit 500`,
  )
  return rows.map(({ id }) => id)
}

/** Approved tasks whose action still waits: their wake-up was lost or has not come yet. */
export async function approvedButHeld(db: Db, olderThanMs: number): Promise<string[]> {
  const rows = await db.query<{ action_id: string }>(
    `select p.action_id from approvals p join actions a on a.id = p.action_id
     where p.status = 'approved' and a.state = 'held'
       and p.decided_at < now() - $1 * interval '1 ms' limit 500`,
    [olderThanMs],
  )
  return rows.map(({ action_id }) => action_id)
}

export async function findApproval(db: Db, id: string): Promise<Approval | undefined> {
  const [row] = await db.query<Approval>(`select ${COLUMNS} from approvals where id = $1`, [id])
  return row
}

export async function approvalOfAction(db: Db, actionId: string): Promise<Approval | undefined> {
  const [row] = await db.query<Approval>(`select ${COLUMNS} from approvals where action_id = $1`, [
    actionId,
  ])
  return row
}

export async function votesOf(db: Db, approvalId: string): Promise<Vote[]> {
  return db.query<Vote>(
    `select ${VOTE_COLUMNS} from approval_votes
     where approval_id = $1 order by at, approver`,
    [approvalId],
  )
}

/** The votes on several tasks, in the order they were given. */
export async function votesOfAll(db: Db, approvalIds: readonly string[]): Promise<Vote[]> {
  return db.query<Vote>(
    `select ${VOTE_COLUMNS} from approval_votes
     where approval_id = any($1) order by at, approver`,
    [approvalIds],
  )
}

export async function listApprovals(
  db: Db,
  filter: {
    readonly status: string | null
    readonly agentId: string | null
    readonly before: string | null
    readonly limit: number
    /** What is over first comes first, in place of the newest. */
    readonly byExpiry?: boolean
  },
): Promise<Approval[]> {
  return db.query<Approval>(
    `select ${COLUMNS} from approvals
     where ($1::text is null or status = $1) and ($2::text is null or agent_id = $2)
       and ($3::text is null or ${filter.byExpiry ? AFTER_IN_TIME : 'id < $3'})
     order by ${filter.byExpiry ? 'expires_at, id' : 'id desc'} limit $4`,
    [filter.status, filter.agentId, filter.before, filter.limit],
  )
}

const AFTER_IN_TIME = '(expires_at, id) > (select expires_at, id from approvals where id = $3)'

/** How many wait for a vote, of one agent or of all. */
export async function countPending(db: Db, agentId: string | null): Promise<number> {
  const [row] = await db.query<{ n: bigint }>(
    `select count(*) as n from approvals where status = 'pending'
       and expires_at > clock_timestamp() and ($1::text is null or agent_id = $1)`,
    [agentId],
  )
  return Number(row?.n ?? 0)
}

/**
 * The task, if it can still be decided: nobody has, or it was approved and its action still waits, or the approval can still be
 * shown.
 * @throws GatewayError `not_found`, `conflict`
 */
export async function openTask(tx: Tx, id: string): Promise<Approval> {
  const [row] = await tx.query<Approval & { isOpen: boolean }>(
    `select ${COLUMNS}, (exists (select 1 from actions
         where actions.id = approvals.action_id and state = 'held')
       or (origin = 'access_request' and approvals.expires_at > $2)) as "isOpen"
     from approvals where id = $1`,
    [id, new Date(tx.nowMs)],
  )
  if (!row) throw new GatewayError('not_found', `there is no approval \`${id}\``)
  const { isOpen, ...task } = row
  if (task.status !== 'pending' && !(task.status === 'approved' && isOpen)) {
    throw alreadyDecided(task)
  }
  if (task.expiresAt.getTime() <= tx.nowMs) {
    throw new GatewayError('conflict', 'this approval has expired', {
      details: { status: 'expired' },
    })
  }
  return task
}

const alreadyDecided = ({ status }: Approval): GatewayError =>
  new GatewayError('conflict', `this approval is already ${status}`, { details: { status } })

// From the vote that completed the quorum on.
const COUNTS_UNTIL = `(select least($3::timestamptz + i.valid_ms * interval '1 ms', i.requested_until)
  from access_items i where i.approval_id = approvals.id)`

async function end(tx: Tx, id: string, status: ApprovalStatus): Promise<Approval> {
  const [row] = await tx.query<Approval>(
    `update approvals set status = $2, decided_at = $3,
       approved_at = case when $2 = 'approved' then $3 else approved_at end,
       expires_at = case when $2 = 'approved' and origin = 'access_request' then ${COUNTS_UNTIL}
         else expires_at end
     where id = $1 and status in ('pending', 'approved') returning ${COLUMNS}`,
    [id, status, new Date(tx.nowMs)],
  )
  if (!row) throw new GatewayError('conflict', 'this approval was decided meanwhile')
  return row
}
