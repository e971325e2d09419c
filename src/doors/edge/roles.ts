import type { KeyRole } from '../../agents/keys.ts'

/** Who may make a call, as the route table says it. */
/** Every role a key may have; enforcement points ask for decisions and may do nothing else. */
export const ALL_ROLES: readonly KeyRole[] = [
  ...(['agent', 'observer', 'approver', 'operator', 'admin', 'pep'] as const),
]
export const ANYONE: readonly KeyRole[] = ['agent', 'observer', 'approver', 'operator', 'admin']
export const READERS: readonly KeyRole[] = ['observer', 'approver', 'operator', 'admin']
export const OPERATORS: readonly KeyRole[] = ['operator', 'admin']
export const ADMINS: readonly KeyRole[] = ['admin']
export const AGENTS: readonly KeyRole[] = ['agent']
/** Who may ask for decisions: enforcement points about anybody, an agent about itself. */
export const INQUIRERS: readonly KeyRole[] = ['pep', 'agent', 'admin']
/** Enforcement points, about whatever they ask. */
export const PEPS: readonly KeyRole[] = ['pep', 'admin']
/** An agent for itself, and whoever runs the gate for any. */
export const ACTORS: readonly KeyRole[] = ['agent', 'operator', 'admin']
