import type { Crossing } from '../agents/counters.ts'
import { setAgentStatus } from '../agents/registry.ts'
import { microsToText } from '../lib/money.ts'
import type { Reason } from '../model/decision.ts'
import type { JsonObject } from '../model/json.ts'
import { raiseAlert } from '../record/alerts.ts'
import type { Tx } from '../record/ledger.ts'
import type { Judged, Verdict } from './admission.ts'

/** What a verdict means for its agent beyond the action: a pause, and alerts of thresholds it crossed. */
export async function bearConsequences<D extends Judged>(
  tx: Tx,
  agentId: string,
  { pause, crossed }: Pick<Verdict<D>, 'pause' | 'crossed'>,
): Promise<void> {
  if (pause) await pauseForBudget(tx, agentId, pause)
  for (const crossing of crossed) await thresholdAlert(tx, agentId, crossing)
}

/** Pauses an agent that went over its budget, with the one alert that goes with it. */
async function pauseForBudget(tx: Tx, agentId: string, why: Reason): Promise<void> {
  await setAgentStatus(tx, agentId, 'paused', why.message)
  tx.append({
    kind: 'agent.paused',
    agentId,
    tool: '',
    effect: '',
    actionId: '',
    detail: { reason: why.message, actor: 'portcullis', source: why.source },
  })
  raiseAlert(tx, 'budget_exceeded', agentId, why.message, { source: why.source })
}

async function thresholdAlert(tx: Tx, agentId: string, crossing: Crossing): Promise<void> {
  const { key, percent, limit, used } = crossing
  const message = `${percent} % of budget ${key} is used: ${microsToText(used)} of ${microsToText(limit)}`
  const details: JsonObject = { budget: key, percent }
  raiseAlert(tx, 'budget_threshold', agentId, message, details)
}
