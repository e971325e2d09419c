import type { IncomingMessage } from 'node:http'
import type { Caller } from '../../agents/keys.ts'
import { type ErrorCode, GatewayError } from '../../errors.ts'
import type { Client } from '../edge/client.ts'
import { setState, stateOf } from '../edge/context.ts'
import { allow, assertSingle, callerOfKey, presentedKey } from '../edge/edge.ts'
import { toGatewayError } from '../edge/errors.ts'

// What stands behind the port of gRPC: services of enforcement points, which ask about requests that they hold. What was decided is
// an answer; whatever kept the gate from deciding is an error of gRPC, which those who ask take as a refusal.

/** Numbers of gRPC's statuses. */
export const CODES = {
  OK: 0,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const

/** By what keys are known. */
export type Keys = Parameters<typeof callerOfKey>[0]

/** One message, and who sent it. */
export interface GrpcAsked {
  readonly request: unknown
  readonly pep: Caller
  readonly requestId: string
  /** From where the enforcement point comes. */
  readonly client: Client
}

/** What is said: the message, and by which status it is counted. */
export interface GrpcSaid {
  readonly message: unknown
  readonly status: number
}

export interface GrpcService {
  /** Its description, a file of `.proto`. */
  readonly proto: string
  /** With its package. */
  readonly name: string
  /** By the name of the call. @throws what kept the gate from deciding */
  readonly calls: Readonly<Record<string, (asked: GrpcAsked) => Promise<GrpcSaid>>>
  count(status: number): void
}

/** Switches are decisions, although they are said with a 503. */
const DECIDED: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['kill_switch_engaged'])

/** Whether it was decided, and not that nothing could be decided or recorded. */
export const isDecided = ({ status, code }: GatewayError): boolean =>
  status < 500 || DECIDED.has(code)

/** Never 0, whatever the error. */
export function statusOf(error: GatewayError): number {
  if (error.status === 401) return CODES.UNAUTHENTICATED
  if (error.status === 429) return CODES.RESOURCE_EXHAUSTED
  return isDecided(error) ? CODES.PERMISSION_DENIED : CODES.UNAVAILABLE
}

/** What was decided of an error. @throws the error where nothing was */
export function decidedOf(error: unknown): GatewayError {
  const known = toGatewayError(error)
  if (!isDecided(known)) throw error
  return known
}

/** Whose request is held, by the key in it, or by the name that whoever holds it gives. @throws GatewayError */
export async function identify(
  req: IncomingMessage,
  { requestId, client, pep }: Omit<GrpcAsked, 'request'>,
  vouched: string | undefined,
  keys: Keys,
): Promise<void> {
  const startedAt = performance.now()
  const state = { requestId, startedAt, client, presentedKey: undefined, body: undefined }
  setState(req, { ...state, caller: null })
  assertSingle(req)
  const key = presentedKey(req)
  if (key !== undefined) {
    const caller = await callerOfKey(keys, key, client)
    Object.assign(stateOf(req), { caller, presentedKey: key })
  } else if (vouched !== undefined) {
    Object.assign(stateOf(req), { caller: await vouchedFor(vouched, pep, keys) })
  }
  await allow('agent')(req, undefined as never)
}

/** An agent that an enforcement point names acts by the key of that one. */
async function vouchedFor(named: string, pep: Caller, { keyRing }: Keys): Promise<Caller> {
  const caller = await keyRing.callerVouched(named, pep).catch((cause: unknown) => {
    const message = 'the agent cannot be looked up at the moment'
    throw new GatewayError('store_unavailable', message, { cause, retryAfterS: 1 })
  })
  if (typeof caller !== 'string') return caller
  const shown = `\`${named.slice(0, 64)}\``
  const why = caller === 'unknown' ? 'is no agent of this gate' : 'has no key that is alive'
  throw new GatewayError('unknown_agent', `${shown} ${why}`)
}
