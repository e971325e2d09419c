import { GatewayError } from '../errors.ts'
import type { Logger } from '../lib/log.ts'
import type { ActionRow } from '../record/actions.ts'
import type { Ledger } from '../record/ledger.ts'
import { FINISH, type Finish } from './finish.ts'

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
