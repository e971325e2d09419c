import type { Db, Tx } from '../store/tx.ts'

/** A plan as stored: the columns of table `plans`. */
export interface PlanRow {
  readonly id: string
  readonly agent_id: string
  readonly actor: string
  readonly key_id: string
  readonly status: 'accepted' | 'refused'
  readonly goal: string
  readonly paths: readonly string[]
  readonly diff_sha256: string
  readonly reasons: string
  readonly artifact: string
  readonly revision: string
  readonly created_at: Date
}

export type NewPlan = Omit<PlanRow, 'created_at'>

export interface PlanFilter {
  readonly agentId: string | null
  readonly status: string | null
  /** Only ids before this one; ids sort by age. */
  readonly before: string | null
  readonly limit: number
}

const COLUMNS = `id, agent_id, actor, key_id, status, goal, paths, diff_sha256, reasons, artifact,
  revision, created_at`

export async function insertPlan(tx: Tx, plan: NewPlan): Promise<void> {
  await tx.query(
    `insert into plans (${COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
    [
      plan.id,
      plan.agent_id,
      plan.actor,
      plan.key_id,
      plan.status,
      plan.goal,
      plan.paths,
      plan.diff_sha256,
      plan.reasons,
      plan.artifact,
      plan.revision,
      new Date(tx.nowMs),
    ],
  )
}

export async function findPlan(db: Db, id: string): Promise<PlanRow | undefined> {
  const [row] = await db.query<PlanRow>(`select ${COLUMNS} from plans where id = $1`, [id])
  return row
}

/** Plans, newest first. */
export async function listPlans(db: Db, filter: PlanFilter): Promise<PlanRow[]> {
  return db.query<PlanRow>(
    `select ${COLUMNS} from plans
     where ($1::text is null or agent_id = $1) and ($2::text is null or status = $2)
       and ($3::text is null or id < $3)
     order by id desc limit $4`,
    [filter.agentId, filter.status, filter.before, filter.limit],
  )
}
