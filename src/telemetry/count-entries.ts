import type { AuditEntry } from '../model/audit.ts'
import type { JsonObject } from '../model/json.ts'
import type { Metrics } from './metrics.ts'

/** Counts an entry of the record. Only what was committed, so the numbers cannot run ahead of the record. */
export function countEntry(metrics: Metrics, entry: AuditEntry): void {
  const { kind, detail = {} } = entry
  metrics.auditEntries.inc({ kind: kind.split('.', 1)[0] ?? '' })
  if (kind === 'decision') countDecision(metrics, entry.effect, detail)
  else if (kind === 'sandbox.finished') {
    metrics.sandboxFinished(detail['status'] as string, detail['seconds'] as number)
  } else if (kind === 'plan.refused') {
    metrics.countDenied(reasonsIn(detail, 'reasons').map(({ code }) => code))
  } else if (kind === 'outcome') metrics.actions.inc({ kind: detail['state'] as string })
  else if (kind.startsWith('approval.')) {
    metrics.approvals.inc({ status: kind.slice('approval.'.length) })
  }
}

function countDecision(metrics: Metrics, effect: string, detail: JsonObject): void {
  // Somebody who only asks what would happen must not look like an attack.
  if (detail['dry_run']) return metrics.dryRuns.inc({ effect })
  metrics.decisions.inc({ effect })
  for (const { source, effect: would } of reasonsIn(detail, 'shadow')) {
    metrics.countShadow(source, would)
  }
  if (effect === 'deny') metrics.countDenied(reasonsIn(detail, 'reasons').map(({ code }) => code))
  if (effect === 'deny') metrics.actions.inc({ kind: 'denied' })
  if (effect === 'require_approval') metrics.actions.inc({ kind: 'held' })
}

function reasonsIn(detail: JsonObject, name: string) {
  return (detail[name] ?? []) as unknown as { code: string; source: string; effect: string }[]
}
