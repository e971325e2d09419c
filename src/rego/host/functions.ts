// Host functions: what the machine leaves to JavaScript. Each takes the Rego text of the array of its operands and
// answers with text as machine/assembly/host.ts expects it.
import { HOST_PREFIX } from '../abi.ts'
import { families } from './builtins/index.ts'
import {
  beginSpending,
  BuiltinError,
  type HostBuiltin,
  SpentError,
  takeSpent,
  TooLargeError,
} from './builtins/kind.ts'
import { parseValue, writeValue } from './value.ts'

export { beginEvaluation } from './builtins/kind.ts'

/** `left`: steps that the evaluation may still take. A function that would take more ends by itself. */
export type HostFunction = (operands: string, left?: number) => string

/** Our host functions by the names under which modules import them. */
export function hostFunctions(): Record<string, HostFunction> {
  const found: Record<string, HostFunction> = {}
  for (const [name, builtin] of Object.entries(families()))
    found[HOST_PREFIX + name] = wrap(name, builtin)
  return found
}

function wrap(name: string, builtin: HostBuiltin): HostFunction {
  const answer = (operands: string): string => {
    try {
      const args = parseValue(operands)
      const result = builtin(...(Array.isArray(args) ? args : []))
      return result === undefined ? '' : `=${writeValue(result)}`
    } catch (error) {
      if (error instanceof SpentError) return `!!rego_budget_exceeded: ${error.message}`
      if (error instanceof TooLargeError) return `!!rego_memory_exceeded: ${name}: ${error.message}`
      if (error instanceof BuiltinError) return `!${error.code}: ${name}: ${error.message}`
      // A bug in a builtin must not look like an answer.
      return `!!eval_internal_error: ${name}: ${error instanceof Error ? error.message : String(error)}`
    }
  }
  return (operands, left = Number.POSITIVE_INFINITY) => {
    beginSpending(left)
    const text = answer(operands)
    const steps = takeSpent()
    return steps > 0 ? `+${Math.ceil(steps)};${text}` : text
  }
}
