import { Worker } from 'node:worker_threads'
import { EvalError, load, type Loaded } from '../rego/index.ts'
import type { Json, JsonObject } from '../model/json.ts'
import { readRules } from './opa-module.ts'
import { PACKAGE, type CompiledSources } from './rego-sources.ts'
import type { CompiledModule, ModuleAnswer, ModuleCompiler, PolicyModule } from './types.ts'

/** Longer, and the policy is refused: tests that never end must not hold up every reload behind them. */
const COMPILE_TIMEOUT_MS = 30_000

/**
 * Compiles Rego sources to one WebAssembly module that decides in this process. Compiling and the
 * policy's own tests happen in a worker thread, so that requests do not wait for them. No I/O
 * builtin is allowed.
 */
export const REGO_COMPILER: ModuleCompiler = {
  async compile(sources, data): Promise<CompiledModule> {
    const compiled = await inWorker(sources, data)
    if (!compiled.ok) return compiled
    const { wasm, entrypoints, warnings } = compiled
    const module = wasm && new RegoModule(load(wasm, { data }), entrypoints)
    return { ok: true, module, warnings }
  },
}

// One worker for all reloads: it stays warm, and compiles several times as fast as a new one.
let worker: Worker | undefined
let turn: Promise<unknown> = Promise.resolve()

function inWorker(
  sources: ReadonlyMap<string, string>,
  data: JsonObject,
): Promise<CompiledSources> {
  const run = turn.then(() => ask(sources, data))
  turn = run.catch(() => undefined)
  return run
}

async function ask(
  sources: ReadonlyMap<string, string>,
  data: JsonObject,
): Promise<CompiledSources> {
  worker ??= new Worker(new URL('./rego-worker.mjs', import.meta.url))
  const asked = worker
  asked.ref()
  try {
    return await answerOf(asked, { sources, data })
  } catch (error) {
    worker = undefined
    void asked.terminate()
    return tooLong(sources, error)
  } finally {
    asked.unref()
  }
}

function answerOf(asked: Worker, question: unknown): Promise<CompiledSources> {
  return new Promise((resolve, reject) => {
    const done = (settle: () => void) => {
      clearTimeout(timer)
      asked.off('message', onMessage).off('error', onError).off('exit', onExit)
      settle()
    }
    const fail = (message: string) => done(() => reject(new Error(message)))
    const onMessage = (answer: CompiledSources) => done(() => resolve(answer))
    const onError = (error: Error) => fail(error.message)
    const onExit = () => fail('the compiler stopped')
    const timer = setTimeout(() => fail('it took too long'), COMPILE_TIMEOUT_MS)
    asked.on('message', onMessage).on('error', onError).on('exit', onExit)
    asked.postMessage(question)
  })
}

function tooLong(sources: ReadonlyMap<string, string>, error: unknown): CompiledSources {
  const [file = '.'] = sources.keys()
  const message = `cannot be compiled: ${(error as Error).message}`
  const place = { file, line: 1, col: 1 }
  return { ok: false, diagnostics: [{ ...place, code: 'rego_failed', message, severity: 'error' }] }
}

class RegoModule implements PolicyModule {
  readonly name = 'rego'
  readonly entrypoints: readonly string[]
  readonly #loaded: Loaded

  constructor(loaded: Loaded, entrypoints: readonly string[]) {
    this.#loaded = loaded
    this.entrypoints = entrypoints
  }

  evaluate(input: JsonObject): ModuleAnswer {
    try {
      const rules = new Map<string, Json>()
      for (const entrypoint of this.entrypoints) {
        const value = this.#loaded.evaluate(entrypoint, input) as Json | undefined
        if (value !== undefined) rules.set(entrypoint.slice(PACKAGE.length + 1), value)
      }
      return readRules(rules)
    } catch (error) {
      return failed(error)
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
