import { EvalError, load, type Loaded } from '../rego/index.ts'
import type { JsonObject } from '../model/json.ts'
import { readRules } from './opa-module.ts'
import { PACKAGE, rulesOf } from './rego-program.ts'
import { type QueryParts, RegoDocuments } from './rego-queries.ts'
import type {
  ModuleAnswer,
  ModuleExplanation,
  ModuleParts,
  PolicyDocuments,
  PolicyModule,
} from '../bundle/types.ts'

// Rego that the gate compiled itself runs in this thread: the compiled code counts its steps and its memory
// and ends by itself, so it needs no deadline, and a decision costs no message to another thread. An
// evaluation that fails is an answer with an error, which denies.

export type RegoParts = Extract<ModuleParts, { kind: 'rego' }>

/** What is done where the sources are, which may be another thread. */
export interface RegoSources {
  /** Says which expressions made an answer. */
  explain(parts: RegoParts, input: JsonObject): Promise<ModuleExplanation>
  /** @throws Error when they cannot be asked for by path */
  queries(parts: RegoParts): Promise<QueryParts>
}

/** Compiled Rego in this thread. */
export class RegoModule implements PolicyModule {
  readonly name = 'rego'
  readonly entrypoints: readonly string[]
  readonly parts: RegoParts
  readonly #sources: RegoSources
  /** None where no rule of it decides. */
  readonly #loaded: Loaded | undefined
  #documents: Promise<RegoDocuments> | undefined

  constructor(parts: RegoParts, sources: RegoSources) {
    const { module, image, reads, rules } = parts
    this.parts = parts
    this.#sources = sources
    this.#loaded = rules.length > 0 ? load(module, { image, reads }) : undefined
    this.entrypoints = Object.freeze(rules.map((rule) => `${PACKAGE}/${rule}`))
  }

  evaluate(input: JsonObject): ModuleAnswer {
    if (!this.#loaded) return NOTHING
    try {
      return readRules(rulesOf(this.#loaded.solutions(input)))
    } catch (error) {
      return failed(error)
    }
  }

  async explain(input: JsonObject): Promise<ModuleExplanation> {
    try {
      return await this.#sources.explain(this.parts, input)
    } catch (error) {
      return { ok: false, message: (error as Error).message }
    }
  }

  documents(): Promise<PolicyDocuments> {
    this.#documents ??= this.#compileDocuments()
    return this.#documents
  }

  async close(): Promise<void> {
    this.#loaded?.close()
  }

  // What failed is tried again by the next who asks.
  async #compileDocuments(): Promise<RegoDocuments> {
    try {
      return new RegoDocuments(await this.#sources.queries(this.parts))
    } catch (error) {
      this.#documents = undefined
      throw error
    }
  }
}

const NOTHING: ModuleAnswer = Object.freeze({
  allow: false,
  deny: [],
  requireApproval: [],
  obligations: [],
})

const OVER_BUDGET = ['rego_budget_exceeded', 'rego_memory_exceeded']

function failed(error: unknown): ModuleAnswer {
  const isOver = error instanceof EvalError && OVER_BUDGET.includes(error.code)
  const message = error instanceof Error ? error.message : 'the evaluation failed'
  return {
    ...NOTHING,
    error: { code: isOver ? 'policy_budget_exceeded' : 'policy_error', message },
  }
}
