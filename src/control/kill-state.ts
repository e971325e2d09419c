import type { EngagedSwitch } from '../store/tx.ts'
import { namesTool } from './scope.ts'

/** What an action touches, as a kill switch sees it. */
export interface KillTarget {
  readonly agentId: string
  readonly agentName: string
  readonly tool: string
  readonly upstream: string
}

/** What an action touches: whose, which tool, on which upstream. */
export function killTargetOf({
  agent,
  request,
  upstream,
}: {
  readonly agent: { readonly id: string; readonly name: string }
  readonly request: { readonly action: { readonly name: string } }
  readonly upstream: string
}): KillTarget {
  return { agentId: agent.id, agentName: agent.name, tool: request.action.name, upstream }
}

export type KillVerdict =
  | { readonly blocked: false }
  | { readonly blocked: true; readonly code: 'kill_switch_engaged'; readonly row: EngagedSwitch }
  | { readonly blocked: true; readonly code: 'kill_state_unknown' }

const FREE: KillVerdict = { blocked: false }
const UNKNOWN: KillVerdict = { blocked: true, code: 'kill_state_unknown' }

/**
 * Whether an engaged switch covers the target. Scopes hold agents by id; one that was engaged while the
 * database could not be asked has what was sent, which may be a name.
 */
export function covers(row: EngagedSwitch, target: KillTarget): boolean {
  return (
    (row.agent === '' || row.agent === target.agentId || row.agent === target.agentName) &&
    namesTool(row.tool, target.tool) &&
    (row.upstream === '' || row.upstream === target.upstream)
  )
}

/**
 * What this replica knows of the kill switch, asked synchronously right before bytes leave.
 * Knowledge ages: without a renewal inside the lease the state is unknown, and unknown is engaged.
 */
export class KillState {
  #rows: readonly EngagedSwitch[] = []
  #local: readonly EngagedSwitch[] = []
  #epoch = -1n
  #validUntil = 0

  get epoch(): bigint {
    return this.#epoch
  }

  get rows(): readonly EngagedSwitch[] {
    return [...this.#rows, ...this.#local]
  }

  get isKnown(): boolean {
    return performance.now() < this.#validUntil
  }

  /** Takes over what the database says; older knowledge never replaces newer. */
  apply(epoch: bigint, rows: readonly EngagedSwitch[]): void {
    if (epoch < this.#epoch) return
    this.#epoch = epoch
    this.#rows = rows
  }

  /** `until` is a `performance.now()` time. */
  extendLease(until: number): void {
    this.#validUntil = Math.max(this.#validUntil, until)
  }

  /** Engages on this replica alone, while the database cannot be reached. */
  engageLocally(row: EngagedSwitch): void {
    this.#local = [...this.#local, row]
  }

  dropLocal(row: EngagedSwitch): void {
    this.#local = this.#local.filter((one) => one !== row)
  }

  /** Whether it is still engaged here alone: a release of its scope takes that back too. */
  isLocal(row: EngagedSwitch): boolean {
    return this.#local.includes(row)
  }

  /** Takes back what was engaged here alone with exactly this scope; whether there was any. */
  releaseLocally({ agent, tool, upstream }: EngagedSwitch): boolean {
    const before = this.#local.length
    this.#local = this.#local.filter(
      (one) => one.agent !== agent || one.tool !== tool || one.upstream !== upstream,
    )
    return this.#local.length < before
  }

  check(target: KillTarget): KillVerdict {
    if (!this.isKnown) return UNKNOWN
    for (const rows of [this.#rows, this.#local]) {
      const row = rows.find((one) => covers(one, target))
      if (row) return { blocked: true, code: 'kill_switch_engaged', row }
    }
    return FREE
  }
}
