import { sha256 } from '../lib/canonical.ts'

/** Whom a canary is for. */
export interface Population {
  readonly percent: number
  /** Ids; null: any. */
  readonly agents: ReadonlySet<string> | null
  /** Null: any. */
  readonly roles: ReadonlySet<string> | null
}

/** Who may be meant. */
export interface Member {
  readonly id: string
  readonly roles: readonly string[]
}

/** Whether a canary is for an agent: the same on every replica and after every start. */
export function isMeant(canaryId: string, { percent, agents, roles }: Population, agent: Member) {
  if (agents && !agents.has(agent.id)) return false
  if (roles && !agent.roles.some((role) => roles.has(role))) return false
  return percent >= 100 || placeOf(canaryId, agent.id) < percent
}

/** From 0 to 99, evenly: the SHA-256 of both ids, modulo 100. Another canary parts the agents otherwise. */
export const placeOf = (canaryId: string, agentId: string): number =>
  Number(BigInt(`0x${sha256(`${canaryId}${agentId}`)}`) % 100n)
