import type { GuardInput, GuardSpec } from '../bundle/types.ts'

export type Scope = 'agent' | 'tool' | 'role' | 'global'

/**
 * Names the counter a guard takes from. It holds the guard's id and not the revision, so that a
 * reload does not hand out a fresh allowance.
 */
export function counterKey(spec: GuardSpec, scope: Scope, input: GuardInput, what: string): string {
  const whose = scopeMember(spec, scope, input)
  return `${spec.id}:${what}:${scope}:${whose}`
}

function scopeMember(spec: GuardSpec, scope: Scope, input: GuardInput): string {
  if (scope === 'agent') return input.facts.agent.id
  if (scope === 'tool') return input.request.action.name
  if (scope === 'global') return '*'
  return roleOf(spec, input)
}

// A guard for certain roles counts under the first of them the agent has; otherwise under all of
// the agent's roles together, so that the order in which they are listed cannot matter.
function roleOf(spec: GuardSpec, { facts }: GuardInput): string {
  const wanted = spec.config['roles'] as readonly string[] | undefined
  const own = wanted?.find((role) => facts.agent.roles.includes(role))
  return own ?? [...facts.agent.roles].sort().join('+')
}
