import type { AuditDraft } from '../../model/audit.ts'
import type { JsonObject } from '../../model/json.ts'
import { registryEntry } from '../../operations/registry.ts'
import { raiseAlert } from '../../record/alerts.ts'
import {
  type CanaryEnding,
  endCanary,
  type PolicyCanary,
  runningCanary,
} from '../../record/policy-canaries.ts'
import type { Tx } from '../../store/tx.ts'

/** What the record says of a canary that began or ended: `state` is `started`, or how it ended. */
export function canaryEntry(canary: PolicyCanary): AuditDraft {
  const { id, revision, base, mode, percent, status } = canary
  const common = { canary_id: id, revision, base, mode, percent }
  if (status === 'running') {
    const { author: actor, note, agents, roles, untilAt } = canary
    const said = { ...common, state: 'started', actor, note, until: untilAt.toISOString() }
    const meant = { agents: agents && [...agents], roles: roles && [...roles] }
    return registryEntry('policy.canary', '', { ...said, ...meant, abort_when: abortJson(canary) })
  }
  const { endedBy: actor, endCode: code, endReason: reason } = canary
  return registryEntry('policy.canary', '', { ...common, state: status, actor, code, reason })
}

/** The conditions as they were given. */
export function abortJson({ abortWhen }: PolicyCanary): JsonObject {
  const { errors, denyRateX, newDenials, unplayable, late } = abortWhen
  return {
    ...(errors === null ? {} : { errors }),
    ...(denyRateX === null ? {} : { deny_rate_x: denyRateX }),
    ...(newDenials === null ? {} : { new_denials: newDenials }),
    ...(unplayable === null ? {} : { unplayable }),
    ...(late === null ? {} : { late }),
  }
}

/** Ends one that runs, on record, once; nobody who did so by hand needs to be told. */
export async function endOnRecord(
  tx: Tx,
  id: string,
  ending: CanaryEnding,
): Promise<PolicyCanary | undefined> {
  const ended = await endCanary(tx, id, ending)
  if (!ended) return undefined
  tx.append(canaryEntry(ended))
  if (ALERTING.has(ending.code)) {
    const { revision } = ended
    const message = `the canary of revision ${revision.slice(0, 12)} ended by itself: ${ending.reason}`
    raiseAlert(tx, 'canary_aborted', '', message, { canary_id: id, revision, code: ending.code })
  }
  return ended
}

const ALERTING: ReadonlySet<CanaryEnding['code']> = new Set([
  ...(['errors', 'deny_rate_x', 'new_denials', 'unplayable', 'late', 'unloadable'] as const),
])

/** What is published ends what was on trial: it is that, or what it was tried against is the policy no more. */
export async function endByPublication(tx: Tx, revision: string, by: string): Promise<void> {
  const running = await runningCanary(tx)
  if (running) await endOnRecord(tx, running.id, endingBy(running, revision, by))
}

/** How one ends by what was published. */
export function endingBy(
  running: Pick<PolicyCanary, 'revision'>,
  revision: string,
  by: string,
): CanaryEnding {
  const isIt = running.revision === revision
  const reason = isIt ? 'it is the policy' : `revision ${revision.slice(0, 12)} became the policy`
  const how = isIt
    ? ({ status: 'promoted', code: 'promoted' } as const)
    : ({ status: 'aborted', code: 'superseded' } as const)
  return { ...how, by, reason }
}
