import { columns } from '../store/columns.ts'
import type { Db, Tx } from '../store/tx.ts'

export type RunStatus = 'queued' | 'running' | 'passed' | 'failed' | 'error'

/** A sandbox run as stored; the columns of table `sandbox_runs`. */
export interface SandboxRun {
  readonly id: string
  readonly agentId: string
  readonly name: string
  readonly scenario: string
  readonly status: RunStatus
  readonly attempts: number
  readonly replicaId: string
  readonly revision: string
  readonly steps: string
  readonly error: string
  readonly requestedBy: string
  readonly createdAt: Date
  readonly startedAt: Date | null
  readonly finishedAt: Date | null
}

const COLUMNS =
  columns(`id, agent_id, name, scenario, status, attempts, replica_id, revision, steps, error,
  requested_by, created_at, started_at, finished_at`)
const SWEPT_MAX = 50

export async function insertRun(
  tx: Tx,
  run: Pick<SandboxRun, 'id' | 'agentId' | 'name' | 'scenario' | 'requestedBy'>,
): Promise<void> {
  await tx.query(
    `insert into sandbox_runs (id, agent_id, name, scenario, status, requested_by, created_at, queued_at)
     values ($1, $2, $3, $4, 'queued', $5, $6, $6)`,
    [run.id, run.agentId, run.name, run.scenario, run.requestedBy, new Date(tx.nowMs)],
  )
}

/** Runs of an agent that are not finished. */
export async function countOpenRuns(db: Db, agentId: string): Promise<number> {
  const [row] = await db.query<{ n: bigint }>(
    `select count(*) as n from sandbox_runs
     where agent_id = $1 and status in ('queued', 'running')`,
    [agentId],
  )
  return Number(row?.n ?? 0)
}

/** Takes a queued run for this replica; undefined when somebody else has it. */
export async function startRun(
  tx: Tx,
  id: string,
  replicaId: string,
): Promise<SandboxRun | undefined> {
  const [row] = await tx.query<SandboxRun>(
    `update sandbox_runs set status = 'running', replica_id = $2, attempts = attempts + 1,
       started_at = $3
     where id = $1 and status = 'queued' returning ${COLUMNS}`,
    [id, replicaId, new Date(tx.nowMs)],
  )
  return row
}

/** Ends a running run by compare-and-set on the attempt; undefined when it is no longer that one. */
export async function finishRun(
  tx: Tx,
  run: Pick<SandboxRun, 'id' | 'attempts'>,
  end: Pick<SandboxRun, 'status' | 'revision' | 'steps' | 'error' | 'scenario'>,
): Promise<SandboxRun | undefined> {
  const [row] = await tx.query<SandboxRun>(
    `update sandbox_runs set status = $3, revision = $4, steps = $5, error = $6, finished_at = $7, scenario = $8
     where id = $1 and attempts = $2 and status = 'running' returning ${COLUMNS}`,
    [
      run.id,
      run.attempts,
      end.status,
      end.revision,
      end.steps,
      end.error,
      new Date(tx.nowMs),
      end.scenario,
    ],
  )
  return row
}

/** Queues a run again that was started and never finished. */
export async function requeueRun(tx: Tx, run: Pick<SandboxRun, 'id' | 'attempts'>): Promise<void> {
  await tx.query(
    `update sandbox_runs set status = 'queued', replica_id = '', started_at = null, queued_at = $3
     where id = $1 and attempts = $2 and status = 'running'`,
    [run.id, run.attempts, new Date(tx.nowMs)],
  )
}

/** Runs that claim to be played by a replica whose lease has ended, or by this one. */
export async function orphanedRuns(db: Db, ownReplicaId: string): Promise<SandboxRun[]> {
  return db.query<SandboxRun>(
    `select ${COLUMNS} from sandbox_runs s where status = 'running' and (replica_id = $1 or not exists
       (select 1 from replicas r where r.id = s.replica_id and r.lease_until > clock_timestamp()))
     order by id limit ${SWEPT_MAX}`,
    [ownReplicaId],
  )
}

/** Ids of runs that wait longer than any wake-up takes. */
export async function forgottenRuns(db: Db, afterMs: number): Promise<string[]> {
  const rows = await db.query<{ id: string }>(
    `select id from sandbox_runs where status = 'queued'
       and queued_at < clock_timestamp() - make_interval(secs => $1)
     order by id limit ${SWEPT_MAX}`,
    [afterMs / 1000],
  )
  return rows.map(({ id }) => id)
}

export async function findRun(db: Db, id: string): Promise<SandboxRun | undefined> {
  const [row] = await db.query<SandboxRun>(`select ${COLUMNS} from sandbox_runs where id = $1`, [
    id,
  ])
  return row
}

/** Runs of an agent, newest first. */
export async function listRuns(
  db: Db,
  filter: { readonly agentId: string; readonly before: string | null; readonly limit: number },
): Promise<SandboxRun[]> {
  return db.query<SandboxRun>(
    `select ${COLUMNS} from sandbox_runs
     where agent_id = $1 and ($2::text is null or id < $2) order by id desc limit $3`,
    [filter.agentId, filter.before, filter.limit],
  )
}
