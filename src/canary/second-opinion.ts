import { setTimeout as delay } from 'node:timers/promises'
import type { Bundle } from '../bundle/types.ts'
import type { Beside } from './sides.ts'
import { canonicalJson } from '../lib/canonical.ts'
import { changeOf, type Said, type SecondOpinion } from '../model/canary.ts'
import type { Decision } from '../model/decision.ts'
import type { Facts } from '../model/facts.ts'
import type { Tool } from '../model/tool.ts'

// While a canary runs, the policy that does not decide is asked as well, by the facts of the one that does. It has no part
// in the decision: whatever it does is caught here, it is waited for no longer than an evaluation may take, and where it
// would have to know what was not looked up, it is not asked. An evaluation ends by its own budget, and that is the policy's
// doing; one that was still not there when the wait was over stood behind others, and that is the machine's.

/** Longer than any evaluation that ends by itself; what waits behind others is given up. */
const WAIT_MS = 250

/** It was asked, and had not answered when the wait was over. */
export const LATE: unique symbol = Symbol('late')

/** Whom to ask, and whether it takes the request for the same call. */
export interface AskedBeside extends Beside {
  readonly isNamedAlike: boolean
}

/** By what the one that decides was asked. */
export interface DecidedBy {
  readonly tool: Tool | undefined
  readonly toolName: string
  readonly facts: Facts
}

/** What it says; null: it cannot be asked by what is known. Begins at once, never rejects, and waits no longer than it may. */
export async function askBeside(
  { bundle, isNamedAlike }: AskedBeside,
  known: DecidedBy,
  decide: (bundle: Bundle) => Promise<Decision>,
): Promise<Said | null | typeof LATE> {
  if (!isNamedAlike || !knowsEnough(bundle.tools.get(known.toolName), known)) return null
  const answered = new AbortController()
  const tooLate = delay(WAIT_MS, undefined, { signal: answered.signal, ref: false }).then(
    (): typeof LATE => LATE,
    (): typeof LATE => LATE, // it was answered
  )
  try {
    return await Promise.race([decide(bundle), tooLate])
  } catch {
    return undefined
  } finally {
    answered.abort()
  }
}

/** How what it says differs from the decision. */
export function opinionOf(
  { canaryId, side, bundle }: Beside,
  decision: Decision,
  said: Said | null | typeof LATE,
): SecondOpinion {
  if (said === LATE) return notHeard(canaryId, side, 'late')
  if (said === null) return notHeard(canaryId, side, 'unplayable')
  const [live, candidate] = side === 'live' ? [said, decision] : [decision, said]
  const change = changeOf(live, candidate)
  if (change === 'unplayable') return notHeard(canaryId, side, change)
  const { revision } = bundle
  const { effect, reasons } = said ?? FAILED
  return {
    ...{ canaryId, side, change },
    isDeniedLive: live?.effect === 'deny',
    isDeniedByCandidate: candidate?.effect !== 'allow' && candidate?.effect !== 'require_approval',
    differing: change === 'same' ? null : { revision, effect, reasons },
  }
}

const notHeard = (
  canaryId: string,
  side: Beside['side'],
  change: 'late' | 'unplayable',
): SecondOpinion => ({
  ...{ canaryId, side, change },
  isDeniedLive: false,
  isDeniedByCandidate: false,
  differing: null,
})

/** What would become of an action whose policy fails. */
const FAILED: Pick<Decision, 'effect' | 'reasons'> = {
  effect: 'deny',
  reasons: [
    { code: 'policy_error', message: 'the policy gave no answer', effect: 'deny', source: 'gate' },
  ],
}

// Nothing is looked up twice, and nothing for who does not decide: what it needs has to be there, asked for alike.
function knowsEnough(tool: Tool | undefined, { tool: decided, facts }: DecidedBy): boolean {
  const made = new Map((decided?.facts ?? []).map((one) => [one.name, textOf(one)]))
  return (tool?.facts ?? []).every(
    (one) =>
      made.get(one.name) === textOf(one) &&
      (Object.hasOwn(facts.lookups, one.name) || Object.hasOwn(facts.unavailable, one.name)),
  )
}

const textOf = ({ tool, args }: Tool['facts'][number]): string =>
  canonicalJson({ tool, args: { ...args } })
