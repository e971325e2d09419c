import { EvalError, load, type Loaded } from '../rego/index.ts'
import type { JsonObject } from '../model/json.ts'
import { diagnosticAt, wholeFile } from './diagnostics.ts'
import { readRules } from './opa-module.ts'
import { PACKAGE, type RegoProgram, rulesOf } from './rego-program.ts'
import type { CompiledSources } from './rego-sources.ts'
import { askWorker } from './rego-thread.ts'
import type {
  CompiledModule,
  ModuleAnswer,
  ModuleCompiler,
  ModuleExplanation,
  PolicyModule,
} from './types.ts'

/**
 * Compiles Rego sources to one WebAssembly module that decides in this process. Compiling and the
 * policy's own tests happen in a worker thread, so that requests do not wait for them. No I/O
 * builtin is allowed.
 */
export const REGO_COMPILER: ModuleCompiler = {
  async compile({ sources, data, foreign }): Promise<CompiledModule> {
    const program = { id: nextId++, sources, data, foreign }
    const compiled = await compileAway(program)
    if (!compiled.ok) return compiled
    const { module, rules, warnings } = compiled
    return {
      ok: true,
      module: module && new RegoModule(program, load(module, { data }), rules),
      warnings,
    }
  },
}

let nextId = 1

async function compileAway(program: RegoProgram): Promise<CompiledSources> {
  try {
    const answer = await askWorker({ kind: 'compile', program })
    if (answer.kind === 'compiled') return answer.compiled
    throw new Error('the compiler gave no answer')
  } catch (error) {
    const [file = '.'] = program.sources.keys()
    const message = `cannot be compiled: ${(error as Error).message}`
    return {
      ok: false,
      diagnostics: [diagnosticAt(wholeFile(file), 'error', 'rego_failed', message)],
    }
  }
}

class RegoModule implements PolicyModule {
  readonly name = 'rego'
  readonly entrypoints: readonly string[]
  readonly #program: RegoProgram
  readonly #loaded: Loaded
  readonly #rules: readonly string[]

  constructor(program: RegoProgram, loaded: Loaded, rules: readonly string[]) {
    this.#program = program
    this.#loaded = loaded
    this.#rules = rules
    this.entrypoints = Object.freeze(rules.map((rule) => `${PACKAGE}/${rule}`))
  }

  evaluate(input: JsonObject): ModuleAnswer {
    try {
      return readRules(rulesOf(this.#loaded.solutions(input)))
    } catch (error) {
      return failed(error)
    }
  }

  async explain(input: JsonObject): Promise<ModuleExplanation> {
    const question = { kind: 'explain', id: this.#program.id, rules: this.#rules, input } as const
    try {
      const first = await askWorker({ ...question, program: undefined })
      const answer =
        first.kind === 'unknown_program'
          ? await askWorker({ ...question, program: this.#program })
          : first
      if (answer.kind === 'explained') return answer.explanation
      return { ok: false, message: 'the compiler gave no answer' }
    } catch (error) {
      return { ok: false, message: (error as Error).message }
    }
  }

  async close(): Promise<void> {
    this.#loaded.close()
  }
}

const OVER_BUDGET = ['rego_budget_exceeded', 'rego_memory_exceeded']

function failed(error: unknown): ModuleAnswer {
  const isOver = error instanceof EvalError && OVER_BUDGET.includes(error.code)
  const message = error instanceof Error ? error.message : 'the evaluation failed'
  const nothing = { allow: false, deny: [], requireApproval: [], obligations: [] }
  return {
    ...nothing,
    error: { code: isOver ? 'policy_budget_exceeded' : 'policy_error', message },
  }
}
