import type { JsonObject } from '../model/json.ts'
import { newId } from '../lib/ids.ts'
import { columns } from '../store/columns.ts'
import type { Db, Tx } from '../store/tx.ts'

export const REPLAY_STATUSES = ['queued', 'running', 'finished', 'failed'] as const
export type ReplayStatus = (typeof REPLAY_STATUSES)[number]

/** Recorded decisions that are decided again by another policy, as stored; the columns of table `policy_replays`. */
export interface PolicyReplay {
  readonly id: string
  readonly status: ReplayStatus
  readonly asked: string
  readonly requestedBy: string
  readonly attempts: number
  readonly replicaId: string
  readonly done: bigint
  readonly total: bigint
  readonly report: string
  readonly error: string
  readonly createdAt: Date
  readonly startedAt: Date | null
  readonly finishedAt: Date | null
}

const COLUMNS =
  columns(`id, status, asked, requested_by, attempts, replica_id, done, total, report, error,
  created_at, started_at, finished_at`)
const LISTED =
  columns(`id, status, asked, requested_by, attempts, replica_id, done, total, error, created_at,
  started_at, finished_at`)
const KEPT_MAX = 200
const SWEPT_MAX = 20

/** Queues one; of those that are over only the last few hundred are kept. */
export async function insertReplay(
  tx: Tx,
  { asked, requestedBy }: { readonly asked: JsonObject; readonly requestedBy: string },
): Promise<PolicyReplay> {
  const id = newId('rpl', tx.nowMs)
  const [row] = await tx.query<PolicyReplay>(
    `insert into policy_replays (id, status, asked, requested_by, created_at, queued_at)
     values ($1, 'queued', $2, $3, $4, $4) returning ${COLUMNS}`,
    [id, JSON.stringify(asked), requestedBy, new Date(tx.nowMs)],
  )
  await tx.query(
    `delete from policy_replays where status in ('finished', 'failed') and id in
       (select id from policy_replays order by id desc offset ${KEPT_MAX})`,
  )
  if (!row) throw new Error('a replay was not inserted')
  return row
}

/** How many are not over. */
export async function countOpenReplays(db: Db): Promise<number> {
  const [row] = await db.query<{ n: bigint }>(
    `select count(*) as n from policy_replays where status in ('queued', 'running')`,
  )
  return Number(row?.n ?? 0)
}

/** Takes a queued one for this replica; undefined when somebody else has it. */
export async function startReplay(
  db: Db,
  id: string,
  replicaId: string,
): Promise<PolicyReplay | undefined> {
  const [row] = await db.query<PolicyReplay>(
    `update policy_replays set status = 'running', replica_id = $2, attempts = attempts + 1, done = 0,
       started_at = clock_timestamp()
     where id = $1 and status = 'queued' returning ${COLUMNS}`,
    [id, replicaId],
  )
  return row
}

type Attempt = Pick<PolicyReplay, 'id' | 'attempts'>

export async function noteProgress(
  db: Db,
  { id, attempts }: Attempt,
  done: number,
  total: number,
): Promise<void> {
  await db.query(
    `update policy_replays set done = $3, total = $4
     where id = $1 and attempts = $2 and status = 'running'`,
    [id, attempts, done, total],
  )
}

/** Ends a running one by compare-and-set on the attempt; whether it was still that one. */
export async function finishReplay(
  tx: Tx,
  { id, attempts }: Attempt,
  end: Pick<PolicyReplay, 'report' | 'error'> & { readonly total: number | null },
): Promise<boolean> {
  const rows = await tx.query(
    `update policy_replays set status = $3, report = $4, error = $5, finished_at = $6,
       done = coalesce($7, done), total = coalesce($7, total)
     where id = $1 and attempts = $2 and status = 'running' returning id`,
    [
      ...[id, attempts, end.error === '' ? 'finished' : 'failed', end.report, end.error],
      ...[new Date(tx.nowMs), end.total],
    ],
  )
  return rows.length > 0
}

/** Queues one again that nobody is at any more. */
export async function requeueReplay(tx: Tx, { id, attempts }: Attempt): Promise<boolean> {
  const rows = await tx.query(
    `update policy_replays set status = 'queued', replica_id = '', queued_at = $3
     where id = $1 and attempts = $2 and status = 'running' returning id`,
    [id, attempts, new Date(tx.nowMs)],
  )
  return rows.length > 0
}

/** Those that run on a replica whose lease has ended, or on this one. */
export async function orphanedReplays(db: Db, ownReplicaId: string): Promise<PolicyReplay[]> {
  return db.query<PolicyReplay>(
    `select ${COLUMNS} from policy_replays s where status = 'running' and (replica_id = $1 or not exists
       (select 1 from replicas r where r.id = s.replica_id and r.lease_until > clock_timestamp()))
     order by id limit ${SWEPT_MAX}`,
    [ownReplicaId],
  )
}

/** Ids of those that wait longer than any wake-up takes. */
export async function forgottenReplays(db: Db, afterMs: number): Promise<string[]> {
  const rows = await db.query<{ id: string }>(
    `select id from policy_replays where status = 'queued'
       and queued_at < clock_timestamp() - make_interval(secs => $1) order by id limit ${SWEPT_MAX}`,
    [afterMs / 1000],
  )
  return rows.map(({ id }) => id)
}

export async function findReplay(db: Db, id: string): Promise<PolicyReplay | undefined> {
  const [row] = await db.query<PolicyReplay>(
    `select ${COLUMNS} from policy_replays where id = $1`,
    [id],
  )
  return row
}

/** Newest first, without their reports. */
export async function listReplays(
  db: Db,
  { before, limit }: { readonly before: string | null; readonly limit: number },
): Promise<Omit<PolicyReplay, 'report'>[]> {
  return db.query(
    `select ${LISTED} from policy_replays where ($1::text is null or id < $1) order by id desc limit $2`,
    [before, limit],
  )
}
