import {
  BUILTIN_NAMES,
  compile,
  EvalError,
  load,
  OUTSIDE,
  parse,
  type Diagnostic as RegoDiagnostic,
  type Loaded,
  VARYING,
} from '../rego/index.ts'
import type { JsonObject } from '../model/json.ts'
import type { Diagnostic } from './diagnostics.ts'

/** The rules of package `agent` that decide. Any other rule is the policy's own affair. */
const DECIDING = ['allow', 'deny', 'require_approval', 'obligations']
export const PACKAGE = 'agent'
/** What one decision may cost. Counted in the module itself, so the same input always gets as far. */
const BUDGET = { steps: 5_000_000, pages: 1_024 }
/** No network, no chance, and no clock but the one in the input: the same input gets the same answer. */
const CAPABILITIES = {
  builtins: BUILTIN_NAMES.filter((name) => !OUTSIDE.has(name) && !VARYING.has(name)),
}
const TEST_RULE = /^test_/

/** A rule of a test file that has to be true before the policy may decide. */
interface PolicyTest {
  readonly entrypoint: string
  readonly file: string
  readonly line: number
  readonly col: number
}

interface Survey {
  readonly deciding: readonly string[]
  readonly tests: readonly PolicyTest[]
}

/** Plain data, so that it can come from a worker. `wasm` is null when there is nothing but tests. */
export type CompiledSources =
  | {
      readonly ok: true
      readonly wasm: Uint8Array | null
      readonly entrypoints: readonly string[]
      readonly warnings: readonly Diagnostic[]
    }
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[] }

/** Compiles sources to one module, having run the `test_` rules of their `*_test.rego` files. */
export function compileSources(
  sources: ReadonlyMap<string, string>,
  data: JsonObject,
): CompiledSources {
  const survey = surveyOf(sources)
  const tested = runTests(sources, data, survey.tests)
  if (tested.length > 0) return { ok: false, diagnostics: tested }
  const policies = [...sources].filter(([name]) => !isTestFile(name))
  if (policies.length === 0) return { ok: true, wasm: null, entrypoints: [], warnings: [] }
  const compiled = compile({
    modules: Object.fromEntries(policies),
    entrypoints: survey.deciding,
    budget: BUDGET,
    capabilities: CAPABILITIES,
  })
  if (!compiled.ok) return { ok: false, diagnostics: compiled.diagnostics.map(toDiagnostic) }
  const { wasm, warnings } = compiled
  warmUp(wasm, data, survey.deciding)
  return { ok: true, wasm, entrypoints: survey.deciding, warnings: warnings.map(toDiagnostic) }
}

// V8 compiles a function at its first call and shares the code of equal modules in the process: called
// once here, the first decision of the new revision does not wait for it. Held until the next one.
let warm: Loaded | undefined

function warmUp(wasm: Uint8Array, data: JsonObject, entrypoints: readonly string[]): void {
  warm?.close()
  warm = load(wasm, { data })
  for (const entrypoint of entrypoints) {
    try {
      warm.evaluate(entrypoint, {})
    } catch (error) {
      if (!(error instanceof EvalError)) throw error // an answer, good or bad, is not the point
    }
  }
}

const isTestFile = (name: string): boolean => name.endsWith('_test.rego')

function surveyOf(sources: ReadonlyMap<string, string>): Survey {
  const deciding = new Set<string>()
  const tests = new Map<string, PolicyTest>()
  for (const [file, text] of sources) {
    const parsed = parse(text, { file })
    if (!parsed.ok) continue // compiling reports it, with every other mistake
    const path = parsed.module.package.path.join('/')
    for (const rule of parsed.module.rules) {
      const [{ name }] = rule.head.ref
      const entrypoint = `${path}/${name}`
      const { row: line, col } = rule.loc
      if (isTestFile(file) && TEST_RULE.test(name)) {
        tests.set(entrypoint, { entrypoint, file, line, col })
      } else if (path === PACKAGE && DECIDING.includes(name)) deciding.add(entrypoint)
    }
  }
  return { deciding: [...deciding].sort(), tests: [...tests.values()] }
}

function runTests(
  sources: ReadonlyMap<string, string>,
  data: JsonObject,
  tests: readonly PolicyTest[],
): readonly Diagnostic[] {
  if (![...sources.keys()].some(isTestFile)) return []
  const compiled = compile({
    modules: Object.fromEntries(sources),
    entrypoints: tests.map(({ entrypoint }) => entrypoint),
    budget: BUDGET,
    capabilities: CAPABILITIES,
  })
  if (!compiled.ok) return compiled.diagnostics.map(toDiagnostic)
  const loaded = load(compiled, { data })
  const failures = tests.flatMap((test) => failureOf(loaded, test))
  loaded.close()
  return failures
}

function failureOf(loaded: Loaded, { entrypoint, file, line, col }: PolicyTest): Diagnostic[] {
  const outcome = evaluateTest(loaded, entrypoint)
  if (outcome === undefined) return []
  const name = entrypoint.slice(entrypoint.lastIndexOf('/') + 1)
  const message = `policy test \`${name}\` ${outcome}`
  return [{ file, line, col, code: 'policy_test_failed', message, severity: 'error' }]
}

/** Undefined when the test holds, else what it did instead. */
function evaluateTest(loaded: Loaded, entrypoint: string): string | undefined {
  try {
    const value = loaded.evaluate(entrypoint)
    if (value === true) return undefined
    return value === undefined ? 'is undefined' : `is ${JSON.stringify(value).slice(0, 80)}`
  } catch (error) {
    if (error instanceof EvalError) return `failed: ${error.code}: ${error.message}`
    throw error
  }
}

function toDiagnostic({ code, message, location, hints }: RegoDiagnostic): Diagnostic {
  const { file, row, col } = location
  const place = { file, line: Math.max(1, row), col: Math.max(1, col) }
  const [hint] = hints
  return { ...place, code, message, severity: 'error', ...(hint ? { hint } : {}) }
}
