import type { FileDiff } from '../lib/unified-diff.ts'
import type { Reason } from '../model/decision.ts'
import type { Facts } from '../model/facts.ts'
import type { Bundle } from '../bundle/types.ts'
import type { PathProblem } from '../bundle/paths.ts'
import { screen } from './screen.ts'

/** What is judged of a change plan. */
export interface PlanRequest {
  readonly goal: string | null
  readonly paths: readonly string[]
  readonly files: readonly FileDiff[]
  /** A file differs by more lines than were compared. */
  readonly isTooLarge: boolean
}

const SOURCE = 'plans'
const CODES = {
  path_malformed: 'path_malformed',
  path_not_allowed: 'path_not_allowed',
  path_denied: 'denied_glob',
} as const satisfies Record<PathProblem['code'], string>

const refuse = (code: string, message: string): Reason => ({
  code,
  message,
  effect: 'deny',
  source: SOURCE,
})

/** Why a plan is refused; empty: it is accepted. Pure, as `decide` is. */
export function judgePlan(plan: PlanRequest, facts: Facts, bundle: Bundle): readonly Reason[] {
  return [
    ...plan.paths.flatMap((path) => pathReason(path, bundle)),
    ...sizeReason(plan, bundle),
    ...screen({ reason: plan.goal, text: written(plan) }, facts, bundle),
  ]
}

function pathReason(path: string, { plans }: Bundle): readonly Reason[] {
  const shown = `\`${path.slice(0, 120)}\``
  // Whoever applies the plan runs what stands there.
  if (path.normalize('NFKC').toLowerCase().split('/').includes('.git')) {
    return [refuse('path_not_allowed', `${shown}: path is inside a git directory`)]
  }
  const problem = plans.checkPath(path)
  return problem ? [refuse(CODES[problem.code], `${shown}: ${problem.message}`)] : []
}

function sizeReason({ files, isTooLarge }: PlanRequest, { plans }: Bundle): readonly Reason[] {
  const lines = files.reduce((sum, { added, removed }) => sum + added + removed, 0)
  if (!isTooLarge && lines <= plans.diffLinesMax) return []
  return [refuse('diff_too_large', `the plan changes more than ${plans.diffLinesMax} lines`)]
}

// What is taken away harms nobody who reads the plan; what is added is what will be run.
function written({ paths, files }: PlanRequest) {
  return { paths, added: files.map(({ addedText }) => addedText) }
}
