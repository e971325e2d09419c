import { columns } from '../store/columns.ts'
import type { Db, Tx } from '../store/tx.ts'

/** What an agent says it did by itself, with what it cost in micro-units. */
export interface RecordedReport {
  readonly id: string
  readonly agentId: string
  readonly type: string
  readonly target: string
  readonly cost: bigint
  readonly outcome: 'success' | 'failure'
  /** JSON text. */
  readonly metadata: string
  readonly at: Date
}

export interface ReportFilter {
  readonly agent?: string | undefined
  readonly type?: string | undefined
  readonly outcome?: string | undefined
  readonly since?: Date | undefined
  readonly until?: Date | undefined
  readonly before?: string | undefined
  readonly limit: number
}

const NAMES = 'id, agent_id, type, target, cost, outcome, metadata, at'
const COLUMNS = columns(NAMES)

export async function insertReports(tx: Tx, reports: readonly RecordedReport[]): Promise<void> {
  if (reports.length === 0) return
  const rows = reports.map((report) => ({ ...report, cost: String(report.cost) }))
  await tx.query(
    `insert into reports (${NAMES}) select id, "agentId", type, target, cost, outcome, metadata, at
     from json_to_recordset($1::json) as r (id text, "agentId" text, type text, target text, cost bigint, outcome text, metadata text,
        at timestamptz)`,
    [JSON.stringify(rows)],
  )
}

/** Newest first. */
export async function listReports(db: Db, filter: ReportFilter): Promise<RecordedReport[]> {
  return db.query<RecordedReport>(
    `select ${COLUMNS} from reports
     where ($1::text is null or agent_id = $1) and ($2::text is null or type = $2)
       and ($3::text is null or outcome = $3) and ($4::timestamptz is null or at >= $4)
       and ($5::timestamptz is null or at < $5) and ($6::text is null or id < $6)
     order by id desc limit $7`,
    [
      filter.agent ?? null,
      filter.type ?? null,
      filter.outcome ?? null,
      filter.since ?? null,
      filter.until ?? null,
      filter.before ?? null,
      filter.limit,
    ],
  )
}

export interface TypeSpend {
  readonly type: string
  readonly actions: bigint
  readonly failures: bigint
  readonly cost: bigint
}

/** Reported spend of one agent, or of all (null), from `from` up to `to`, by type, dearest first. */
export async function spendByType(
  db: Db,
  agentId: string | null,
  from: Date,
  to: Date,
): Promise<TypeSpend[]> {
  return db.query<TypeSpend>(
    `select type, count(*) as actions, count(*) filter (where outcome = 'failure') as failures,
       sum(cost)::bigint as cost
     from reports where ($1::text is null or agent_id = $1) and at >= $2 and at < $3
     group by type order by cost desc, type limit 100`,
    [agentId, from, to],
  )
}

/** Whether an agent ever reported an action of this type. */
export async function hasReportsOf(db: Db, type: string): Promise<boolean> {
  const rows = await db.query('select 1 from reports where type = $1 limit 1', [type])
  return rows.length > 0
}
