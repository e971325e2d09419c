import { CliError, EXIT, print, say, visible } from './exit.ts'
import { type PolicyDirectories, readRegoFiles, regoFailure } from './rego-files.ts'
import { runRegoTests } from '../rego/testing/run.ts'
import { FORMATS, type Report } from './test-report.ts'

export interface TestOptions {
  readonly run?: string
  readonly format?: keyof typeof FORMATS
  readonly coverage?: boolean
  /** Percent of expressions that have to be reached. */
  readonly failUnder?: string
  readonly watch?: boolean
  /** No test at all is a failure. */
  readonly require?: boolean
  readonly v0?: boolean
}

/**
 * `portcullis test`: the `test_` rules of the Rego files below a folder, and the matrices of
 * `tests/*.yaml` where the folder is a policy directory. Exits 4 when one does not hold.
 */
export async function test(
  paths: readonly string[],
  options: TestOptions,
  policies?: PolicyDirectories,
): Promise<void> {
  if (!options.watch) return runOnce(paths, options, policies)
  const { watch } = await import('chokidar')
  const again = () => runOnce(paths, options, policies).catch((error: Error) => say(error.message))
  await again()
  let running = Promise.resolve()
  watch([...paths], { ignoreInitial: true }).on('all', () => {
    running = running.then(again)
  })
  await new Promise(() => {}) // until Ctrl-C
}

async function runOnce(
  paths: readonly string[],
  options: TestOptions,
  policies: PolicyDirectories | undefined,
): Promise<void> {
  const report = await testReport(paths, options, policies)
  const { format = 'text' } = options
  const text = FORMATS[format](report)
  print(format === 'text' ? visible(text) : text)
  if (report.results.length === 0) nothingRun(options, policies !== undefined)
  const failed = report.results.filter(({ outcome }) => outcome === 'failed').length
  if (failed > 0) throw new CliError(EXIT.tests, `${failed} failed`)
  const least = Number(options.failUnder ?? 0)
  if (report.coverage && report.coverage.percent < least) {
    throw new CliError(EXIT.tests, `coverage ${report.coverage.percent} % is under ${least} %`)
  }
}

// Silence about nothing would look like success.
function nothingRun({ run, require = false }: TestOptions, hasMatrices: boolean): void {
  const matrix = hasMatrices ? ', or a matrix in `tests/*.yaml` (docs/policies.md)' : ''
  const text =
    run === undefined
      ? `no tests: write \`test_name if { ... }\` in a file \`*_test.rego\`${matrix}`
      : `no test matches \`${run}\``
  if (require) throw new CliError(EXIT.tests, text)
  say(text)
}

async function testReport(
  paths: readonly string[],
  options: TestOptions,
  policies: PolicyDirectories | undefined,
): Promise<Report> {
  const files = await readRegoFiles(paths, policies)
  const { run = '', coverage = false, v0 = false } = options
  const wanted = wantedTests(run)
  const rego = runRegoTests(files, { wanted, coverage, v0 })
  if (!rego.ok) throw regoFailure(rego.diagnostics, files.modules, options.format === 'json')
  const results = [...rego.results, ...((await policies?.matrices(paths, wanted)) ?? [])]
  return { results, ...(rego.coverage ? { coverage: rego.coverage } : {}) }
}

function wantedTests(pattern: string): (name: string) => boolean {
  try {
    const wanted = new RegExp(pattern)
    return (name) => wanted.test(name)
  } catch {
    throw new CliError(EXIT.usage, `--run \`${pattern}\` is not a regular expression`)
  }
}
