import type { KeyRole } from '../../agents/keys.ts'

/** Who may make a call, as the route table says it. */
export const ANYONE: readonly KeyRole[] = ['agent', 'observer', 'approver', 'operator', 'admin']
export const READERS: readonly KeyRole[] = ['observer', 'approver', 'operator', 'admin']
export const OPERATORS: readonly KeyRole[] = ['operator', 'admin']
export const ADMINS: readonly KeyRole[] = ['admin']
export const AGENTS: readonly KeyRole[] = ['agent']
/** An agent for itself, and whoever runs the gate for any. */
export const ACTORS: readonly KeyRole[] = ['agent', 'operator', 'admin']
