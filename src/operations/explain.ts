import { explainTrace, withoutExpressions } from '../decide/index.ts'
import type { Decision } from '../model/decision.ts'
import type { Facts } from '../model/facts.ts'
import type { Bundle, ExplainedStep } from '../bundle/types.ts'
import type { Action } from '../record/actions.ts'
import { fromStored } from '../pipeline/requests.ts'

type Trace = Decision['trace']

/** The recorded trace of an action with the Rego expressions that decided, as far as they can still be told. */
export async function explainAction(
  row: Pick<Action, 'request' | 'explain' | 'revision'>,
  bundle: Bundle,
): Promise<readonly ExplainedStep[]> {
  const { trace, facts, masked } = JSON.parse(row.explain) as {
    trace: Trace
    facts?: Facts | null
    masked?: true
  }
  if (!trace.some(({ kind }) => kind === 'module')) return trace
  const without = (why: string) => trace.map((step) => withoutExpressions(step, why))
  if (masked) return without('what this decision saw is masked on record')
  if (row.revision !== bundle.revision) {
    return without('the revision that decided is no longer loaded')
  }
  if (facts === null) return without('the facts of this decision were too large to keep')
  if (facts === undefined) return without('the facts of this decision were not kept')
  return explainTrace(trace, fromStored(row), facts, bundle)
}
