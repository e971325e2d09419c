import { GatewayError } from '../../errors.ts'
import { TEXT } from '../edge/validate.ts'

/** Why a person did something: one word wherever one is given, and the words it had before. */
export interface ReasonBody {
  readonly reason?: string
  readonly comment?: string
  readonly note?: string
}

/** JSON Schemas of the members that give a reason. */
export const REASON = {
  reason: { ...TEXT, description: 'why; it goes on the record' },
  comment: { ...TEXT, description: 'the same as `reason`', deprecated: true },
  note: { ...TEXT, description: 'the same as `reason`', deprecated: true },
} as const

/** The reason in a body, '' where there is none. @throws GatewayError `invalid_request` where two differ */
export function reasonIn({ reason, comment, note }: ReasonBody): string {
  const given = new Set([reason, comment, note].filter((one) => one !== undefined))
  if (given.size <= 1) return [...given][0] ?? ''
  throw new GatewayError('invalid_request', '`reason`, `comment` and `note` are one: give `reason`')
}

/** The same, where one is needed. @throws GatewayError `invalid_request` */
export function neededReason(body: ReasonBody): string {
  const reason = reasonIn(body)
  if (reason !== '') return reason
  throw new GatewayError('invalid_request', '`reason` is needed: it goes on the record')
}
