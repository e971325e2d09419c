import { canonicalJson } from '../lib/canonical.ts'
import { newId } from '../lib/ids.ts'
import type { JsonObject } from '../model/json.ts'
import { columns } from '../store/columns.ts'
import type { Db, Tx } from '../store/tx.ts'
import { alertNotice } from './outbox.ts'

export type AlertType =
  | 'budget_exceeded'
  | 'budget_threshold'
  | 'action_failed'
  | 'action_indeterminate'
  | 'approval_expired'
  | 'policy_rejected'
  | 'canary_aborted'
  | 'revisions_differ'
  | 'audit_broken'
  | 'credential_echoed'
  | 'mcp_pin_drift'
  | 'mcp_server_down'

export interface Alert {
  readonly id: string
  readonly type: AlertType
  readonly agentId: string
  readonly message: string
  readonly details: string
  readonly at: Date
  readonly acknowledgedAt: Date | null
  /** Who has seen it; '' while nobody has said so. */
  readonly acknowledgedBy: string
}

const COLUMNS = columns(
  'id, type, agent_id, message, details, at, acknowledged_at, acknowledged_by',
)

/** Stores an alert, puts it on the record, so that the event stream carries it, and queues its webhook. */
export function raiseAlert(
  tx: Tx,
  type: AlertType,
  agentId: string,
  message: string,
  details: JsonObject,
): void {
  const id = newId('alr', tx.nowMs)
  tx.send(
    'insert into alerts (id, type, agent_id, message, details, at) values ($1, $2, $3, $4, $5, $6)',
    [id, type, agentId, message, canonicalJson(details), new Date(tx.nowMs)],
  )
  const entry = {
    kind: `alert.${type}`,
    agentId,
    tool: '',
    effect: '' as const,
    actionId: '',
    detail: { alert_id: id, message, details },
  }
  tx.append(entry)
  tx.enqueue(alertNotice(entry))
}

/** What alerts of a type said that were raised since then, by whichever replica. */
export async function raisedSince(tx: Tx, type: AlertType, since: Date): Promise<JsonObject[]> {
  const rows = await tx.query<{ readonly details: string }>(
    'select details from alerts where type = $1 and at >= $2 order by id desc limit 1000',
    [type, since],
  )
  return rows.map(({ details }) => JSON.parse(details) as JsonObject)
}

export async function listAlerts(
  db: Db,
  filter: {
    readonly agent: string | null
    readonly type: string | null
    /** Null: whether anybody has seen them or not. */
    readonly isOpen?: boolean | null
    readonly before: string | null
    readonly limit: number
  },
): Promise<Alert[]> {
  return db.query<Alert>(
    `select ${COLUMNS} from alerts
     where ($1::text is null or agent_id = $1)
       and ($2::text is null or type = $2) and ($3::text is null or id < $3)
       and ($5::boolean is null or (acknowledged_at is null) = $5)
     order by id desc limit $4`,
    [filter.agent, filter.type, filter.before, filter.limit, filter.isOpen ?? null],
  )
}

/** How many alerts nobody has acknowledged. */
export async function countOpenAlerts(db: Db): Promise<number> {
  const [row] = await db.query<{ n: bigint }>(
    'select count(*) as n from alerts where acknowledged_at is null',
  )
  return Number(row?.n ?? 0)
}

/** Says that somebody has seen it; once it is said, it stays theirs. Undefined where there is none. */
export async function acknowledgeAlert(tx: Tx, id: string, by: string): Promise<Alert | undefined> {
  const taken = await tx.query<Alert>(
    `update alerts set acknowledged_at = $2, acknowledged_by = $3
     where id = $1 and acknowledged_at is null returning ${COLUMNS}`,
    [id, new Date(tx.nowMs), by],
  )
  const [alert] =
    taken.length > 0
      ? taken
      : await tx.query<Alert>(`select ${COLUMNS} from alerts where id = $1`, [id])
  if (taken[0]) {
    const detail = { alert_id: id, type: taken[0].type, actor: by }
    const entry = { kind: 'alert.acknowledged', agentId: taken[0].agentId, tool: '' }
    tx.append({ ...entry, effect: '', actionId: '', detail })
  }
  return alert
}
