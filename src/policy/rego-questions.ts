import type { JsonObject } from '../model/json.ts'
import { explainInput } from './rego-explain.ts'
import type { RegoProgram } from './rego-program.ts'
import { type CompiledSources, compileSources } from './rego-sources.ts'
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
