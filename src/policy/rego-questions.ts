import type { JsonObject } from '../model/json.ts'
import { explainInput } from './rego-explain.ts'
import type { RegoProgram } from './rego-program.ts'
import { type CompiledSources, compileSources, rehearse } from './rego-sources.ts'
import type { ModuleExplanation } from './types.ts'

/** What the worker is asked. Sources come along only when it does not have the program. */
export type Question =
  | { readonly kind: 'compile'; readonly program: RegoProgram }
  | {
      readonly kind: 'explain'
      readonly id: number
      readonly program: RegoProgram | undefined
      readonly rules: readonly string[]
      readonly input: JsonObject
    }

export type Answer =
  | { readonly kind: 'compiled'; readonly compiled: CompiledSources }
  | { readonly kind: 'explained'; readonly explanation: ModuleExplanation }
  | { readonly kind: 'unknown_program' }

/** Measured: the third compilation of 50 files takes half as long as the first, and later ones no less. */
let rehearsalsLeft = 2

/** Makes ready for the next reload while nobody asks anything; false when there is no more to gain. */
export function prepare(): boolean {
  const [program] = [...programs.values()].slice(-1)
  if (!program || rehearsalsLeft === 0) return false
  rehearsalsLeft--
  rehearse(program)
  return rehearsalsLeft > 0
}

// The live program and the one before it, which may still be asked about.
const PROGRAMS_MAX = 2
const programs = new Map<number, RegoProgram>()

export function answerQuestion(question: Question): Answer {
  if (question.kind === 'compile') {
    const compiled = compileSources(question.program)
    if (compiled.ok) remember(question.program)
    return { kind: 'compiled', compiled }
  }
  const { id, rules, input } = question
  if (question.program) remember(question.program)
  const program = programs.get(id)
  if (!program) return { kind: 'unknown_program' }
  return { kind: 'explained', explanation: explainInput(program, rules, input) }
}

function remember(program: RegoProgram): void {
  programs.set(program.id, program)
  for (const id of programs.keys()) if (programs.size > PROGRAMS_MAX) programs.delete(id)
}
