import type { Reason } from './decision.ts'

/** A refusal of the gate itself, which no guard or rule said. */
export function denial(code: string, message: string): Reason {
  return { code, message, effect: 'deny', source: 'portcullis' }
}

/** The error code an agent sees for a reason. */
export function wireCode(reason: Reason): string {
  if (reason.code === 'kill_switch_engaged' || reason.code === 'agent_paused') return reason.code
  return reason.wire ?? 'policy_denied'
}
