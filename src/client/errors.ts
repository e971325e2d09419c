import type { Action, GateFailure, Reason } from './api.ts'

/** How an action that was let through, or held, can end other than well. */
export type ActionEnd = `action_${Exclude<Action['status'], 'succeeded'>}`

/** What a gate said no with, or what became of an action that did not succeed. */
export class GateError extends Error {
  /** A code of docs/errors.md, or `action_` and the status of the action. */
  readonly code: GateFailure['code'] | ActionEnd | 'unreachable'
  /** Of the answer; 0 where there was none. */
  readonly status: number
  /** Whether the same request may be sent again. */
  readonly retryable: boolean
  /** What to do instead, where the gate knows something. */
  readonly nextAction: string | undefined
  readonly actionId: string | undefined
  readonly reasons: readonly Reason[]

  constructor(
    code: GateError['code'],
    message: string,
    more: {
      readonly status?: number
      readonly failure?: Partial<GateFailure>
      readonly actionId?: string
      readonly cause?: unknown
    } = {},
  ) {
    super(message, { cause: more.cause })
    this.name = 'GateError'
    this.code = code
    this.status = more.status ?? 0
    this.retryable = more.failure?.retryable ?? false
    this.nextAction = more.failure?.next_action
    this.actionId = more.actionId ?? more.failure?.action_id
    this.reasons = more.failure?.reasons ?? []
  }
}
