import { columns } from '../store/columns.ts'
import type { Db, Tx } from '../store/tx.ts'

/** A plan as stored: the columns of table `plans`. */
export interface Plan {
  readonly id: string
  readonly agentId: string
  readonly actor: string
  readonly keyId: string
  readonly status: 'accepted' | 'refused'
  readonly goal: string
  readonly paths: readonly string[]
  readonly diffSha256: string
  readonly reasons: string
  readonly artifact: string
  readonly revision: string
  readonly createdAt: Date
}

export type NewPlan = Omit<Plan, 'createdAt'>

export interface PlanFilter {
  readonly agentId: string | null
  readonly status: string | null
  /** Only ids before this one; ids sort by age. */
  readonly before: string | null
  readonly limit: number
}

const NAMES = `id, agent_id, actor, key_id, status, goal, paths, diff_sha256, reasons, artifact,
  revision, created_at`
const COLUMNS = columns(NAMES)

export async function insertPlan(tx: Tx, plan: NewPlan): Promise<void> {
  await tx.query(
    `insert into plans (${NAMES}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
    [
      plan.id,
      plan.agentId,
      plan.actor,
      plan.keyId,
      plan.status,
      plan.goal,
      plan.paths,
      plan.diffSha256,
      plan.reasons,
      plan.artifact,
      plan.revision,
      new Date(tx.nowMs),
    ],
  )
}

export async function findPlan(db: Db, id: string): Promise<Plan | undefined> {
  const [row] = await db.query<Plan>(`select ${COLUMNS} from plans where id = $1`, [id])
  return row
}

/** Plans, newest first. */
export async function listPlans(db: Db, filter: PlanFilter): Promise<Plan[]> {
  return db.query<Plan>(
    `select ${COLUMNS} from plans
     where ($1::text is null or agent_id = $1) and ($2::text is null or status = $2)
       and ($3::text is null or id < $3)
     order by id desc limit $4`,
    [filter.agentId, filter.status, filter.before, filter.limit],
  )
}
