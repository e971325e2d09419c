import { performance } from 'node:perf_hooks'
import { LRUCache } from 'lru-cache'
import { approvalOfAction, type ApprovalRow } from '../approvals/tasks.ts'
import { ERRORS, GatewayError, type ErrorCode } from '../errors.ts'
import type { Logger } from '../lib/log.ts'
import type { Seal } from '../lib/seal.ts'
import type { Decision, Reason } from '../model/decision.ts'
import { wireCode } from '../model/reason.ts'
import type { StoredResult } from '../model/result.ts'
import { findAction, isFinal, markCollected, stored, type ActionRow } from '../record/actions.ts'
import { storedAnswer, type StoredAnswer } from '../record/answers.ts'
import type { EventStream } from '../record/events.ts'
import type { Ledger } from '../record/ledger.ts'
import type { Db } from '../store/tx.ts'
import type { Claim, ClaimResult } from './claim.ts'
import type { Answer, Submission } from './submission.ts'

// How an action on record is answered: to who repeats the request under its key, waits for an approval, or
// comes back. The row is the truth, so any replica can answer; waiting is for the event of the action, with
// a slow poll beside it in case the event is late. The one thing a row may not have is an upstream's answer
// in clear, which is why this replica keeps some for a while (`ClearAnswers`).

/** What a recorded action answers now; `clear` is what the upstream said, where that is not what is on record. */
export function answerWith(row: ActionRow, clear: StoredResult | null): Answer {
  const result = clear ?? (stored(row.result) as unknown as StoredResult | null)
  if ((row.state === 'succeeded' || row.state === 'failed') && result) {
    return { type: 'executed', ...identify(row), state: row.state, result }
  }
  const { code, message } = endOf(row)
  return {
    type: 'refused',
    ...identify(row),
    code,
    message,
    reasons: row.state === 'denied' ? reasonsOf(row) : [],
  }
}

export const reasonsOf = (row: ActionRow): readonly Reason[] =>
  (JSON.parse(row.explain) as { reasons: Reason[] }).reasons

export function identify(row: ActionRow) {
  return { actionId: row.id, decisionId: row.decision_id, revision: row.revision }
}

export function heldAnswer(
  of: { actionId: string; decisionId: string; revision?: string; decision?: Decision },
  approval: ApprovalRow,
  reasons: readonly Reason[],
): Answer {
  return {
    type: 'held',
    actionId: of.actionId,
    decisionId: of.decisionId,
    revision: of.revision ?? of.decision?.revision ?? approval.revision,
    approval: { id: approval.id, status: approval.status, expiresAt: approval.expires_at },
    reasons,
  }
}

export function refused(claim: Claim, reasons: readonly Reason[]): Answer & { type: 'refused' } {
  const [first] = reasons
  return {
    type: 'refused',
    actionId: claim.actionId,
    decisionId: claim.decisionId,
    revision: claim.decision.revision,
    code: first ? (wireCode(first) as ErrorCode) : 'policy_denied',
    message: first?.message.toWellFormed() ?? 'the policy denies this action',
    reasons,
  }
}

export const retryAt = ({ retryAtMs }: { readonly retryAtMs?: number | undefined }) =>
  retryAtMs === undefined ? {} : { retryAtMs }

export function dryRun(claim: Claim, result: Extract<ClaimResult, { type: 'dry_run' }>): Answer {
  const { trace, revision } = claim.decision
  const { effect, reasons, shadow } = result
  return { type: 'dry_run', decisionId: claim.decisionId, revision, effect, reasons, shadow, trace }
}

function endOf(row: ActionRow): { code: ErrorCode; message: string } {
  if (row.state === 'expired') return { code: 'policy_denied', message: 'the approval expired' }
  if (row.state === 'cancelled')
    return { code: 'policy_denied', message: row.error_message || 'the action was cancelled' }
  if (row.state === 'executing') return { code: 'in_flight', message: 'the action is under way' }
  const known = row.error_code in ERRORS
  const code = known ? (row.error_code as ErrorCode) : 'policy_denied'
  return { code, message: row.error_message || 'the action did not happen' }
}

export interface StoredAnswersParts {
  readonly db: Db
  readonly ledger: Ledger
  readonly events: EventStream
  readonly log: Logger
}

const POLL_HELD_MS = 500
const WAIT_MS_MAX = 60_000

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

// The record of a masked answer cannot give it to the agent again. So the replica that carried an action out has it in
// memory for a while, for an agent that waits or comes back; and where the request came with an `Idempotency-Key`, it
// is stored sealed with the API key that was presented, as answers with keys in them are (docs/decisions/004). Whoever
// comes later, or with another key after a restart, gets the answer as it is on record.

const ANSWERS_MAX = 1_000
const BYTES_MAX = 32 * 1024 * 1024
const KEPT_MS = 15 * 60_000

export class ClearAnswers {
  readonly #db: Db
  readonly #recent = new LRUCache<string, StoredResult>({
    max: ANSWERS_MAX,
    maxSize: BYTES_MAX,
    ttl: KEPT_MS,
    sizeCalculation: ({ text = '', base64 = '' }) => text.length + base64.length + 1,
  })

  constructor(db: Db) {
    this.#db = db
  }

  remember(actionId: string, result: StoredResult): void {
    this.#recent.set(actionId, result)
  }

  /** The answer in clear, if this replica has it still or the caller can open it. */
  async find(row: ActionRow, seal: Seal | null | undefined): Promise<StoredResult | null> {
    if (row.result === '') return null
    const recent = this.#recent.get(row.id)
    if (recent || !seal || row.idempotency_key === null) return recent ?? null
    const kept = await storedAnswer(this.#db, [holderOf(row.id)], row.idempotency_key)
    if (!kept) return null
    try {
      return JSON.parse(seal.open(kept.sealed)) as StoredResult
    } catch {
      return null // sealed with another key of the same agent
    }
  }
}

/** The answer as it is stored for whoever repeats the request; undefined where nobody could open it. */
export function sealedAnswer(claim: Claim, result: StoredResult): StoredAnswer | undefined {
  const { seal, idempotencyKey, actionId, requestHash } = claim
  if (!seal || idempotencyKey === null) return undefined
  return {
    key_id: holderOf(actionId),
    key: idempotencyKey,
    request_hash: requestHash,
    sealed: seal.close(JSON.stringify(result)),
  }
}

/** No holder of an API key is called so. */
const holderOf = (actionId: string): string => `action:${actionId}`
