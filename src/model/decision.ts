import type { Facts } from './facts.ts'
import type { Json, JsonObject } from './json.ts'

export type Effect = 'allow' | 'deny' | 'require_approval'

/** Shadow records what a guard would have done; off leaves it out. */
export type Mode = 'enforce' | 'shadow' | 'off'

/** The place in a policy file that something comes from. Lines and columns count from 1. */
export interface PolicyLocation {
  readonly file: string
  readonly line: number
  readonly col: number
}

/** The wire codes a decision may ask for; each is an `ErrorCode` of `errors.ts`. */
export type WireCode =
  | 'invalid_request'
  | 'per_action_limit_exceeded'
  | 'policy_denied'
  | 'agent_paused'
  | 'budget_exceeded'
  | 'no_such_tool'
  | 'risky_content'
  | 'rate_limited'

/** Why a guard or rule answered as it did. `code` is stable and becomes a metric label. */
export interface Reason {
  readonly code: string
  readonly message: string
  /** The error code an agent sees when this reason carries a deny. Absent: `policy_denied`. */
  readonly wire?: WireCode
  readonly effect: Effect
  /** Id of the guard, or the Rego rule, that says so. */
  readonly source: string
  readonly location?: PolicyLocation
}

/**
 * Something to take from a counter or budget before the effect may start. Taken in the database
 * under one lock, all or nothing; `phase` says whether asking already takes it or only executing.
 */
export interface Reservation {
  readonly kind: 'budget' | 'window' | 'distinct'
  /** Names the counter; equal keys share it, across replicas. */
  readonly key: string
  readonly phase: 'request' | 'effect'
  readonly mode: 'enforce' | 'shadow'
  /** window: length in ms (sliding). distinct: the same. budget: ignored. */
  readonly windowMs: number
  /** budget: which period the limit is for, by the database clock in UTC. Others: null. */
  readonly period: 'day' | 'month' | 'total' | null
  /** budget: micro-units. window: count. distinct: number of distinct members. */
  readonly limit: bigint
  readonly amount: bigint
  /** distinct: digests of the members to add. Others: empty. */
  readonly members: readonly string[]
  /** budget: shares of the limit in percent at which an alert is raised once a period. */
  readonly thresholds: readonly number[]
  /** budget: pause the agent when it does not fit. */
  readonly pausesAgent: boolean
  /** What it means when it does not fit: the reason carries the effect (deny or require_approval). */
  readonly exceeded: Reason
}

/** `request`: what asking takes, whatever the answer. `effect`: what is taken with the effect alone. */
export const ofPhase = (
  { reservations }: Pick<Decision, 'reservations'>,
  phase: Reservation['phase'],
): readonly Reservation[] => reservations.filter((one) => one.phase === phase)

/** An instruction that comes with an allow. One the gate cannot honour makes it a deny. */
export interface Obligation {
  readonly id: string
  readonly type: string
  readonly properties: JsonObject
}

/** Who must agree before a held action may run. */
export interface ApprovalTerms {
  readonly quorum: number
  readonly approverRoles: readonly string[]
  readonly expiresMs: number
  /** How long after its end the same request, without a key, still asks for its outcome. */
  readonly resultTtlMs: number
  /** Whose approval does not count: the owner of the agent, whoever issued or held a key of it. */
  readonly separation: { readonly owner: boolean; readonly keyIssuer: boolean }
}

/** One expression of a Rego rule as it was evaluated, for `explain`. */
export interface TraceExpression {
  readonly file: string
  readonly line: number
  readonly col: number
  /** The rule it stands in, and the line where that begins. */
  readonly rule: string
  readonly ruleLine: number
  readonly text: string
  /** `undefined`: something in it had no value, which is not the same as false. */
  readonly outcome: 'true' | 'false' | 'undefined'
  /** How often it was reached, and how often it held. */
  readonly reached: number
  readonly held: number
  /** What was in it; the names in `shortened` have only the beginning of their JSON text. */
  readonly values: Readonly<Record<string, Json>>
  readonly shortened: readonly string[]
  /** What in it had no value. */
  readonly missing: readonly string[]
}

/** One guard or rule as it was evaluated, for `explain`. */
export interface TraceStep {
  readonly source: string
  readonly kind: string
  readonly mode: Mode
  readonly outcome: Effect | 'none' | 'error'
  readonly location?: PolicyLocation
  readonly reasons: readonly Reason[]
  /** The values the guard looked at, small enough to show. */
  readonly observed: Readonly<Record<string, Json>>
}

/** The answer of `decide`: a value, made from exactly one revision. Deny is a value too. */
export interface Decision {
  readonly effect: Effect
  /** Reasons that carried the effect, strongest first; empty only for a plain allow. */
  readonly reasons: readonly Reason[]
  /** Reasons that shadow guards would have carried. */
  readonly shadow: readonly Reason[]
  readonly obligations: readonly Obligation[]
  readonly reservations: readonly Reservation[]
  /** Set when the effect is, or may become, require_approval. */
  readonly approval: ApprovalTerms
  readonly revision: string
  readonly trace: readonly TraceStep[]
  /** What a module saw and the request does not say; set when one was asked that can explain itself later. */
  readonly facts?: Facts
  /** Some of what it saw is on record as digests only, so it cannot be made again of the record. */
  readonly masked?: true
}
