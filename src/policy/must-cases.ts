import { type Diagnostic, Findings, wholeFile } from '../sources/diagnostics.ts'
import { POLICY_LIMITS } from '../sources/limits.ts'
import type { Bundle, PolicyJudge } from '../bundle/types.ts'
import { DEFAULT_RATE_LIMIT } from './load.ts'
import { reportFailures, runMatrix } from './matrix-run.ts'

// A few cases that no revision may get wrong, asked of the very bundle that would decide, in the process in which it
// would. What decides now has a say in what follows: its `must_deny` cases have to hold as well, so that taking one out and
// letting through what it forbade are two steps, and never one edit.

/** What a bundle that is about to decide gets wrong; nothing: it may. */
export async function heldCases(
  bundle: Bundle,
  live: Bundle | undefined,
  judge: PolicyJudge,
  isRollback: boolean,
): Promise<readonly Diagnostic[]> {
  const found = new Findings()
  if (isEmpty(bundle)) {
    const message = 'there is no tool, no rule and no module'
    found.error(wholeFile('gate.yaml'), 'empty_policy', message)
  }
  const own = isRollback ? bundle.must.filter(({ effect }) => effect === 'deny') : bundle.must
  reportFailures(await runMatrix(own, bundle, judge), found)
  const theirs = (live?.must ?? []).filter(({ effect }) => effect === 'deny')
  reportFailures(await runMatrix(theirs, bundle, judge), found)
  return found.list('error', POLICY_LIMITS.diagnosticsMax)
}

// It would deny everything, which nobody means who has written it.
function isEmpty({ counts, guards, modules, decisionApi }: Bundle): boolean {
  const hasRules = guards.some(({ id }) => id !== DEFAULT_RATE_LIMIT) || modules.length > 0
  return !hasRules && counts.tools === 0 && decisionApi.actions.size === 0
}
