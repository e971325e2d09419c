import { explainTrace, withoutExpressions } from '../decide/index.ts'
import type { Decision } from '../model/decision.ts'
import type { Facts } from '../model/facts.ts'
import type { Bundle, ExplainedStep } from '../bundle/types.ts'
import type { Action } from '../record/actions.ts'
import { fromStored } from '../pipeline/requests.ts'

type Trace = Decision['trace']

/** The bundle of a past revision, or why there is none. */
export interface Remembered {
  readonly bundle: Bundle | null
  readonly why?: string
}

/** The recorded trace of an action with the Rego expressions of its revision that decided, as far as they can still be told. */
export async function explainAction(
  row: Pick<Action, 'request' | 'explain' | 'revision'>,
  seen: () => Promise<Facts | null | undefined>,
  remembered: (revision: string) => Promise<Remembered>,
): Promise<readonly ExplainedStep[]> {
  const { trace, masked, ...kept } = JSON.parse(row.explain) as {
    trace: Trace
    facts?: Facts | null
    masked?: true
  }
  if (!trace.some(({ kind }) => kind === 'module')) return trace
  const without = (why: string) => trace.map((step) => withoutExpressions(step, why))
  if (masked) return without('what this decision saw is masked on record')
  // Of an action that was judged again, and of those of before what they saw had a place of its own.
  const facts = kept.facts === undefined ? await seen() : kept.facts
  if (facts === null) return without('the facts of this decision were too large to keep')
  if (facts === undefined) return without('the facts of this decision were not kept')
  const { bundle, why = '' } = await remembered(row.revision)
  return bundle ? explainTrace(trace, fromStored(row), facts, bundle) : without(why)
}
