import {
  type Compiled,
  compile,
  type CompileOptions,
  type Diagnostic,
  EvalError,
  type Expression,
  expressionsOf,
  load,
  type Loaded,
  type LoadOptions,
  ParseCache,
  type TestRule,
} from '../index.ts'
import { BegunCases, type Outcome, outcomeOf, testRules } from './rules.ts'

/** Modules by file, and the documents they read. */
interface RegoFiles {
  readonly modules: Readonly<Record<string, string>>
  readonly data: Readonly<Record<string, unknown>>
}

/** What came of a test, and where it failed the first expression that did not hold, and those of the policy. */
export interface RegoTestResult {
  readonly kind: 'rego'
  readonly name: string
  readonly file: string
  readonly row: number
  readonly outcome: 'passed' | 'failed' | 'todo'
  readonly ms: number
  readonly entrypoint: string
  readonly want?: string
  readonly got?: string
  readonly stopped?: Expression
  readonly expressions?: readonly Expression[]
}

/** Percent of traced expressions reached, and the lines that were not. */
export interface Coverage {
  readonly percent: number
  readonly missed: Readonly<Record<string, number[]>>
}

interface Report {
  readonly results: readonly RegoTestResult[]
  readonly coverage?: Coverage
}

interface Options {
  readonly wanted: (name: string) => boolean
  readonly coverage: boolean
  readonly v0: boolean
  /** Functions that another program would bring, by name. */
  readonly functions?: Readonly<Record<string, ForeignFunction>>
}

/** A function as its signature says, `(any) any`, and what stands in for it. */
export interface ForeignFunction {
  readonly signature: string
  call(...args: unknown[]): unknown
}

type RegoReport =
  | ({ readonly ok: true } & Report)
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[] }

/** Runs the `test_` rules of Rego files; one that starts with `todo_` is left out and counted. */
export function runRegoTests(files: RegoFiles, options: Options): RegoReport {
  const { coverage, v0 } = options
  const { data, modules } = files
  const parsed = new ParseCache()
  const tests = testRules(modules, v0, parsed)
  const cases = tests.filter(({ entrypoint }) => options.wanted(entrypoint))
  const entrypoints = cases.map(({ entrypoint }) => entrypoint)
  // Nothing calls rules here; as entrypoints they are compiled, so that what no test reaches is counted.
  const all = coverage ? [...entrypoints, ...ruleEntrypoints(modules, v0, parsed)] : entrypoints
  const foreign = Object.entries(options.functions ?? {})
  const functions = Object.fromEntries(foreign.map(([name, one]) => [name, one.signature]))
  const capabilities = foreign.length > 0 ? { capabilities: { functions } } : {}
  const compiled = compile({
    modules,
    entrypoints: all,
    trace: coverage,
    tests: true,
    v0,
    parsed,
    ...capabilities,
  })
  if (!compiled.ok) return compiled
  const begun = new BegunCases()
  const brought = foreign.map(
    ([name, one]) => [name, (...args: unknown[]) => one.call(...args)] as const,
  )
  const builtins = { ...Object.fromEntries(brought), ...begun.builtins }
  const loaded = load(compiled, { data, builtins })
  const why = new Why(modules, { data, builtins }, { entrypoints, v0, parsed, ...capabilities })
  const results = cases.map((one) => runCase(loaded, one, { begun, why }))
  if (!coverage) return { ok: true, results }
  return { ok: true, results, coverage: coverageOf(compiled, loaded) }
}

function ruleEntrypoints(
  modules: Readonly<Record<string, string>>,
  v0: boolean,
  parsed: ParseCache,
): string[] {
  const found = new Set<string>()
  for (const [file, source] of Object.entries(modules)) {
    const { module } = parsed.parse(file, source, { v0, experimental: false })
    if (!module || file.endsWith('_test.rego')) continue
    for (const { head } of module.rules) {
      if (head.args === undefined) found.add([...module.package.path, head.ref[0].name].join('/'))
    }
  }
  return [...found]
}

function runCase(
  loaded: Loaded,
  one: TestRule,
  { begun, why }: { readonly begun: BegunCases; readonly why: Why },
): RegoTestResult {
  const { entrypoint, name, file, location } = one
  const base = { kind: 'rego', entrypoint, name, file, row: location.row } as const
  if (one.isTodo) return { ...base, outcome: 'todo', ms: 0 }
  const startedAt = performance.now()
  const outcome = outcomeOf(loaded, one, begun)
  const ms = Math.round((performance.now() - startedAt) * 100) / 100
  if (outcome.kind === 'holds') return { ...base, outcome: 'passed', ms }
  return { ...base, outcome: 'failed', ms, want: 'true', got: gotText(outcome), ...why.of(one) }
}

function gotText(outcome: Exclude<Outcome, { readonly kind: 'holds' }>): string {
  if (outcome.kind === 'cases') return `not ${outcome.failed.join(', ')}`
  if (outcome.kind === 'error') return `${outcome.error.code}: ${outcome.error.message}`
  return outcome.value === undefined ? 'undefined' : JSON.stringify(outcome.value)
}

/** Says why a test failed, by running it again in a build that keeps values; made when the first one fails. */
class Why {
  readonly #modules: Readonly<Record<string, string>>
  readonly #world: LoadOptions
  readonly #options: Omit<CompileOptions, 'modules' | 'trace'>
  #build: { readonly compiled: Compiled; readonly loaded: Loaded } | false | undefined

  constructor(
    modules: Readonly<Record<string, string>>,
    world: LoadOptions,
    options: Omit<CompileOptions, 'modules' | 'trace'>,
  ) {
    this.#modules = modules
    this.#world = world
    this.#options = options
  }

  of({ entrypoint }: TestRule): Pick<RegoTestResult, 'stopped' | 'expressions'> {
    const compiled = this.#compiled()
    if (!compiled) return {}
    const { loaded } = compiled
    loaded.resetTrace()
    try {
      loaded.evaluate(entrypoint)
    } catch (error) {
      if (!(error instanceof EvalError)) throw error
      return {}
    }
    const all = expressionsOf(compiled.compiled, loaded, this.#modules)
    const path = `data.${entrypoint.replaceAll('/', '.')}`
    const stopped = all.find((one) => one.rule?.path === path && one.outcome !== 'true')
    const expressions = all.filter((one) => !one.file.endsWith('_test.rego'))
    return { ...(stopped ? { stopped } : {}), expressions: nearest(expressions) }
  }

  #compiled() {
    if (this.#build !== undefined) return this.#build
    const modules = this.#modules
    const compiled = compile({ modules, ...this.#options, tests: true, trace: 'values' })
    // What cannot be built for one failed test cannot for the next.
    this.#build = compiled.ok && { compiled, loaded: load(compiled, this.#world) }
    return this.#build
  }
}

/** More than these would hide what failed; those that did not hold come first. */
const EXPRESSIONS_MAX = 20

function nearest(expressions: readonly Expression[]): readonly Expression[] {
  if (expressions.length <= EXPRESSIONS_MAX) return expressions
  const failed = expressions.filter(({ outcome }) => outcome !== 'true')
  return failed.slice(0, EXPRESSIONS_MAX)
}

function coverageOf({ tracePoints }: Compiled, loaded: Loaded): Coverage {
  const missed: Record<string, number[]> = {}
  let counted = 0
  let hit = 0
  for (const [at, { reached }] of loaded.trace().entries()) {
    const { file, row, kind } = tracePoints[at] ?? { file: '', row: 0, kind: 'head' }
    if (file.endsWith('_test.rego') || kind === 'head') continue
    counted++
    if (reached > 0) hit++
    else missed[file] = [...new Set([...(missed[file] ?? []), row])]
  }
  const percent = counted === 0 ? 100 : Math.round((hit / counted) * 1000) / 10
  return { percent, missed }
}
