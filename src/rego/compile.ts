import { check, type CheckedQuery } from './checker/check.ts'
import { builtinType, OUTSIDE, parseSignature } from './builtins/builtins.ts'
import type { FunctionType } from './builtins/types.ts'
import { generate } from './codegen/codegen.ts'
import { machineBuiltin } from './codegen/machine.ts'
import { type Diagnostic, Diagnostics, sortDiagnostics } from './diagnostics.ts'
import type { Module } from './ast/ast.ts'
import { separateTests } from './ast/tests.ts'
import { ParseCache } from './parser/cache.ts'
import { parseQuery } from './parser/parse.ts'
import { TEST_CASE } from './planner/cases.ts'
import { PlanError } from './planner/frame.ts'
import type { Entrypoint } from './planner/input.ts'
import { Planner } from './planner/planner.ts'
import type { TracePoint } from './planner/points.ts'
import type { Policy } from './ir/ir.ts'
import { nodeAt, type RuleNode } from './ast/tree.ts'
import type { Projection } from './host/project.ts'
import { inputReads } from './input-reads.ts'
import { type RuleSurvey, surveyOf } from './survey.ts'

// Where the stages meet: text, tree, checked tree, plan, machine code. Each hands a finished value to the next and
// knows nothing of those behind it; one that finds something wrong ends the compilation with all that it found.
// What only some builds need (warnings, trace points, the survey of rules, what is read of `input`) is gathered on
// the way and comes out beside the code.

export interface Capabilities {
  /** Builtins a policy may use. Without it: every one that stays inside the evaluation. */
  readonly builtins?: readonly string[]
  /** Builtins beside those: what reaches outside, as `http.send`. */
  readonly allow?: readonly string[]
  /** Functions that the embedder brings: name -> `(string, number) boolean`. */
  readonly functions?: Readonly<Record<string, string>>
  /** The keywords `and`, `or` and `not { ... }` of a future Rego. */
  readonly experimental?: boolean
}

export interface Budget {
  /** Steps an evaluation may take. */
  readonly steps?: number
  /** Memory pages of 64 KiB an instance may have. */
  readonly pages?: number
}

export interface CompileOptions {
  /** Path -> source text. */
  readonly modules: Readonly<Record<string, string>>
  /** Documents below `data`, with slashes: `authz/allow`. */
  readonly entrypoints: readonly string[]
  /** A query beside or instead of entrypoints; its variables are the result of entrypoint `query`. */
  readonly query?: string
  readonly capabilities?: Capabilities
  readonly v0?: boolean
  readonly strict?: boolean
  readonly strictBuiltinErrors?: boolean
  /** Counts how often each expression was reached and held; `values` also keeps what was in them. */
  readonly trace?: boolean | 'values'
  readonly budget?: Budget
  /** Keeps what was parsed for the next compilation. */
  readonly parsed?: ParseCache
  /**
   * Each definition of a test is a rule of its own, and one with cases calls `internal.test_case` with the path of each
   * that it begins: `load` has to be given that function.
   */
  readonly tests?: boolean
  /** Says also what the rules are and what they refer to. */
  readonly survey?: boolean
}

export interface Compiled {
  readonly ok: true
  readonly wasm: Uint8Array
  readonly entrypoints: readonly string[]
  /** Functions the host must bring, by their names in the module. */
  readonly builtins: readonly string[]
  /** What strict mode would refuse: unused imports, variables and arguments, deprecated functions. */
  readonly warnings: readonly Diagnostic[]
  /** Where the points of a trace build stand; empty otherwise. */
  readonly tracePoints: readonly TracePoint[]
  /** The rules, when they were asked for; empty otherwise. */
  readonly survey: readonly RuleSurvey[]
  /** What of `input` is read; an evaluation is given no more. */
  readonly reads: Projection
}
export interface Refused {
  readonly ok: false
  readonly diagnostics: readonly Diagnostic[]
}

/** Sources to a module, or all that is wrong with them. Never throws for what a policy says. */
export function compile(options: CompileOptions): Compiled | Refused {
  return guarded(() => compileOrThrow(options))
}

/** Text that is nested or long beyond the stack is refused like any other mistake. */
function guarded<T>(run: () => T): T | Refused {
  try {
    return run()
  } catch (error) {
    const message =
      error instanceof RangeError
        ? 'the policy is too deeply nested to compile'
        : `the compiler failed: ${String(error)}`
    return {
      ok: false,
      diagnostics: [{ code: 'rego_compile_error', message, location: NOWHERE, hints: [] }],
    }
  }
}

const TRACE = { false: false, true: 'counts', values: 'values' } as const

const NOWHERE = { file: '', row: 0, col: 0, length: 0 }

function compileOrThrow(options: CompileOptions): Compiled | Refused {
  const planned = planOrThrow(options)
  if (!planned.ok) return planned
  const { policy, tracePoints } = planned
  const { steps, pages } = options.budget ?? {}
  const { wasm, hostBuiltins } = generate(policy, {
    strictBuiltinErrors: options.strictBuiltinErrors ?? false,
    ...(steps === undefined ? {} : { steps }),
    ...(pages === undefined ? {} : { pages }),
  })
  return {
    ok: true,
    wasm,
    entrypoints: policy.plans.map(({ name }) => name),
    builtins: hostBuiltins,
    warnings: planned.warnings,
    tracePoints,
    survey: planned.survey,
    reads: planned.reads,
  }
}

export interface Planned {
  readonly ok: true
  readonly policy: Policy
  readonly warnings: readonly Diagnostic[]
  readonly tracePoints: readonly TracePoint[]
  readonly survey: readonly RuleSurvey[]
  readonly reads: Projection
}

/** Everything up to the intermediate representation. */
export function plan(options: CompileOptions): Planned | Refused {
  return guarded(() => planOrThrow(options))
}

function planOrThrow(options: CompileOptions): Planned | Refused {
  const diagnostics = new Diagnostics()
  const experimental = options.capabilities?.experimental ?? false
  const v0 = options.v0 ?? false
  const modules: Module[] = []
  const problems: Diagnostic[] = []
  for (const [file, source] of Object.entries(options.modules)) {
    const parsed = (options.parsed ?? new ParseCache()).parse(file, source, { v0, experimental })
    problems.push(...parsed.diagnostics)
    if (parsed.module) modules.push(parsed.module)
  }
  const query =
    options.query === undefined ? undefined : parseQuery(options.query, { v0, experimental })
  if (query) problems.push(...query.diagnostics)
  const declared = new Map<string, FunctionType>()
  for (const [name, text] of Object.entries(options.capabilities?.functions ?? {})) {
    const type = declaredType(text)
    if (!type) problems.push(badSignature(name, text))
    else declared.set(name, type)
  }
  if (options.tests) declared.set(TEST_CASE, parseSignature('(any) boolean'))
  if (problems.length > 0) return { ok: false, diagnostics: problems }
  const checked = check(
    options.tests ? separateTests(modules).modules : modules,
    query?.body && { body: query.body },
    { strict: options.strict ?? false, declared, allowed: allowance(options, declared) },
    diagnostics,
  )
  if (!checked) return { ok: false, diagnostics: sortDiagnostics(diagnostics.list) }
  const entries = entrypoints(options, checked.tree, checked.query, diagnostics)
  if (diagnostics.any) return { ok: false, diagnostics: sortDiagnostics(diagnostics.list) }
  const planner = new Planner({
    tree: checked.tree,
    modules: checked.modules,
    arity: (name) => declared.get(name)?.args.length ?? arityOf(name),
    plain: new Set(declared.keys()),
    inMachine: (name) => machineBuiltin(name) !== undefined,
    strictErrors: options.strictBuiltinErrors ?? false,
    tests: options.tests ?? false,
    trace: TRACE[String(options.trace ?? false) as 'false' | 'true' | 'values'],
    original: checked.original,
  })
  try {
    const policy = planner.plan(entries)
    const warnings = sortDiagnostics(checked.warnings)
    const survey = options.survey ? surveyOf(checked) : []
    const reads = inputReads(checked.resolved, query?.body)
    return { ok: true, policy, warnings, tracePoints: planner.tracePoints, survey, reads }
  } catch (error) {
    if (!(error instanceof PlanError)) throw error
    const location = { file: '', row: 0, col: 0, length: 0 }
    return {
      ok: false,
      diagnostics: [{ code: 'rego_compile_error', message: error.message, location, hints: [] }],
    }
  }
}

function declaredType(signature: string): FunctionType | undefined {
  try {
    return parseSignature(signature)
  } catch {
    return undefined
  }
}

function badSignature(name: string, signature: string): Diagnostic {
  const message = `the signature of ${name} is not one such as \`(string, [any]) boolean\`: \`${signature}\``
  return { code: 'rego_capability_error', message, location: NOWHERE, hints: [] }
}

function arityOf(name: string): number | undefined {
  return builtinType(name)?.args.length
}

function allowance(
  options: CompileOptions,
  declared: ReadonlyMap<string, unknown>,
): (name: string) => boolean {
  const { capabilities } = options
  // A mere check, as nothing can be evaluated: only what was asked for is refused.
  if (!capabilities && options.entrypoints.length === 0 && options.query === undefined)
    return () => true
  const listed = capabilities?.builtins && new Set(capabilities.builtins)
  const extra = new Set(capabilities?.allow ?? [])
  return (name) =>
    declared.has(name) || extra.has(name) || (listed ? listed.has(name) : !OUTSIDE.has(name))
}

function entrypoints(
  options: CompileOptions,
  tree: RuleNode,
  query: CheckedQuery | undefined,
  diagnostics: Diagnostics,
): Entrypoint[] {
  const found: Entrypoint[] = []
  for (const name of options.entrypoints) {
    const path = name.split('/').filter((part) => part !== '')
    const node = nodeAt(tree, path)
    if (!node && !insideDynamic(tree, path)) {
      diagnostics.add(
        'rego_compile_error',
        { file: '', row: 0, col: 0, length: 0 },
        `entrypoint ${name} does not refer to a rule or policy decision`,
      )
      continue
    }
    found.push({ name, path })
  }
  if (query) found.push({ name: 'query', query })
  return found
}

/** Whether a path leads into the value of a rule. */
function insideDynamic(tree: RuleNode, path: readonly string[]): boolean {
  for (let n = path.length - 1; n > 0; n--) {
    const node = nodeAt(tree, path.slice(0, n))
    if (node) return node.rules.length > 0
  }
  return false
}
