import type { JsonObject } from '../../model/json.ts'
import type { CompileContext, GuardInput, GuardKind, GuardSpec } from '../../bundle/types.ts'
import { effectOf, reasonOf, says, shorten, silent } from '../answers.ts'

/** A further JSON Schema the args must fit, for some roles or environments. */
export const argsSchema: GuardKind = { kind: 'args_schema', compile }

function compile(spec: GuardSpec, context: CompileContext) {
  const check = context.schema(spec.config['schema'] as JsonObject, ['schema'])
  const effect = effectOf(spec)
  return ({ request }: GuardInput) => {
    if (!check) throw new Error('no schema')
    const problem = check(request.action.properties)
    if (problem === undefined) return silent()
    return says([reasonOf(spec, effect, 'args_not_allowed', problem)], {
      problem: shorten(problem),
    })
  }
}
