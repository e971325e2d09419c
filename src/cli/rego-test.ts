import { watch } from 'chokidar'
import { compile, EvalError, load, parse, type Loaded } from '../rego/index.ts'
import { CliError, EXIT, print, say } from './exit.ts'
import { readRegoFiles, regoFailure, type RegoFiles } from './rego-files.ts'

export interface TestOptions {
  readonly run?: string
  readonly format?: 'text' | 'json' | 'junit'
  readonly coverage?: boolean
  /** Percent of expressions that have to be reached. */
  readonly failUnder?: string
  readonly watch?: boolean
  readonly v0?: boolean
}

interface TestCase {
  readonly entrypoint: string
  readonly name: string
  readonly file: string
  readonly row: number
}

interface TestResult extends TestCase {
  readonly outcome: 'passed' | 'failed' | 'todo'
  readonly ms: number
  /** What it gave instead of true. */
  readonly got?: string
}

interface Report {
  readonly results: readonly TestResult[]
  /** Percent of traced expressions reached, and the lines that were not; with --coverage. */
  readonly coverage?: {
    readonly percent: number
    readonly missed: Readonly<Record<string, number[]>>
  }
}

/** `portcullis test`: runs `test_` rules of the Rego files below a folder. Exits 4 when one does not hold. */
export async function regoTest(paths: readonly string[], options: TestOptions): Promise<void> {
  if (!options.watch) return runOnce(paths, options)
  const again = () => {
    try {
      runOnce(paths, options)
    } catch (error) {
      say((error as Error).message)
    }
  }
  again()
  watch([...paths], { ignoreInitial: true }).on('all', again)
  await new Promise(() => {}) // until Ctrl-C
}

function runOnce(paths: readonly string[], options: TestOptions): void {
  const files = readRegoFiles(paths)
  const report = runTests(files, options)
  print(FORMATS[options.format ?? 'text'](report))
  const failed = report.results.filter(({ outcome }) => outcome === 'failed').length
  if (failed > 0) throw new CliError(EXIT.tests, `${failed} failed`)
  const least = Number(options.failUnder ?? 0)
  if (report.coverage && report.coverage.percent < least) {
    throw new CliError(EXIT.tests, `coverage ${report.coverage.percent} % is under ${least} %`)
  }
}

export function runTests({ modules, data }: RegoFiles, options: TestOptions): Report {
  const v0 = options.v0 ?? false
  const wanted = new RegExp(options.run ?? '')
  const cases = testCases(modules, v0).filter(({ entrypoint }) => wanted.test(entrypoint))
  const compiled = compile({
    modules,
    entrypoints: [
      ...cases.map(({ entrypoint }) => entrypoint),
      // Nothing calls these here; as entrypoints they are compiled, so that what no test reaches is counted.
      ...(options.coverage ? ruleEntrypoints(modules, v0) : []),
    ],
    trace: options.coverage ?? false,
    v0,
  })
  if (!compiled.ok) throw regoFailure(compiled.diagnostics, modules, options.format === 'json')
  const loaded = load(compiled, { data })
  const results = cases.map((one) => runCase(loaded, one))
  if (!options.coverage) return { results }
  const reached = loaded.trace().map((point) => point.reached > 0)
  return { results, coverage: coverageOf(compiled.tracePoints, reached) }
}

function ruleEntrypoints(modules: Readonly<Record<string, string>>, v0: boolean): string[] {
  const found = new Set<string>()
  for (const [file, source] of Object.entries(modules)) {
    const parsed = parse(source, { file, v0 })
    if (!parsed.ok || file.endsWith('_test.rego')) continue
    const { module } = parsed
    for (const { head } of module.rules) {
      if (head.args === undefined) found.add([...module.package.path, head.ref[0].name].join('/'))
    }
  }
  return [...found]
}

function testCases(modules: Readonly<Record<string, string>>, v0: boolean): TestCase[] {
  const cases = new Map<string, TestCase>()
  for (const [file, source] of Object.entries(modules)) {
    const parsed = parse(source, { file, v0 })
    if (!parsed.ok) continue // compiling reports it
    for (const rule of parsed.module.rules) {
      const [{ name }] = rule.head.ref
      if (!/^(todo_)?test_/.test(name)) continue
      const entrypoint = [...parsed.module.package.path, name].join('/')
      if (!cases.has(entrypoint))
        cases.set(entrypoint, { entrypoint, name, file, row: rule.loc.row })
    }
  }
  return [...cases.values()]
}

function runCase(loaded: Loaded, one: TestCase): TestResult {
  if (one.name.startsWith('todo_')) return { ...one, outcome: 'todo', ms: 0 }
  const startedAt = performance.now()
  const got = gotInstead(loaded, one.entrypoint)
  const ms = Math.round((performance.now() - startedAt) * 100) / 100
  return got === undefined
    ? { ...one, outcome: 'passed', ms }
    : { ...one, outcome: 'failed', ms, got }
}

function gotInstead(loaded: Loaded, entrypoint: string): string | undefined {
  try {
    const value = loaded.evaluate(entrypoint)
    if (value === true) return undefined
    return value === undefined ? 'undefined' : JSON.stringify(value)
  } catch (error) {
    if (error instanceof EvalError) return `${error.code}: ${error.message}`
    throw error
  }
}

function coverageOf(
  points: readonly { readonly file: string; readonly row: number }[],
  reached: readonly boolean[],
): NonNullable<Report['coverage']> {
  const missed: Record<string, number[]> = {}
  let counted = 0
  let hit = 0
  for (const [at, { file, row }] of points.entries()) {
    if (file.endsWith('_test.rego')) continue
    counted++
    if (reached[at]) hit++
    else missed[file] = [...new Set([...(missed[file] ?? []), row])]
  }
  const percent = counted === 0 ? 100 : Math.round((hit / counted) * 1000) / 10
  return { percent, missed }
}

function asText({ results, coverage }: Report): string {
  const lines = results
    .filter(({ outcome }) => outcome !== 'passed')
    .map(({ outcome, entrypoint, file, row, ms, got }) =>
      outcome === 'todo'
        ? `TODO ${entrypoint}  ${file}:${row}`
        : `FAIL ${entrypoint}  ${file}:${row}  ${ms} ms\n  want true      got ${got}`,
    )
  const count = (outcome: TestResult['outcome']) =>
    results.filter((one) => one.outcome === outcome).length
  const missed = Object.entries(coverage?.missed ?? {}).map(
    ([file, rows]) => `  ${file}: lines ${rows.join(', ')} never reached`,
  )
  const summary = [
    `${count('passed')} passed, ${count('failed')} failed, ${count('todo')} todo`,
    ...(coverage ? [`coverage ${coverage.percent} %`] : []),
  ].join(' · ')
  return [...lines, summary, ...missed].join('\n')
}

const escapeXml = (text: string): string =>
  text.replace(/[<>&"]/g, (char) => `&#${char.charCodeAt(0)};`)

function asJunit({ results }: Report): string {
  const cases = results.map(({ entrypoint, file, ms, outcome, got = '' }) => {
    const open = `  <testcase name="${escapeXml(entrypoint)}" classname="${escapeXml(file)}" time="${ms / 1000}"`
    if (outcome === 'passed') return `${open}/>`
    const inner =
      outcome === 'todo'
        ? '<skipped/>'
        : `<failure message="${escapeXml(`want true, got ${got}`)}"/>`
    return `${open}>${inner}</testcase>`
  })
  const failures = results.filter(({ outcome }) => outcome === 'failed').length
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuite name="portcullis" tests="${results.length}" failures="${failures}">`,
    ...cases,
    '</testsuite>',
  ].join('\n')
}

const FORMATS: Readonly<Record<'text' | 'json' | 'junit', (report: Report) => string>> = {
  text: asText,
  json: (report) => JSON.stringify(report, null, 2),
  junit: asJunit,
}
