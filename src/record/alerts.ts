import { canonicalJson } from '../lib/canonical.ts'
import { newId } from '../lib/ids.ts'
import type { JsonObject } from '../model/json.ts'
import type { Db, Tx } from '../store/tx.ts'
import { alertNotice } from './outbox.ts'

export type AlertType =
  | 'budget_exceeded'
  | 'budget_threshold'
  | 'action_failed'
  | 'action_indeterminate'
  | 'approval_expired'
  | 'policy_rejected'
  | 'audit_broken'
  | 'credential_echoed'
  | 'mcp_pin_drift'

export interface Alert {
  readonly id: string
  readonly type: AlertType
  readonly agentId: string
  readonly message: string
  readonly details: string
  readonly at: Date
}

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

export async function listAlerts(
  db: Db,
  filter: {
    readonly agent: string | null
    readonly type: string | null
    readonly before: string | null
    readonly limit: number
  },
): Promise<Alert[]> {
  return db.query<Alert>(
    `select id, type, agent_id as "agentId", message, details, at from alerts
     where ($1::text is null or agent_id = $1)
       and ($2::text is null or type = $2) and ($3::text is null or id < $3)
     order by id desc limit $4`,
    [filter.agent, filter.type, filter.before, filter.limit],
  )
}
