import { EvalError, load, type Loaded } from '../rego/index.ts'
import type { JsonObject } from '../model/json.ts'
import { readRules } from './opa-module.ts'
import { PACKAGE, rulesOf } from './rego-program.ts'
import type { ModuleAnswer, ModuleExplanation, ModuleParts, PolicyModule } from '../bundle/types.ts'

// Rego that the gate compiled itself runs in this thread: the compiled code counts its steps and its memory
// and ends by itself, so it needs no deadline, and a decision costs no message to another thread. An
// evaluation that fails is an answer with an error, which denies.

export type RegoParts = Extract<ModuleParts, { kind: 'rego' }>

/** Says which expressions made an answer, wherever the sources are. */
export type ExplainRego = (parts: RegoParts, input: JsonObject) => Promise<ModuleExplanation>

/** Compiled Rego in this thread. */
export class RegoModule implements PolicyModule {
  readonly name = 'rego'
  readonly entrypoints: readonly string[]
  readonly parts: RegoParts
  readonly #explain: ExplainRego
  readonly #loaded: Loaded

  constructor(parts: RegoParts, explain: ExplainRego) {
    const { module, image, reads, rules } = parts
    this.parts = parts
    this.#explain = explain
    this.#loaded = load(module, { image, reads })
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
    try {
      return await this.#explain(this.parts, input)
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
