import { performance } from 'node:perf_hooks'
import { LRUCache } from 'lru-cache'
import { approvalOfAction, type Approval } from '../approvals/tasks.ts'
import { ERRORS, GatewayError, type ErrorCode } from '../errors.ts'
import type { Logger } from '../lib/log.ts'
import type { Seal } from '../lib/seal.ts'
import type { Decision, Reason } from '../model/decision.ts'
import { wireCode } from '../model/reason.ts'
import type { StoredResult } from '../model/result.ts'
import {
  findAction,
  isFinal,
  markCollected,
  stored,
  type Action,
  type EndedAction,
} from '../record/actions.ts'
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

/** An action on record, or one that has just ended, whose answer is at hand. */
type Answerable = EndedAction & Partial<Pick<Action, 'explain' | 'result'>>

/** What a recorded action answers now; `clear` is what the upstream said, where that is not what is on record. */
export function answerWith(action: Answerable, clear: StoredResult | null): Answer {
  const result = clear ?? (stored(action.result ?? '') as unknown as StoredResult | null)
  if ((action.state === 'succeeded' || action.state === 'failed') && result) {
    return { type: 'executed', ...identify(action), state: action.state, result }
  }
  const { code, message } = endOf(action)
  return {
    type: 'refused',
    ...identify(action),
    code,
    message,
    reasons: action.state === 'denied' ? reasonsOf(action) : [],
  }
}

export const reasonsOf = ({ explain }: Pick<Answerable, 'explain'>): readonly Reason[] =>
  explain === undefined ? [] : (JSON.parse(explain) as { reasons: Reason[] }).reasons

export function identify(action: EndedAction) {
  return { actionId: action.id, decisionId: action.decisionId, revision: action.revision }
}

export function heldAnswer(
  of: { actionId: string; decisionId: string; revision?: string; decision?: Decision },
  approval: Approval,
  reasons: readonly Reason[],
): Answer {
  return {
    type: 'held',
    actionId: of.actionId,
    decisionId: of.decisionId,
    revision: of.revision ?? of.decision?.revision ?? approval.revision,
    approval: { id: approval.id, status: approval.status, expiresAt: approval.expiresAt },
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

function endOf(action: EndedAction): { code: ErrorCode; message: string } {
  if (action.state === 'expired') return { code: 'policy_denied', message: 'the approval expired' }
  if (action.state === 'cancelled')
    return { code: 'policy_denied', message: action.errorMessage || 'the action was cancelled' }
  if (action.state === 'executing') return { code: 'in_flight', message: 'the action is under way' }
  const known = action.errorCode in ERRORS
  const code = known ? (action.errorCode as ErrorCode) : 'policy_denied'
  return { code, message: action.errorMessage || 'the action did not happen' }
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
  async of(action: Action, waitMs: number): Promise<Answer> {
    return this.#fromAction(await this.#settled(action, waitMs))
  }

  /** The same, for the agent whose action it is, which has seen then how it ended. */
  async collected(action: Action, { waitMs, seal }: Submission): Promise<Answer> {
    const settled = await this.#settled(action, waitMs)
    await this.noteCollected(settled)
    return this.#fromAction(settled, seal)
  }

  /** What was just held, or what became of it while the agent waited. */
  async held(
    claim: Claim,
    approval: Approval,
    reasons: readonly Reason[],
    submission: Submission,
  ): Promise<Answer> {
    const answer = heldAnswer(claim, approval, reasons)
    if (submission.waitMs <= 0) return answer
    const action = await findAction(this.#parts.db, claim.actionId)
    return action ? this.collected(action, submission) : answer
  }

  /** The same request without a key, held before: this is that one. */
  async joined(action: Action, submission: Submission): Promise<Answer> {
    const answer = await this.collected(action, submission)
    return answer.type === 'dry_run' ? answer : { ...answer, joined: true }
  }

  /** Remembers that the agent has seen how a held action ended, if it has ended. */
  async noteCollected(action: Action): Promise<void> {
    if (action.effect !== 'require_approval' || action.collectedAt !== null || !isFinal(action))
      return
    try {
      await this.#parts.ledger.write(async (tx) => markCollected(tx, [action.id]))
    } catch (error) {
      // At worst the same request is answered with this outcome once more.
      this.#parts.log.warn({ err: error, action: action.id }, 'not noted as collected')
    }
  }

  /** The same request under the same key. @throws GatewayError `in_flight` */
  async replay(action: Action, { waitMs, seal }: Submission): Promise<Answer> {
    const settled = await this.#settled(action, waitMs)
    if (settled.state === 'executing') {
      throw new GatewayError(
        'in_flight',
        'the first request with this Idempotency-Key is under way',
        {
          retryAfterS: 1,
          details: { action_id: action.id },
        },
      )
    }
    const answer = await this.#fromAction(settled, seal)
    return answer.type === 'dry_run' ? answer : { ...answer, replayed: true }
  }

  /** The action once it is final, or as it is when the wait is over. */
  async #settled(action: Action, waitMs: number): Promise<Action> {
    const { db, events } = this.#parts
    const deadline = performance.now() + Math.min(waitMs, WAIT_MS_MAX)
    let current = action
    while (!isFinal(current) && current.state !== 'indeterminate') {
      const left = deadline - performance.now()
      if (left <= 0) return current
      await nextEvent(events, action.id, Math.min(left, POLL_HELD_MS))
      current = (await findAction(db, action.id)) ?? current
    }
    return current
  }

  async #fromAction(action: Action, seal?: Seal | null): Promise<Answer> {
    if (action.state === 'held' || action.state === 'executing') {
      const approval = await approvalOfAction(this.#parts.db, action.id)
      if (approval) return heldAnswer(identify(action), approval, reasonsOf(action))
    }
    return answerWith(action, await this.#clear.find(action, seal))
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
  async find(action: Action, seal: Seal | null | undefined): Promise<StoredResult | null> {
    if (action.result === '') return null
    const recent = this.#recent.get(action.id)
    if (recent || !seal || action.idempotencyKey === null) return recent ?? null
    const kept = await storedAnswer(this.#db, [holderOf(action.id)], action.idempotencyKey)
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
    keyId: holderOf(actionId),
    key: idempotencyKey,
    requestHash,
    sealed: seal.close(JSON.stringify(result)),
  }
}

/** No holder of an API key is called so. */
const holderOf = (actionId: string): string => `action:${actionId}`
