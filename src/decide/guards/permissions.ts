import type { Effect } from '../../model/decision.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import type {
  CompileContext,
  GuardInput,
  GuardKind,
  GuardSpec,
  PointerReader,
} from '../../bundle/types.ts'
import { reasonOf, says, silent } from '../answers.ts'

interface Condition {
  readonly arg: string
  readonly read: PointerReader
  readonly values: ReadonlySet<Json>
}

/** Role x environment x tool (and values of args) -> allow, require_approval or deny. */
export const permissions: GuardKind = { kind: 'permissions', grants: true, compile }

function compile(spec: GuardSpec, context: CompileContext) {
  const effect = spec.config['effect'] as Effect
  const conditions = readConditions(spec, context)
  const answer = says([reasonOf(spec, effect, `permission_${effect}`, sentence(spec, effect))], {})
  return (input: GuardInput) => {
    const miss = conditions.find(
      (one) => !one.values.has(one.read(input.request.action.properties) ?? ABSENT),
    )
    if (!miss) return answer
    return silent({ unmet: miss.arg, value: shown(miss.read(input.request.action.properties)) })
  }
}

const ABSENT = '\u0000absent' // no YAML scalar can be this: an absent arg equals nothing, not even null

function readConditions(spec: GuardSpec, context: CompileContext): readonly Condition[] {
  const when = spec.config['when'] as { readonly args?: JsonObject } | undefined
  return Object.entries(when?.args ?? {}).flatMap(([arg, wanted]) => {
    const pointer = arg.startsWith('/')
      ? arg
      : `/${arg.replaceAll('~', '~0').replaceAll('/', '~1')}`
    const read = context.argPointer(pointer, ['when', 'args', arg])
    const all = Array.isArray(wanted) ? (wanted as readonly Json[]) : [wanted]
    for (const [index, value] of all.entries()) {
      const at = Array.isArray(wanted) ? [index] : []
      context.argValue(pointer, value, ['when', 'args', arg, ...at])
    }
    const values = new Set<Json>(all)
    return read ? [{ arg, read, values }] : []
  })
}

function sentence(spec: GuardSpec, effect: Effect): string {
  const roles = (spec.config['roles'] as readonly string[]).join(', ')
  if (effect === 'allow') return `role ${roles} may do this`
  if (effect === 'deny') return `role ${roles} may not do this`
  return 'a person must approve this'
}

const shown = (value: Json | undefined): Json =>
  typeof value === 'object' && value !== null ? '(not a single value)' : (value ?? '(absent)')
