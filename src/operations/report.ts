import type { Caller } from '../agents/keys.ts'
import { type Charge, Counters, settleBudgets } from '../agents/counters.ts'
import { ownReservation } from '../agents/own-budget.ts'
import { agentStates, type AgentState } from '../agents/registry.ts'
import { ERRORS, GatewayError, type ErrorCode } from '../errors.ts'
import { newId } from '../lib/ids.ts'
import { microsToText } from '../lib/money.ts'
import type { Reason } from '../model/decision.ts'
import type { Json, JsonObject } from '../model/json.ts'
import { raiseAlert } from '../record/alerts.ts'
import type { LedgerKind, Tx } from '../record/ledger.ts'
import { insertReports, type RecordedReport } from '../record/reports.ts'
import { admit, type Judged, type Verdict } from '../pipeline/admission.ts'
import { bearConsequences } from '../pipeline/consequences.ts'

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
  readonly row: RecordedReport
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
  lane: 'work',
  agentOf: ({ agentId }) => agentId,
  async apply(tx, reports) {
    return new ReportBatch(tx).run(reports)
  },
}

/** No policy is asked: the agent has its means already, and the gate accounts for it. */
const REPORTED: Judged = { effect: 'allow', reasons: [], shadow: [], reservations: [] }

class ReportBatch {
  readonly #tx: Tx
  readonly #rows: RecordedReport[] = []
  readonly #charges: Charge[] = []
  readonly #consequences: { agentId: string; verdict: Verdict<Judged> }[] = []
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
    counters.flush(tx)
    settleBudgets(
      tx,
      this.#charges.map((one) => ({ ...one, outcome: 'settle' as const })),
    )
    for (const { agentId, verdict } of this.#consequences) {
      await bearConsequences(tx, agentId, verdict)
    }
    await this.#alert(reports)
    return results
  }

  // Of the month even where nothing is taken from it: the answer says what is spent.
  #reservations(reports: readonly Report[]) {
    return reports.flatMap((report) => {
      const state = this.#states.get(report.agentId)
      return state ? [ownReservation(state, report.costMicros)] : []
    })
  }

  #judge(report: Report, counters: Counters): Reported | GatewayError {
    const { agentId, agentName, type, costMicros } = report
    const state = this.#states.get(agentId)
    if (!state) return new GatewayError('not_found', 'the agent of this report is gone')
    const target = { agentId, agentName, tool: type, upstream: '' }
    const verdict = admit(
      { decision: REPORTED, costMicros, target, stage: 'accounted' },
      { switches: this.#tx.switches, agent: state, counters },
    )
    this.#charges.push(...counters.takeAll(verdict.taken))
    this.#note(state, verdict)
    const [refusal] = verdict.reasons
    if (refusal) return this.#refuse(report, refusal)
    const spentMicros = counters.used(ownReservation(state, costMicros))
    return { row: this.#accept(report), spentMicros, limitMicros: state.monthlyBudget }
  }

  #note(state: AgentState, verdict: Verdict<Judged>): void {
    if (!verdict.pause && verdict.crossed.length === 0) return
    this.#consequences.push({ agentId: state.id, verdict })
    if (verdict.pause) this.#states.set(state.id, { ...state, status: 'paused' })
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

  #accept(report: Report): RecordedReport {
    const { nowMs } = this.#tx
    const { agentId, type, target, costMicros, outcome, metadata } = report
    const row: RecordedReport = {
      id: newId('rpt', nowMs),
      agentId,
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
    const failed = this.#rows.filter(({ outcome }) => outcome === 'failure')
    for (const { agentId, id, type, target } of failed) {
      const name = reports.find((one) => one.agentId === agentId)?.agentName ?? agentId
      const message = `${type} on ${target} failed, says ${name}`
      raiseAlert(tx, 'action_failed', agentId, message, { report_id: id })
    }
  }
}

function detailOf({ agentName, caller, type }: Report): JsonObject {
  return { agent_name: agentName, type, actor: caller.name, key_id: caller.keyId }
}
