import { settleBudgets, settlementsOf, spentOf } from '../agents/counters.ts'
import { ownBudgetKey } from '../agents/own-budget.ts'
import { fail as failApproval } from '../approvals/tasks.ts'
import { GatewayError } from '../errors.ts'
import type { Logger } from '../lib/log.ts'
import { microsToText } from '../lib/money.ts'
import type { JsonObject } from '../model/json.ts'
import { finishActions, type ActionOutcome, type EndedAction } from '../record/actions.ts'
import { raiseAlert } from '../record/alerts.ts'
import { insertAnswer, type StoredAnswer } from '../record/answers.ts'
import { actionEntry } from '../record/entries.ts'
import type { Ledger, LedgerKind, Tx } from '../record/ledger.ts'
import { ahead } from '../store/tx.ts'

// The end of an action on record. An outcome is written by compare-and-set on the fence of its claim, so a
// replica that was taken for dead and comes back late cannot overwrite what an operator settled. Effects
// cannot be undone; so an outcome that cannot be written is kept in memory and tried until it can, the
// caller is told `outcome_unrecorded`, and the pipeline takes no new action meanwhile.

export interface Finish {
  readonly outcome: ActionOutcome
  readonly requestId: string
  /** HTTP status of the upstream's answer, or null. */
  readonly upstreamStatus: number | null
  /** What it cost, when that is neither nothing nor what was charged; never more than that. */
  readonly spentMicros?: bigint
  readonly detail?: JsonObject
  /** The answer in clear, sealed for the agent, where the record has it masked. */
  readonly sealed?: StoredAnswer | undefined
}

/**
 * Outcomes, made durable before the agent hears of them. Succeeded actions spend their charges,
 * failed ones give them back, indeterminate ones keep them until an operator settles them.
 */
export const FINISH: LedgerKind<Finish, EndedAction, Promise<Map<string, EndedAction>>> = {
  name: 'finish',
  order: 1,
  lane: 'outcome',
  begin(tx, finishes) {
    return ahead(
      finishActions(
        tx,
        finishes.map(({ outcome }) => outcome),
      ),
    )
  },
  async apply(tx, finishes, begun) {
    const rows = await begun
    for (const finish of finishes) {
      const action = rows.get(finish.outcome.id)
      if (action) record(tx, finish, action)
    }
    settleBudgets(
      tx,
      finishes.flatMap((finish) => settlements(finish, rows.get(finish.outcome.id))),
    )
    return finishes.map(
      ({ outcome }) =>
        rows.get(outcome.id) ??
        new GatewayError('conflict', 'the action is no longer executing on this replica'),
    )
  },
}

function settlements({ spentMicros }: Finish, action: EndedAction | undefined) {
  if (!action || action.state === 'indeterminate') return []
  const isSpent = spentMicros !== undefined || action.state === 'succeeded'
  return settlementsOf(action, isSpent ? 'settle' : 'release', spentMicros)
}

function record(tx: Tx, finish: Finish, action: EndedAction): void {
  const detail = {
    request_id: finish.requestId,
    state: action.state,
    upstream: action.upstream,
    upstream_status: finish.upstreamStatus,
    ...finish.detail,
    ...(finish.spentMicros === undefined
      ? {}
      : { spent: microsToText(spentOf(action, ownBudgetKey(action.agentId), finish.spentMicros)) }),
    ...(action.errorCode === '' ? {} : { error: action.errorCode, message: action.errorMessage }),
  }
  tx.append(actionEntry('outcome', action, detail))
  if (finish.sealed && action.idempotencyKey !== null) insertAnswer(tx, finish.sealed)
  if (action.state === 'failed' && action.effect === 'require_approval') failApproval(tx, action.id)
  if (action.state === 'failed') failureAlert(tx, finish, action)
  if (action.state !== 'indeterminate') return
  const message = `the outcome of ${action.tool} is unknown: ${action.errorMessage}`
  raiseAlert(tx, 'action_indeterminate', action.agentId, message, { action_id: action.id })
}

const SERVER_ERROR = 500

// An upstream that says no has answered; one that breaks is something a person should look at.
function failureAlert(tx: Tx, finish: Finish, action: EndedAction): void {
  const { upstreamStatus } = finish
  const isBroken = upstreamStatus === null || upstreamStatus >= SERVER_ERROR
  if (!isBroken || action.errorCode === 'kill_switch_engaged') return
  const why =
    upstreamStatus === null ? action.errorMessage : `the upstream answered ${upstreamStatus}`
  const message = `${action.tool} failed: ${why}`
  raiseAlert(tx, 'action_failed', action.agentId, message, { action_id: action.id })
}

const RETRY_OUTCOME_MS = 250

/** Outcomes on their way to the record: one that cannot be written is kept and tried again until it can. */
export class Outcomes {
  readonly #ledger: Ledger
  readonly #log: Logger
  readonly #unrecorded = new Set<Finish>()

  constructor(ledger: Ledger, log: Logger) {
    this.#ledger = ledger
    this.#log = log
  }

  /** How many have happened and are not on record. */
  get unrecorded(): number {
    return this.#unrecorded.size
  }

  /** @throws GatewayError `outcome_unrecorded`: it happened, and cannot be recorded yet */
  async record(finish: Finish): Promise<EndedAction> {
    try {
      return await this.#ledger.submit(FINISH, finish)
    } catch (error) {
      this.#log.error({ err: error, action: finish.outcome.id }, 'outcome not recorded')
      this.#unrecorded.add(finish)
      void this.#keepTrying(finish)
      throw new GatewayError(
        'outcome_unrecorded',
        'the action was carried out, but its outcome could not be recorded yet',
        { cause: error, details: { action_id: finish.outcome.id } },
      )
    }
  }

  async #keepTrying(finish: Finish): Promise<void> {
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, RETRY_OUTCOME_MS).unref())
      try {
        await this.#ledger.submit(FINISH, finish)
      } catch (error) {
        // A conflict means it is settled already, by an operator or by an earlier try.
        if (!(error instanceof GatewayError && error.code === 'conflict')) continue
      }
      this.#unrecorded.delete(finish)
      return
    }
  }
}
