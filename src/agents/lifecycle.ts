import type { AgentStatus } from '../model/facts.ts'

export const LIFECYCLE_ACTIONS = [
  'start',
  'stop',
  'restart',
  'pause',
  'resume',
  'retire',
  'scale',
] as const
export type LifecycleAction = (typeof LIFECYCLE_ACTIONS)[number]

type Move = { readonly from: readonly AgentStatus[]; readonly to: AgentStatus }

/** From which status each action leads where. What is there already stays, without an error. */
const MOVES: Readonly<Record<Exclude<LifecycleAction, 'scale'>, Move>> = {
  start: { from: ['initializing', 'stopped', 'active'], to: 'active' },
  stop: { from: ['initializing', 'active', 'paused', 'stopped'], to: 'stopped' },
  restart: { from: ['initializing', 'active', 'paused', 'stopped'], to: 'active' },
  pause: { from: ['active', 'paused'], to: 'paused' },
  resume: { from: ['paused', 'active'], to: 'active' },
  retire: { from: ['initializing', 'active', 'paused', 'stopped', 'retired'], to: 'retired' },
}

/** Where an action leads, or undefined where it may not be taken. A retired agent stays retired. */
export function nextStatus(action: LifecycleAction, status: AgentStatus): AgentStatus | undefined {
  if (action === 'scale') return status === 'retired' ? undefined : status
  const { from, to } = MOVES[action]
  return from.includes(status) ? to : undefined
}
