import { columns } from '../store/columns.ts'
import type { Db, Tx } from '../store/tx.ts'

export type TurnStatus = 'running' | 'completed' | 'stopped' | 'failed'

/** A turn as stored; the columns of table `turns` that are read. */
export interface RecordedTurn {
  readonly id: string
  readonly agentId: string
  readonly status: TurnStatus
  readonly requestHash: string
  readonly replicaId: string
  readonly answer: string
}

export interface NewTurn {
  readonly id: string
  readonly agentId: string
  readonly keyId: string
  readonly requestHash: string
  readonly idempotencyKey: string | null
  readonly replicaId: string
  readonly revision: string
}

const COLUMNS = columns('id, agent_id, status, request_hash, replica_id, answer')

export async function insertTurn(tx: Tx, turn: NewTurn): Promise<void> {
  await tx.query(
    `insert into turns (id, agent_id, key_id, status, request_hash, idempotency_key, replica_id,
       revision, created_at)
     values ($1, $2, $3, 'running', $4, $5, $6, $7, $8)`,
    [
      turn.id,
      turn.agentId,
      turn.keyId,
      turn.requestHash,
      turn.idempotencyKey,
      turn.replicaId,
      turn.revision,
      new Date(tx.nowMs),
    ],
  )
}

/** The turn an agent asked for under this key before. */
export async function priorTurn(
  tx: Tx,
  agentId: string,
  key: string,
): Promise<RecordedTurn | undefined> {
  const [row] = await tx.query<RecordedTurn>(
    `select ${COLUMNS} from turns where agent_id = $1 and idempotency_key = $2`,
    [agentId, key],
  )
  return row
}

export async function countRunningTurns(tx: Tx, agentId: string): Promise<number> {
  const [row] = await tx.query<{ n: bigint }>(
    `select count(*) as n from turns where agent_id = $1 and status = 'running'`,
    [agentId],
  )
  return Number(row?.n ?? 0)
}

/** Ends a running turn; undefined when it has ended already. `freesKey`: it may be tried again. */
export async function finishTurn(
  tx: Tx,
  id: string,
  end: { readonly status: TurnStatus; readonly answer: string; readonly freesKey: boolean },
): Promise<RecordedTurn | undefined> {
  const [row] = await tx.query<RecordedTurn>(
    `update turns set status = $2, answer = $3, finished_at = $4,
       idempotency_key = case when $5 then null else idempotency_key end
     where id = $1 and status = 'running' returning ${COLUMNS}`,
    [id, end.status, end.answer, new Date(tx.nowMs), end.freesKey],
  )
  return row
}

/** Turns that claim to run on a replica whose lease has ended. */
export async function orphanedTurns(tx: Tx, graceMs: number): Promise<RecordedTurn[]> {
  return tx.query<RecordedTurn>(
    `select ${COLUMNS} from turns t where status = 'running' and not exists
       (select 1 from replicas r where r.id = t.replica_id and r.lease_until > $1)
     order by id limit 500`,
    [new Date(tx.nowMs - graceMs)],
  )
}

/** Whether turns run whose replica's lease has run out. */
export async function hasOrphanedTurns(db: Db): Promise<boolean> {
  const rows = await db.query(
    `select 1 from turns t where status = 'running' and not exists
       (select 1 from replicas r where r.id = t.replica_id and r.lease_until > clock_timestamp())
     limit 1`,
  )
  return rows.length > 0
}
