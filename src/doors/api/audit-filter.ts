import { knownAgentId } from '../../agents/known.ts'
import type { TimelineFilter } from '../../record/audit.ts'
import type { Db } from '../../store/tx.ts'
import { NAME, TIME } from '../edge/validate.ts'

/** What readers of the record narrow it by. */
export interface AuditQuery {
  readonly agent?: string
  readonly tool?: string
  readonly decision?: string
  readonly kind?: string
  readonly action?: string
  readonly since?: string
  readonly until?: string
}

/** JSON Schemas of its members. */
export const AUDIT_QUERY = {
  agent: NAME,
  tool: NAME,
  decision: { enum: ['allow', 'deny', 'require_approval'] },
  kind: NAME,
  action: NAME,
  since: TIME,
  until: TIME,
} as const

/** The same for the table. @throws GatewayError `not_found` for an agent that is none */
export async function auditFilter(
  db: Db,
  query: AuditQuery,
): Promise<Omit<TimelineFilter, 'before' | 'limit'>> {
  const { agent, since, until } = query
  return {
    agentId: agent === undefined ? null : await knownAgentId(db, agent),
    tool: query.tool ?? null,
    effect: query.decision ?? null,
    kind: query.kind ?? null,
    actionId: query.action ?? null,
    since: since === undefined ? null : new Date(since),
    until: until === undefined ? null : new Date(until),
  }
}
