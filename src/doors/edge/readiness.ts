import { CLOCK_SKEW_MS_MAX, type Replica } from '../../control/replica.ts'
import type { KillState } from '../../control/kill-state.ts'
import { GatewayError } from '../../errors.ts'
import type { Pipeline } from '../../pipeline/pipeline.ts'
import type { PolicyStore } from '../../policy/store.ts'
import type { Checkpointer } from '../../record/checkpoints.ts'
import type { Ledger } from '../../record/ledger.ts'
import { ping, type Db } from '../../store/tx.ts'

/** Whether one dependency is ready, and if not, why. */
export interface Readiness {
  readonly name: string
  readonly ready: boolean
  readonly detail?: string
}

export interface ReadinessParts {
  readonly db: Db
  readonly ledger: Ledger
  readonly replica: Replica
  readonly killState: KillState
  readonly policies: PolicyStore
  readonly checkpoints: Checkpointer
  readonly pipeline: Pipeline
  readonly isStopping: () => boolean
}

const NO_DATABASE = 'the database cannot be reached'
/** The database may answer questions while the ledger, which everything waits for, is held up. */
const NO_LEDGER = 'the record cannot be written'
const STALE_POLICY = 'the files on disk do not load; the last good revision is live'

/** Every dependency by name; the gate is ready when all of them are. */
export async function readiness(parts: ReadinessParts): Promise<readonly Readiness[]> {
  const { db, ledger, replica, killState, policies, checkpoints, pipeline, isStopping } = parts
  const rollback = checkpoints.refusal
  return [
    { name: 'database', ...(await asked(() => ping(db), NO_DATABASE)) },
    { name: 'ledger', ...(await asked(() => ledger.probe(), NO_LEDGER)) },
    { name: 'kill_switch', ready: killState.isKnown },
    { name: 'policy', ready: true, ...(policies.rejection ? { detail: STALE_POLICY } : {}) },
    { name: 'audit', ready: rollback === null, ...(rollback ? { detail: rollback } : {}) },
    { name: 'outcomes', ready: pipeline.unrecordedOutcomes === 0 },
    { name: 'clock', ready: Math.abs(replica.skewMs) <= CLOCK_SKEW_MS_MAX },
    { name: 'serving', ready: !isStopping() },
  ]
}

/** Why no effect may start at the moment, whatever the policy says; undefined: they may. */
export function refusal({
  checkpoints,
  replica,
}: Pick<ReadinessParts, 'checkpoints' | 'replica'>): GatewayError | undefined {
  const reason = checkpoints.refusal
  if (reason) return new GatewayError('audit_unavailable', reason)
  if (Math.abs(replica.skewMs) <= CLOCK_SKEW_MS_MAX) return undefined
  return new GatewayError('clock_skew', 'the clock of this replica differs from the database')
}

async function asked(
  probe: () => Promise<unknown>,
  detail: string,
): Promise<{ ready: boolean; detail?: string }> {
  try {
    await probe()
    return { ready: true }
  } catch {
    return { ready: false, detail }
  }
}
