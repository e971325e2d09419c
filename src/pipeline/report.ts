import type { Caller } from '../agents/keys.ts'
import { Counters, settleBudgets, type Crossing, type Held } from '../agents/counters.ts'
import { overOwnLimit, ownReservation } from '../agents/own-budget.ts'
import { agentStates, setAgentStatus, type AgentState } from '../agents/registry.ts'
import { covers } from '../control/kill-state.ts'
import { ERRORS, GatewayError, type ErrorCode } from '../errors.ts'
import { newId } from '../lib/ids.ts'
import { microsToText } from '../lib/money.ts'
import type { Reason } from '../model/decision.ts'
import type { Json, JsonObject } from '../model/json.ts'
import { raiseAlert } from '../record/alerts.ts'
import type { LedgerKind, Tx } from '../record/ledger.ts'
import { insertReports, type ReportRow } from '../record/reports.ts'

/** An action that an agent takes by itself and asks the gate to account for, before it takes it. */
export interface Report {
  readonly agentId: string
  readonly agentName: string
  readonly type: string
  readonly target: string
  readonly costMicros: bigint
  readonly outcome: 'success' | 'failure'
  readonly metadata: Json
  readonly caller: Caller
}

export interface Reported {
  readonly row: ReportRow
  /** Of the agent's month, after this one; null limit: no budget of its own. */
  readonly spentMicros: bigint
  readonly limitMicros: bigint | null
}

/**
 * Reports, judged in order within a batch against kill switch, status, per-action limit and monthly
 * budget. What is accepted is spent at once; the first that goes over the budget pauses the agent and
 * raises one alert. A refusal is on record too.
 */
export const REPORT: LedgerKind<Report, Reported> = {
  name: 'report',
  order: 2,
  async apply(tx, reports) {
    return new ReportBatch(tx).run(reports)
  },
}

class ReportBatch {
  readonly #tx: Tx
  readonly #rows: ReportRow[] = []
  readonly #held: Held[] = []
  readonly #pauses = new Map<string, Reason>()
  readonly #crossings: { agentId: string; crossing: Crossing }[] = []
  #states = new Map<string, AgentState>()

  constructor(tx: Tx) {
    this.#tx = tx
  }

  async run(reports: readonly Report[]): Promise<(Reported | GatewayError)[]> {
    const tx = this.#tx
    this.#states = await agentStates(tx, [...new Set(reports.map(({ agentId }) => agentId))])
    const counters = await Counters.load(tx, this.#reservations(reports))
    const results = reports.map((report) => this.#judge(report, counters))
    await insertReports(tx, this.#rows)
    await counters.flush(tx)
    await settleBudgets(
      tx,
      this.#held.map((one) => ({ ...one, outcome: 'settle' as const })),
    )
    await this.#alert(reports)
    return results
  }

  #reservations(reports: readonly Report[]) {
    return reports.flatMap((report) => {
      const state = this.#states.get(report.agentId)
      return state ? [ownReservation(state, report.costMicros)] : []
    })
  }

  #judge(report: Report, counters: Counters): Reported | GatewayError {
    const state = this.#states.get(report.agentId)
    if (!state) return new GatewayError('not_found', 'the agent of this report is gone')
    const reservation = ownReservation(state, report.costMicros)
    const refusal = this.#refusal(report, state, () => counters.fits(reservation))
    if (refusal) return this.#refuse(report, refusal)
    const { held, crossings } = counters.take(reservation)
    if (held && report.costMicros > 0n) this.#held.push(held)
    for (const crossing of crossings) this.#crossings.push({ agentId: state.id, crossing })
    const row = this.#accept(report)
    return { row, spentMicros: counters.used(reservation), limitMicros: state.monthlyBudget }
  }

  #refusal(report: Report, state: AgentState, fits: () => boolean): Reason | undefined {
    const { agentId, agentName, type } = report
    const target = { agentId, agentName, tool: type, upstream: '' }
    const killed = this.#tx.killRows.find((row) => covers(row, target))
    if (killed) return reason('kill_switch_engaged', `the kill switch is engaged: ${killed.reason}`)
    const status = this.#pauses.has(agentId) ? 'paused' : state.status
    if (status !== 'active') return reason('agent_paused', `the agent is ${status}`)
    const tooDear = overOwnLimit(state, report.costMicros)
    if (tooDear) return tooDear
    if (fits()) return undefined
    const { exceeded, pausesAgent } = ownReservation(state, report.costMicros)
    if (pausesAgent) this.#pauses.set(agentId, exceeded)
    return exceeded
  }

  #refuse(report: Report, why: Reason): GatewayError {
    const { type, target, costMicros } = report
    this.#tx.append({
      kind: 'report.refused',
      agentId: report.agentId,
      tool: type,
      effect: 'deny',
      actionId: '',
      detail: { ...detailOf(report), target, cost: microsToText(costMicros), code: why.code },
    })
    const code = why.code in ERRORS ? (why.code as ErrorCode) : 'policy_denied'
    return new GatewayError(code, why.message, {
      details: { reasons: [{ code: why.code, message: why.message, source: why.source }] },
    })
  }

  #accept(report: Report): ReportRow {
    const { nowMs } = this.#tx
    const { agentId, type, target, costMicros, outcome, metadata } = report
    const row: ReportRow = {
      id: newId('rpt', nowMs),
      agent_id: agentId,
      type,
      target,
      cost: costMicros,
      outcome,
      metadata: JSON.stringify(metadata),
      at: new Date(nowMs),
    }
    this.#rows.push(row)
    this.#tx.append({
      kind: 'report.accepted',
      agentId,
      tool: type,
      effect: 'allow',
      actionId: '',
      detail: {
        ...detailOf(report),
        report_id: row.id,
        target,
        cost: microsToText(costMicros),
        outcome,
      },
    })
    return row
  }

  async #alert(reports: readonly Report[]): Promise<void> {
    const tx = this.#tx
    for (const [agentId, why] of this.#pauses) await pauseForBudget(tx, agentId, why)
    for (const { agentId, crossing } of this.#crossings) await thresholdAlert(tx, agentId, crossing)
    const failed = this.#rows.filter(({ outcome }) => outcome === 'failure')
    for (const { agent_id: agentId, id, type, target } of failed) {
      const name = reports.find((one) => one.agentId === agentId)?.agentName ?? agentId
      const message = `${type} on ${target} failed, says ${name}`
      await raiseAlert(tx, 'action_failed', agentId, message, { report_id: id })
    }
  }
}

/** Pauses an agent that went over its budget, with the one alert that goes with it. */
export async function pauseForBudget(tx: Tx, agentId: string, why: Reason): Promise<void> {
  await setAgentStatus(tx, agentId, 'paused', why.message)
  tx.append({
    kind: 'agent.paused',
    agentId,
    tool: '',
    effect: '',
    actionId: '',
    detail: { reason: why.message, actor: 'portcullis', source: why.source },
  })
  await raiseAlert(tx, 'budget_exceeded', agentId, why.message, { source: why.source })
}

export async function thresholdAlert(tx: Tx, agentId: string, crossing: Crossing): Promise<void> {
  const { key, percent, limit, used } = crossing
  const message = `${percent} % of budget ${key} is used: ${microsToText(used)} of ${microsToText(limit)}`
  const details: JsonObject = { budget: key, percent }
  await raiseAlert(tx, 'budget_threshold', agentId, message, details)
}

function detailOf({ agentName, caller, type }: Report): JsonObject {
  return { agent_name: agentName, type, actor: caller.name, key_id: caller.keyId }
}

function reason(code: string, message: string): Reason {
  return { code, message, effect: 'deny', source: 'portcullis' }
}
