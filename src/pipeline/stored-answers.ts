import { performance } from 'node:perf_hooks'
import { approvalOfAction, type ApprovalRow } from '../approvals/tasks.ts'
import { GatewayError } from '../errors.ts'
import type { Logger } from '../lib/log.ts'
import type { Seal } from '../lib/seal.ts'
import type { Reason } from '../model/decision.ts'
import { findAction, isFinal, markCollected, type ActionRow } from '../record/actions.ts'
import type { EventStream } from '../record/events.ts'
import type { Ledger } from '../record/ledger.ts'
import type { Db } from '../store/tx.ts'
import { answerWith, heldAnswer, identify, reasonsOf } from './answers.ts'
import type { Claim } from './claim.ts'
import { ClearAnswers } from './clear-answers.ts'
import type { StoredResult } from '../model/result.ts'
import type { Answer, Submission } from './submission.ts'

const POLL_HELD_MS = 500
const WAIT_MS_MAX = 60_000

export interface StoredAnswersParts {
  readonly db: Db
  readonly ledger: Ledger
  readonly events: EventStream
  readonly log: Logger
}

/** Answers from actions on record: to those who wait, repeat a request, or come back for its outcome. */
export class StoredAnswers {
  readonly #parts: StoredAnswersParts
  readonly #clear: ClearAnswers

  constructor(parts: StoredAnswersParts) {
    this.#parts = parts
    this.#clear = new ClearAnswers(parts.db)
  }

  /** Keeps what an upstream said for whoever comes back, where the record has it masked. */
  remember(actionId: string, result: StoredResult): void {
    this.#clear.remember(actionId, result)
  }

  /** What it answers now; waits for a held one up to `waitMs`. */
  async of(row: ActionRow, waitMs: number): Promise<Answer> {
    return this.#fromRow(await this.#settled(row, waitMs))
  }

  /** The same, for the agent whose action it is, which has seen then how it ended. */
  async collected(row: ActionRow, { waitMs, seal }: Submission): Promise<Answer> {
    const settled = await this.#settled(row, waitMs)
    await this.noteCollected(settled)
    return this.#fromRow(settled, seal)
  }

  /** What was just held, or what became of it while the agent waited. */
  async held(
    claim: Claim,
    approval: ApprovalRow,
    reasons: readonly Reason[],
    submission: Submission,
  ): Promise<Answer> {
    const answer = heldAnswer(claim, approval, reasons)
    if (submission.waitMs <= 0) return answer
    const row = await findAction(this.#parts.db, claim.actionId)
    return row ? this.collected(row, submission) : answer
  }

  /** The same request without a key, held before: this is that one. */
  async joined(row: ActionRow, submission: Submission): Promise<Answer> {
    const answer = await this.collected(row, submission)
    return answer.type === 'dry_run' ? answer : { ...answer, joined: true }
  }

  /** Remembers that the agent has seen how a held action ended, if it has ended. */
  async noteCollected(row: ActionRow): Promise<void> {
    if (row.effect !== 'require_approval' || row.collected_at !== null || !isFinal(row)) return
    try {
      await this.#parts.ledger.write((tx) => markCollected(tx, [row.id]))
    } catch (error) {
      // At worst the same request is answered with this outcome once more.
      this.#parts.log.warn({ err: error, action: row.id }, 'not noted as collected')
    }
  }

  /** The same request under the same key. @throws GatewayError `in_flight` */
  async replay(action: ActionRow, { waitMs, seal }: Submission): Promise<Answer> {
    const row = await this.#settled(action, waitMs)
    if (row.state === 'executing') {
      throw new GatewayError(
        'in_flight',
        'the first request with this Idempotency-Key is under way',
        {
          retryAfterS: 1,
          details: { action_id: action.id },
        },
      )
    }
    return this.#fromRow(row, seal)
  }

  /** The row once it is final, or as it is when the wait is over. */
  async #settled(row: ActionRow, waitMs: number): Promise<ActionRow> {
    const { db, events } = this.#parts
    const deadline = performance.now() + Math.min(waitMs, WAIT_MS_MAX)
    let current = row
    while (!isFinal(current) && current.state !== 'indeterminate') {
      const left = deadline - performance.now()
      if (left <= 0) return current
      await nextEvent(events, row.id, Math.min(left, POLL_HELD_MS))
      current = (await findAction(db, row.id)) ?? current
    }
    return current
  }

  async #fromRow(row: ActionRow, seal?: Seal | null): Promise<Answer> {
    if (row.state === 'held' || row.state === 'executing') {
      const approval = await approvalOfAction(this.#parts.db, row.id)
      if (approval) return heldAnswer(identify(row), approval, reasonsOf(row))
    }
    return answerWith(row, await this.#clear.find(row, seal))
  }
}

function nextEvent(events: EventStream, actionId: string, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      unsubscribe()
      resolve()
    }
    const timer = setTimeout(done, timeoutMs)
    const unsubscribe = events.subscribe((entry) => {
      if (entry.actionId === actionId) done()
    })
  })
}
