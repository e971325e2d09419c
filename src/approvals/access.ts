import { columns } from '../store/columns.ts'
import type { Db, Tx } from '../store/tx.ts'
import type { ApprovalStatus } from './tasks.ts'

// Access requests: what somebody who enforces the answer asked people for. A task has an item for each pair of resource and
// action, and each item is an approval of its own. What an approval is for is kept as a keyed digest; what was asked, in
// clear, is sealed and shown to whoever may decide.

/** A request as it was sent in: one handle for all its items. */
export interface AccessTask {
  readonly id: string
  /** Who may go on with it. */
  readonly holder: string
  readonly keyId: string
  readonly idempotencyKey: string | null
  readonly bodyHash: string
  /** Sent as a list of items. */
  readonly isBundle: boolean
  readonly sealed: string
  readonly hasCallback: boolean
  readonly createdAt: Date
  readonly expiresAt: Date
}

/** What one approval of a task is for. */
export interface AccessItem {
  readonly approvalId: string
  readonly taskId: string
  readonly position: number
  readonly evaluationId: string
  /** What the approval is called outside. */
  readonly grantId: string
  readonly boundHash: string
  readonly boundContext: readonly string[]
  /** Whose own approval does not count. */
  readonly voices: readonly string[]
  /** As on record. */
  readonly request: string
  readonly sealed: string
  readonly validMs: number
  readonly requestedUntil: Date | null
}

/** An item with how it stands. */
export interface AccessStand extends AccessItem {
  readonly status: ApprovalStatus
  readonly targetHash: string
  /** While it waits: until when it may be decided; of an approval: until when it counts. */
  readonly expiresAt: Date
  readonly approvedAt: Date | null
  readonly usedAt: Date | null
}

const TASK_COLUMNS = columns(
  'id, holder, key_id, idempotency_key, body_hash, is_bundle, sealed, has_callback, created_at, expires_at',
)
const ITEM_COLUMNS = columns(
  `approval_id, task_id, position, evaluation_id, grant_id, bound_hash, bound_context, voices, request, sealed,
  requested_until, used_at`,
  'i',
)
const STANDS = `select ${ITEM_COLUMNS}, i.valid_ms::float8 as "validMs",
    ${columns('status, target_hash, expires_at, approved_at', 'a')}
  from access_items i join approvals a on a.id = i.approval_id`

export function insertAccessTask(tx: Tx, task: AccessTask): void {
  tx.send(
    `insert into access_tasks (id, holder, key_id, idempotency_key, body_hash, is_bundle, sealed, has_callback,
       created_at, expires_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
    [
      ...[task.id, task.holder, task.keyId, task.idempotencyKey, task.bodyHash, task.isBundle],
      ...[task.sealed, task.hasCallback, task.createdAt, task.expiresAt],
    ],
  )
}

/** After its approval and its task. */
export function insertAccessItem(tx: Tx, item: AccessItem): void {
  tx.send(
    `insert into access_items (approval_id, task_id, position, evaluation_id, grant_id, bound_hash, bound_context,
       voices, request, sealed, valid_ms, requested_until)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
    [
      ...[item.approvalId, item.taskId, item.position, item.evaluationId, item.grantId],
      ...[item.boundHash, item.boundContext, item.voices, item.request, item.sealed],
      ...[item.validMs, item.requestedUntil],
    ],
  )
}

export async function findAccessTask(db: Db, id: string): Promise<AccessTask | undefined> {
  const [row] = await db.query<AccessTask>(
    `select ${TASK_COLUMNS} from access_tasks where id = $1`,
    [id],
  )
  return row
}

/** What this holder sent under this `Idempotency-Key`. */
export async function accessTaskUnder(
  db: Db,
  holder: string,
  idempotencyKey: string,
): Promise<AccessTask | undefined> {
  const [row] = await db.query<AccessTask>(
    `select ${TASK_COLUMNS} from access_tasks where holder = $1 and idempotency_key = $2`,
    [holder, idempotencyKey],
  )
  return row
}

/** The items of a task, in the order they were sent. */
export async function accessStands(db: Db, taskId: string): Promise<AccessStand[]> {
  return db.query<AccessStand>(`${STANDS} where i.task_id = $1 order by i.position`, [taskId])
}

/** What these approvals are for, by approval; actions' have nothing here. */
export async function accessItemsOf(
  db: Db,
  approvalIds: readonly string[],
): Promise<ReadonlyMap<string, AccessStand>> {
  if (approvalIds.length === 0) return new Map()
  const rows = await db.query<AccessStand>(`${STANDS} where i.approval_id = any($1)`, [approvalIds])
  return new Map(rows.map((row) => [row.approvalId, row]))
}

/** An approval, and who may show it. */
export interface AccessGrant extends AccessStand {
  /** Whom it is for; '' for somebody the registry does not know. */
  readonly agentId: string
  readonly holder: string
  /** The key that asked for it. */
  readonly keyId: string
}

/** An approval by what it is called outside. */
export async function accessGrant(tx: Tx, grantId: string): Promise<AccessGrant | undefined> {
  const [row] = await tx.query<AccessGrant>(
    `select held.*, ${columns('agent_id', 'p')}, ${columns('holder, key_id', 't')}
     from (${STANDS} where i.grant_id = $1) as held
     join access_tasks t on t.id = held."taskId" join approvals p on p.id = held."approvalId"`,
    [grantId],
  )
  return row
}

/** Who asks for an approval beside its agent. */
export interface AccessAsker {
  readonly taskId: string
  readonly voices: readonly string[]
  readonly keyId: string
}

/** Who else than its agent an approval is asked for by, and with which key; undefined for an action's. */
export async function accessAsker(db: Db, approvalId: string): Promise<AccessAsker | undefined> {
  const [row] = await db.query<AccessAsker>(
    `select i.voices, ${columns('task_id', 'i')}, ${columns('key_id', 't')} from access_items i join access_tasks t on t.id = i.task_id
     where i.approval_id = $1`,
    [approvalId],
  )
  return row
}

/** Which of these denials were asked for before. */
export async function askedBefore(
  db: Db,
  evaluationIds: readonly string[],
): Promise<readonly string[]> {
  const rows = await db.query<{ id: string }>(
    'select evaluation_id as id from access_items where evaluation_id = any($1)',
    [evaluationIds],
  )
  return rows.map(({ id }) => id)
}

/** Marks an approval used, for this decision. */
export function useGrant(tx: Tx, approvalId: string, decisionId: string): void {
  tx.send('update access_items set used_at = $2, used_by = $3 where approval_id = $1', [
    approvalId,
    new Date(tx.nowMs),
    decisionId,
  ])
}

/** Takes back the use for decisions that nobody was told of; answers their approvals. */
export async function unuseGrants(tx: Tx, decisionIds: readonly string[]): Promise<string[]> {
  const rows = await tx.query<{ id: string }>(
    `update access_items set used_at = null, used_by = '' where used_by <> '' and used_by = any($1)
     returning approval_id as id`,
    [decisionIds],
  )
  return rows.map(({ id }) => id)
}

/** What a webhook may still be tried for, after its task is answered no more. */
const CLEAR_KEPT_MS = 3_600_000

/** Wipes what was asked in clear, of tasks that nobody is answered about any more; what is on record stays. */
export async function wipeAsks(tx: Tx): Promise<void> {
  const rows = await tx.query<{ id: string }>(
    `update access_tasks set sealed = '' where sealed <> '' and expires_at <= $1 returning id`,
    [new Date(tx.nowMs - CLEAR_KEPT_MS)],
  )
  if (rows.length === 0) return
  tx.send(`update access_items set sealed = '' where task_id = any($1)`, [rows.map(({ id }) => id)])
}
