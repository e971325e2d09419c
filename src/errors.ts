/** Every code that may leave the gate, with its HTTP status. `docs/errors.md` explains each. */
export const ERRORS = {
  invalid_request: 400,
  not_requestable: 400,
  invalid_denial_binding: 400,
  per_action_limit_exceeded: 400,
  unauthenticated: 401,
  policy_denied: 403,
  no_such_tool: 403,
  approval_required: 403,
  agent_paused: 403,
  budget_exceeded: 403,
  forbidden: 403,
  insufficient_scope: 403,
  unknown_agent: 403,
  invalid_signature: 403,
  manifest_replayed: 403,
  not_found: 404,
  no_such_scope: 404,
  unknown_task: 404,
  method_not_allowed: 405,
  in_flight: 409,
  conflict: 409,
  read_only_policy: 409,
  duplicate_request: 409,
  invalid_task_state: 409,
  expired_denial: 410,
  task_expired: 410,
  stale_revision: 412,
  payload_too_large: 413,
  unsupported_media_type: 415,
  upgrade_required: 426,
  risky_content: 422,
  policy_invalid: 422,
  idempotency_mismatch: 422,
  rate_limited: 429,
  overloaded: 429,
  internal_error: 500,
  not_implemented: 501,
  upstream_unreachable: 502,
  upstream_redirected: 502,
  response_too_large: 502,
  response_unreadable: 502,
  outcome_unrecorded: 502,
  credential_unavailable: 502,
  kill_switch_engaged: 503,
  kill_state_unknown: 503,
  audit_unavailable: 503,
  store_unavailable: 503,
  no_policy: 503,
  clock_skew: 503,
  shutting_down: 503,
  llm_unconfigured: 503,
  issuer_unavailable: 503,
  outcome_unknown: 504,
} as const

export type ErrorCode = keyof typeof ERRORS

/** Codes after which the same request may succeed later, unchanged. */
export const RETRYABLE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'in_flight',
  'rate_limited',
  'overloaded',
  'upstream_unreachable',
  'credential_unavailable',
  'kill_switch_engaged',
  'kill_state_unknown',
  'audit_unavailable',
  'store_unavailable',
  'no_policy',
  'clock_skew',
  'shutting_down',
  'issuer_unavailable',
])

export interface ErrorExtras {
  readonly cause?: unknown
  /** Further members of the wire object, snake_case, JSON only. */
  readonly details?: Readonly<Record<string, unknown>>
  readonly retryAfterS?: number
  /** Whether the same request may succeed later, where that is not what the code says of itself. */
  readonly retryable?: boolean
}

/** The one error that may leave a room; anything else is a bug and answers `internal_error`. */
export class GatewayError extends Error {
  readonly code: ErrorCode
  readonly status: number
  readonly details: Readonly<Record<string, unknown>>
  readonly retryAfterS: number | undefined
  readonly retryable: boolean

  constructor(code: ErrorCode, message: string, extras: ErrorExtras = {}) {
    super(message, 'cause' in extras ? { cause: extras.cause } : undefined)
    this.name = 'GatewayError'
    this.code = code
    this.status = ERRORS[code]
    this.details = extras.details ?? {}
    this.retryAfterS = extras.retryAfterS
    this.retryable = extras.retryable ?? RETRYABLE.has(code)
  }
}
