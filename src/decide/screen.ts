import type { Reason } from '../model/decision.ts'
import type { Facts } from '../model/facts.ts'
import type { JsonObject } from '../model/json.ts'
import { isForRoles } from '../bundle/roles.ts'
import type { Bundle, Guard, GuardInput } from '../bundle/types.ts'
import { inputOfText } from './text-input.ts'

/** Text that is not an action's: a plan, what a model says, what a tool answered. */
export interface Screened {
  /** Why it was written, where somebody says so. */
  readonly reason: string | null
  /** Every string and key in it is looked at. */
  readonly text: JsonObject
}

/**
 * What the risk patterns of the live bundle say about a text; empty: nothing against it. Guards that are
 * limited to tools count when `tool` is one of theirs. Only those that deny: nobody can be asked here.
 */
export function screen(
  { reason, text }: Screened,
  facts: Facts,
  bundle: Bundle,
  tool?: string,
): readonly Reason[] {
  const guards =
    (tool === undefined ? undefined : bundle.guardsByTool.get(tool)) ?? bundle.guardsForAny
  const asked = guards.filter((guard) => isAsked(guard, facts))
  if (asked.length === 0) return []
  const input = inputOfText({ name: tool ?? '', properties: text }, reason, facts, bundle)
  return asked.flatMap((guard) => reasonsOf(guard, input)).filter(({ effect }) => effect === 'deny')
}

const isAsked = (guard: Guard, facts: Facts): boolean =>
  guard.kind === 'risk_patterns' && guard.mode === 'enforce' && isForRoles(guard, facts.agent.roles)

function reasonsOf(guard: Guard, input: GuardInput): readonly Reason[] {
  try {
    return guard.evaluate(input).reasons
  } catch {
    const message = `guard \`${guard.id}\` failed`
    return [{ code: 'guard_error', message, effect: 'deny', source: guard.id }]
  }
}
