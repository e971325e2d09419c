import { renderExpression } from '../rego/index.ts'
import { type Coverage, type RegoTestResult, runRegoTests } from '../rego/testing/run.ts'
import { isTestFile } from '../engines/rego-program.ts'
import { type Diagnostic, diagnosticAt, Findings } from '../sources/diagnostics.ts'
import { POLICY_LIMITS } from '../sources/limits.ts'
import type { Bundle } from '../bundle/types.ts'
import { readData } from './data.ts'
import { checkPolicy, closeAll, type LoadOptions } from './load.ts'
import { isMatrixFile, readMatrices } from './matrix.ts'
import { describeCase, describeDecider, runMatrix, wanted } from './matrix-run.ts'

export type GivenContents = Readonly<Record<string, string | Uint8Array>>

/** What came of one test; as plain as it is shown. */
export interface PolicyTestResult {
  readonly kind: 'rego' | 'matrix'
  readonly name: string
  readonly file: string
  readonly line: number
  readonly outcome: 'passed' | 'failed' | 'todo'
  readonly want?: string
  readonly got?: string
  /** The first expression that did not hold, with its values. */
  readonly stopped?: string
  readonly decided_by?: readonly string[]
}

export type TestedPolicy =
  | {
      readonly ok: true
      readonly results: readonly PolicyTestResult[]
      /** Of the Rego that its `test_` rules reach; null where there is none. */
      readonly coverage: Coverage | null
    }
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[] }

/** Runs the matrices and the `test_` rules of a policy, each to its end. */
export async function testPolicy(
  files: GivenContents,
  options: LoadOptions,
): Promise<TestedPolicy> {
  const texts = new Map(
    Object.entries(files).flatMap(([name, content]): [string, string][] =>
      /\.(?:rego|ya?ml|json|csv)$/.test(name)
        ? [[name, Buffer.from(content as string).toString('utf8')]]
        : [],
    ),
  )
  const checked = await checkPolicy(withoutTests(files), { ...options, tests: 'skipped' })
  if (checked.kind === 'rejected') return { ok: false, diagnostics: checked.diagnostics }
  if (checked.kind === 'unchanged') return { ok: false, diagnostics: [] }
  const { bundle } = checked
  try {
    const matrix = await matrixResults(texts, bundle, options)
    if ('diagnostics' in matrix) return { ok: false, diagnostics: matrix.diagnostics }
    const rego = regoResults(texts)
    if (!rego.ok) return rego
    return { ok: true, results: [...rego.results, ...matrix.results], coverage: rego.coverage }
  } finally {
    await closeAll(bundle.modules)
  }
}

const withoutTests = (files: GivenContents): GivenContents =>
  Object.fromEntries(
    Object.entries(files).filter(([name]) => !isMatrixFile(name) && !isTestFile(name)),
  )

async function matrixResults(
  texts: ReadonlyMap<string, string>,
  bundle: Bundle,
  { judge }: LoadOptions,
): Promise<{ results: PolicyTestResult[] } | { diagnostics: readonly Diagnostic[] }> {
  const found = new Findings()
  const cases = readMatrices(texts, bundle.tools, found)
  if (found.hasErrors) return { diagnostics: found.list('error', POLICY_LIMITS.diagnosticsMax) }
  const results = judge ? await runMatrix(cases, bundle, judge) : []
  return {
    results: results.map(({ case: one, passed, got, decidedBy }): PolicyTestResult => {
      const { file, line } = one.place
      const base = { kind: 'matrix', name: describeCase(one), file, line } as const
      if (passed) return { ...base, outcome: 'passed' }
      const said = { want: wanted(one), got, decided_by: decidedBy.map(describeDecider) }
      return { ...base, outcome: 'failed', ...said }
    }),
  }
}

type RegoResults =
  | {
      readonly ok: true
      readonly results: readonly PolicyTestResult[]
      readonly coverage: Coverage | null
    }
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[] }

function regoResults(texts: ReadonlyMap<string, string>): RegoResults {
  const modules = Object.fromEntries([...texts].filter(([name]) => name.endsWith('.rego')))
  if (!Object.keys(modules).some(isTestFile)) return { ok: true, results: [], coverage: null }
  const { values: data } = readData(texts, new Findings())
  const ran = runRegoTests({ modules, data }, { wanted: () => true, coverage: true, v0: false })
  if (ran.ok) {
    return { ok: true, results: ran.results.map(regoResult), coverage: ran.coverage ?? null }
  }
  const diagnostics = ran.diagnostics.map(({ code, message, location, hints }) => {
    const place = {
      file: location.file,
      line: Math.max(1, location.row),
      col: Math.max(1, location.col),
    }
    return diagnosticAt(place, 'error', code, message, hints[0])
  })
  return { ok: false, diagnostics }
}

function regoResult(one: RegoTestResult): PolicyTestResult {
  const { name, file, row: line, outcome, want, got, stopped } = one
  return {
    ...{ kind: 'rego', name, file, line, outcome },
    ...(want === undefined ? {} : { want }),
    ...(got === undefined ? {} : { got }),
    ...(stopped ? { stopped: renderExpression(stopped) } : {}),
  }
}
