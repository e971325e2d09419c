import type { TraceStep } from '../model/decision.ts'
import type { Facts } from '../model/facts.ts'
import type { ActionRequest } from '../model/request.ts'
import type { Bundle, ExplainedStep, ModuleExplanation } from '../bundle/types.ts'
import { costOf } from './cost.ts'
import { inputFor, moduleStep } from './decide.ts'
import { moduleInput } from './module-input.ts'

/**
 * Adds to the steps of modules the expressions that decided, by evaluating once more what was
 * evaluated then. `bundle` has to be the one that decided.
 */
export async function explainTrace(
  trace: readonly TraceStep[],
  request: ActionRequest,
  facts: Facts,
  bundle: Bundle,
): Promise<readonly ExplainedStep[]> {
  const tool = bundle.tools.get(request.action.name)
  if (!tool) return trace
  const input = moduleInput(inputFor(request, facts, bundle, tool, costOf(request, tool, bundle)))
  return Promise.all(
    trace.map(async (step) => {
      const module = bundle.modules.find(
        ({ name }) => step.kind === 'module' && name === step.source,
      )
      if (!module) return step
      if (!module.explain) return withoutExpressions(step, 'a prebuilt module holds no source')
      return explained(step, await module.explain(input))
    }),
  )
}

export const withoutExpressions = (step: TraceStep, why: string): ExplainedStep =>
  step.kind === 'module' ? { ...step, expressions_missing: why } : step

function explained(step: TraceStep, explanation: ModuleExplanation): ExplainedStep {
  if (!explanation.ok) return withoutExpressions(step, explanation.message)
  const { answer, expressions, omitted } = explanation
  // Same revision, same input: anything else must not pass for the reason.
  if (!sameReasons(step, moduleStep(step.source, answer))) {
    return withoutExpressions(step, 'evaluated once more, it answers differently')
  }
  return { ...step, expressions, ...(omitted > 0 ? { expressions_omitted: omitted } : {}) }
}

const sameReasons = (a: TraceStep, b: TraceStep): boolean => keysOf(a) === keysOf(b)

const keysOf = ({ reasons }: TraceStep): string =>
  JSON.stringify(reasons.map(({ effect, code, message }) => [effect, code, message]))
