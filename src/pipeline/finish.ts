import { settleBudgets, settlementsOf } from '../agents/counters.ts'
import { fail as failApproval } from '../approvals/tasks.ts'
import { GatewayError } from '../errors.ts'
import type { Logger } from '../lib/log.ts'
import type { JsonObject } from '../model/json.ts'
import { finishActions, type ActionOutcome, type ActionRow } from '../record/actions.ts'
import { raiseAlert } from '../record/alerts.ts'
import { insertAnswer, type StoredAnswer } from '../record/answers.ts'
import { actionEntry } from '../record/entries.ts'
import type { Ledger, LedgerKind, Tx } from '../record/ledger.ts'

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
export const FINISH: LedgerKind<Finish, ActionRow> = {
  name: 'finish',
  order: 1,
  async apply(tx, finishes) {
    const rows = await finishActions(
      tx,
      finishes.map(({ outcome }) => outcome),
    )
    for (const finish of finishes) {
      const row = rows.get(finish.outcome.id)
      if (row) await record(tx, finish, row)
    }
    await settleBudgets(
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

function settlements({ spentMicros }: Finish, row: ActionRow | undefined) {
  if (!row || row.state === 'indeterminate') return []
  const isSpent = spentMicros !== undefined || row.state === 'succeeded'
  return settlementsOf(row, isSpent ? 'settle' : 'release', spentMicros)
}

async function record(tx: Tx, finish: Finish, row: ActionRow): Promise<void> {
  const detail = {
    request_id: finish.requestId,
    state: row.state,
    upstream: row.upstream,
    upstream_status: finish.upstreamStatus,
    ...finish.detail,
    ...(row.error_code === '' ? {} : { error: row.error_code, message: row.error_message }),
  }
  tx.append(actionEntry('outcome', row, detail))
  if (finish.sealed && row.idempotency_key !== null) await insertAnswer(tx, finish.sealed)
  if (row.state === 'failed' && row.effect === 'require_approval') await failApproval(tx, row.id)
  if (row.state === 'failed') await failureAlert(tx, finish, row)
  if (row.state !== 'indeterminate') return
  const message = `the outcome of ${row.tool} is unknown: ${row.error_message}`
  await raiseAlert(tx, 'action_indeterminate', row.agent_id, message, { action_id: row.id })
}

const SERVER_ERROR = 500

// An upstream that says no has answered; one that breaks is something a person should look at.
async function failureAlert(tx: Tx, finish: Finish, row: ActionRow): Promise<void> {
  const { upstreamStatus } = finish
  const isBroken = upstreamStatus === null || upstreamStatus >= SERVER_ERROR
  if (!isBroken || row.error_code === 'kill_switch_engaged') return
  const why =
    upstreamStatus === null ? row.error_message : `the upstream answered ${upstreamStatus}`
  const message = `${row.tool} failed: ${why}`
  await raiseAlert(tx, 'action_failed', row.agent_id, message, { action_id: row.id })
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
  async record(finish: Finish): Promise<ActionRow> {
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
