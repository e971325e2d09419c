import {
  compile,
  type DataImage,
  EvalError,
  load,
  parse,
  ParseCache,
  type Diagnostic as RegoDiagnostic,
  type Loaded,
  type ParsedModule,
  type Projection,
  type RuleSurvey,
  separateTests,
  type TestRule,
} from '../rego/index.ts'
import { BegunCases, type Outcome, outcomeOf } from '../rego/testing/rules.ts'
import type { Compiled } from '../bundle/types.ts'
import type { JsonObject } from '../model/json.ts'
import { type Diagnostic, diagnosticAt, wholeFile } from '../sources/diagnostics.ts'
import { nameHint } from './rego-hints.ts'
import { placeAt } from './rego-place.ts'
import { reachFindings, type RegoFile } from './rego-reach.ts'
import { shapeFindings } from './rego-shapes.ts'
import {
  BUDGET,
  CAPABILITIES,
  DECIDING,
  isTestFile,
  PACKAGE,
  policiesOf,
  queryFor,
  type RegoProgram,
} from './rego-program.ts'

// From the Rego files of a policy to one module that decides, with every finding on the way: tests are
// compiled along and run first, then reach (rules that read what is not there) and shape (values that are no
// answer) are checked on the survey of the compiled rules. What does not fit at load does not load, so that
// it cannot fail at the first decision.

interface Survey {
  readonly rules: readonly string[]
  /** Rules of test files that have to hold before the policy may decide. */
  readonly tests: readonly TestRule[]
  readonly files: readonly RegoFile[]
}

export interface CompiledRego {
  readonly module: WebAssembly.Module
  /** The rules that decide and are there. */
  readonly rules: readonly string[]
  /** What of the input they read. */
  readonly reads: Projection
  /** The documents that they read. */
  readonly image: DataImage
}

export type CompiledSources = Compiled<CompiledRego>

/** From one reload to the next most files stay as they are. */
export const parsed = new ParseCache()

/** Compiles sources to one module, having run the `test_` rules of their `*_test.rego` files. */
export function compileSources(program: RegoProgram): CompiledSources {
  const { sources, data, takesInquiries, tellsTests } = program
  const survey = surveyOf(program)
  // Policies and tests together first, so that what is wrong with either is said at once.
  const tested = runTests(sources, data, survey.tests)
  const compiled = tested.ok ? compilePolicies(sources, survey.rules) : undefined
  parsed.sweep()
  if (!tested.ok) return { ok: false, diagnostics: tested.diagnostics }
  if (compiled && !compiled.ok) {
    return { ok: false, diagnostics: compiled.diagnostics.map(toError(sources)) }
  }
  const policies = compiled?.survey ?? []
  const tests = tested.survey.filter(({ file }) => isTestFile(file))
  const findings = [
    ...reachFindings({ files: survey.files, policies, tests, data, takesInquiries }),
    ...shapeFindings(policies),
    ...(tellsTests ? [] : tested.failures),
  ]
  if (findings.length > 0) return { ok: false, diagnostics: findings }
  const told = tellsTests ? tested.failures.map(asWarning) : []
  const warnings = [...(compiled?.warnings ?? []).map(toWarning), ...told]
  if (!compiled) return { ok: true, module: null, warnings }
  const module = new WebAssembly.Module(compiled.wasm)
  const image = imageOf(module, documentsFor(policies, data))
  if (!image) {
    const [file = '.'] = sources.keys()
    const message = 'the documents that Rego reads do not fit its memory'
    return {
      ok: false,
      diagnostics: [diagnosticAt(wholeFile(file), 'error', 'rego_failed', message)],
    }
  }
  return {
    ok: true,
    module: { module, rules: survey.rules, reads: compiled.reads, image },
    warnings,
  }
}

// A document that no rule refers to, such as a long list for a guard, need not be there when one decides.
function documentsFor(rules: readonly RuleSurvey[], data: JsonObject): JsonObject {
  const roots = new Set<string | undefined>()
  for (const { reads } of rules) {
    for (const { root, steps } of reads) if (root === 'data') roots.add(steps[0]?.key)
  }
  if (roots.has(undefined)) return data
  return Object.fromEntries(Object.entries(data).filter(([name]) => roots.has(name)))
}

function compilePolicies(sources: ReadonlyMap<string, string>, rules: readonly string[]) {
  const modules = policiesOf(sources)
  if (Object.keys(modules).length === 0) return undefined
  const query = rules.length > 0 ? { query: queryFor(rules) } : {}
  const options = { budget: BUDGET, capabilities: CAPABILITIES, parsed, survey: true }
  return compile({ modules, entrypoints: [], ...query, ...options })
}

/** Compiles once more and keeps nothing of it, so that the next one finds a compiler that V8 has optimised. */
export function rehearse(program: RegoProgram): void {
  const modules = policiesOf(program.sources)
  const { rules } = surveyOf(program)
  if (rules.length === 0) return
  const options = { budget: BUDGET, capabilities: CAPABILITIES }
  compile({ modules, entrypoints: [], query: queryFor(rules), ...options })
}

// V8 compiles a function at its first call and shares the code of equal modules in the process: called
// once here, the first decision of the new revision does not wait for it. Held until the next one.
let warm: Loaded | undefined

/** Loads the documents and evaluates once; undefined when they are too much for the memory it may have. */
function imageOf(module: WebAssembly.Module, data: JsonObject): DataImage | undefined {
  warm?.close()
  warm = undefined
  try {
    const loaded = load(module, { data })
    warm = loaded
    const image = loaded.dataImage()
    tryOut(loaded)
    return image
  } catch (error) {
    if (error instanceof EvalError || error instanceof RangeError) return undefined
    throw error
  }
}

function tryOut(loaded: Loaded): void {
  try {
    loaded.solutions({})
  } catch (error) {
    if (!(error instanceof EvalError)) throw error // an answer, good or bad, is not the point
  }
}

function surveyOf({ sources, foreign }: RegoProgram): Survey {
  const others = new Set(foreign)
  const deciding = new Set<string>()
  const modules: ParsedModule[] = []
  const files: RegoFile[] = []
  for (const [file, text] of sources) {
    const { module } = parsed.parse(file, text, { v0: false, experimental: false })
    if (!module) continue // compiling reports it, with every other mistake
    modules.push(module)
    files.push(describeFile(module, others.has(file)))
    const path = module.package.path.join('/')
    if (path !== PACKAGE || isTestFile(file)) continue
    for (const { head } of module.rules) {
      const [{ name }] = head.ref
      if (DECIDING.includes(name) && !head.args) deciding.add(name)
    }
  }
  const tests = separateTests(modules).tests.filter((one) => isTestFile(one.file) && !one.isTodo)
  return { rules: [...deciding].sort(), tests, files }
}

const LIBRARY = /^\s*portcullis:\s*library\s*$/

function describeFile(module: ParsedModule, isForeign: boolean): RegoFile {
  const { file, rules, comments, annotations } = module
  const firstRule = rules[0]?.loc.row ?? Number.POSITIVE_INFINITY
  const entrypoints = annotations.flatMap(({ entrypoint, scope, endRow }) => {
    if (entrypoint !== true) return []
    const next = rules.find(({ loc }) => loc.row >= endRow)
    return scope === 'package' ? ['package'] : next ? [String(next.loc.row)] : []
  })
  return {
    file,
    package: module.package.path,
    location: module.package.loc,
    isTest: isTestFile(file),
    isForeign,
    isLibrary: comments.some(({ text, loc }) => loc.row < firstRule && LIBRARY.test(text)),
    entrypoints,
  }
}

type Tested =
  | {
      readonly ok: true
      readonly failures: readonly Diagnostic[]
      readonly survey: readonly RuleSurvey[]
    }
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[] }

function runTests(
  sources: ReadonlyMap<string, string>,
  data: JsonObject,
  tests: readonly TestRule[],
): Tested {
  if (![...sources.keys()].some(isTestFile)) return { ok: true, failures: [], survey: [] }
  const compiled = compile({
    modules: Object.fromEntries(sources),
    entrypoints: tests.map(({ entrypoint }) => entrypoint),
    budget: BUDGET,
    capabilities: CAPABILITIES,
    parsed,
    survey: true,
    tests: true,
  })
  if (!compiled.ok) return { ok: false, diagnostics: compiled.diagnostics.map(toError(sources)) }
  const begun = new BegunCases()
  const loaded = load(compiled, { data, builtins: begun.builtins })
  const failures = tests.flatMap((test) => failureOf(test, outcomeOf(loaded, test, begun)))
  loaded.close()
  return { ok: true, failures, survey: compiled.survey }
}

function failureOf({ name, location }: TestRule, outcome: Outcome): Diagnostic[] {
  if (outcome.kind === 'holds') return []
  const message = `policy test \`${name}\` ${insteadOf(outcome)}`
  return [diagnosticAt(placeAt(location), 'error', 'policy_test_failed', message)]
}

const VALUE_LENGTH_MAX = 80
const CASES_MAX = 10

/** What a test did instead of holding. */
function insteadOf(outcome: Exclude<Outcome, { readonly kind: 'holds' }>): string {
  if (outcome.kind === 'error') return `failed: ${outcome.error.code}: ${outcome.error.message}`
  if (outcome.kind === 'value') {
    const { value } = outcome
    return value === undefined
      ? 'is undefined'
      : `is ${JSON.stringify(value).slice(0, VALUE_LENGTH_MAX)}`
  }
  const { failed } = outcome
  const more = failed.length > CASES_MAX ? `, and ${failed.length - CASES_MAX} more` : ''
  const names = failed.slice(0, CASES_MAX).map((one) => `\`${one.slice(0, VALUE_LENGTH_MAX)}\``)
  return `does not hold for ${names.join(', ')}${more}`
}

const asWarning = (one: Diagnostic): Diagnostic => ({ ...one, severity: 'warning' })

const toWarning = ({ message, location, hints }: RegoDiagnostic): Diagnostic =>
  diagnosticAt(placeAt(location), 'warning', 'rego_warning', message, hints[0])

const toError =
  (sources: ReadonlyMap<string, string>) =>
  (one: RegoDiagnostic): Diagnostic => {
    const { code, message, location, hints } = one
    const old = code === 'rego_parse_error' && isOldDialect(sources.get(location.file))
    const hint = old ? OLD_DIALECT : (hints[0] ?? nameHint(one, modulesOf(sources)))
    return diagnosticAt(placeAt(location), 'error', code, message, hint)
  }

const OLD_DIALECT = 'it is in the old dialect: `portcullis rego migrate` rewrites it'

const isOldDialect = (text: string | undefined): boolean =>
  text !== undefined && parse(text, { v0: true }).ok

const modulesOf = (sources: ReadonlyMap<string, string>): readonly ParsedModule[] =>
  [...sources].flatMap(([file, text]) => {
    const { module } = parsed.parse(file, text, { v0: false, experimental: false })
    return module ? [module] : []
  })
