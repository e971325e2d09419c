import { type Capabilities, compile } from './compile.ts'
import type { Budget } from './compile.ts'
import type { Diagnostic } from './diagnostics.ts'
import { type Expression, expressionsOf } from './explain.ts'
import { load, type PlainFunction } from './host/load.ts'

export interface EvalOptions {
  readonly query: string
  readonly modules?: Readonly<Record<string, string>>
  readonly data?: unknown
  readonly input?: unknown
  readonly capabilities?: Capabilities
  readonly builtins?: Readonly<Record<string, PlainFunction>>
  readonly v0?: boolean
  readonly strictBuiltinErrors?: boolean
  readonly budget?: Budget
  /** Also says which expressions of the modules were reached, and what was in them. */
  readonly explain?: boolean
}

export type EvalResult =
  | {
      readonly ok: true
      readonly solutions: readonly Readonly<Record<string, unknown>>[]
      /** With `explain`. */
      readonly expressions?: readonly Expression[]
    }
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[] }

/** A one-off query. Each solution binds the query's variables; a query that is one value binds `result` to it. */
export function evaluateQuery(options: EvalOptions): EvalResult {
  const { query, modules = {}, data, input, builtins, explain = false, ...others } = options
  const rest = explain ? { ...others, trace: 'values' as const } : others
  const bare =
    /^[^\n;]*$/.test(query) &&
    !/(?<![:=!<>])[:=]=?(?!=)|\bsome\b|\bevery\b|\bnot\b|\bwith\b/.test(query)
  let compiled = bare
    ? compile({ ...rest, modules, entrypoints: [], query: `result = ${query}` })
    : undefined
  if (!compiled?.ok) {
    const whole = compile({ ...rest, modules, entrypoints: [], query })
    compiled = whole.ok || !compiled ? whole : compiled
  }
  if (!compiled.ok) return compiled
  const policy = load(compiled, { data, ...(builtins ? { builtins } : {}) })
  try {
    const solutions = policy.solutions(input)
    if (!explain) return { ok: true, solutions }
    return { ok: true, solutions, expressions: expressionsOf(compiled, policy, modules) }
  } finally {
    policy.close()
  }
}
