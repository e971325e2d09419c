import path from 'node:path'
import { KINDS, JUDGE } from '../decide/index.ts'
import {
  describeCase,
  describeDecider,
  loadBundle,
  type MatrixResult,
  readMatrices,
  runMatrix,
  wanted,
} from '../policy/index.ts'
import { Findings } from '../sources/diagnostics.ts'
import { readPolicyDir } from '../sources/files.ts'
import { closeAll } from '../policy/load.ts'
import { isMatrixFile } from '../policy/matrix.ts'
import { REGO_COMPILER } from '../engines/rego-compiler.ts'
import { CliError, EXIT } from './exit.ts'
import { policyFailure } from './policy-report.ts'
import type { TestResult } from './test-report.ts'

/** Runs the matrices of policy directories. */
export async function matrixResults(
  dirs: readonly string[],
  isWanted: (name: string) => boolean,
): Promise<readonly TestResult[]> {
  const results: TestResult[] = []
  for (const dir of dirs) results.push(...(await runDir(dir, isWanted)))
  return results
}

async function runDir(
  dir: string,
  isWanted: (name: string) => boolean,
): Promise<readonly TestResult[]> {
  const found = new Findings()
  const files = await readPolicyDir(dir, found)
  if (!files) throw new CliError(EXIT.policy, `${dir} keeps changing while it is read`)
  const texts = new Map<string, string>()
  for (const [name, content] of files) if (isMatrixFile(name)) texts.set(name, content.toString())
  if (texts.size === 0) return []
  const policies = [...files].filter(
    ([name]) => !isMatrixFile(name) && !name.endsWith('_test.rego'),
  )
  const bundle = await loaded(dir, Object.fromEntries(policies))
  try {
    const cases = readMatrices(texts, bundle.tools, found)
    if (found.hasErrors) throw policyFailure(dir, found.list('error', 100))
    const chosen = cases.filter((one) => isWanted(`${one.place.file} ${describeCase(one)}`))
    return (await runMatrix(chosen, bundle, JUDGE)).map((one) => toResult(dir, one))
  } finally {
    await closeAll(bundle.modules)
  }
}

async function loaded(dir: string, files: Readonly<Record<string, Uint8Array>>) {
  const { readConfig } = await import('../config.ts')
  const { env, ticketingApiUrl, ratePerS } = readConfig()
  const result = await loadBundle(files, {
    ...KINDS,
    env: { ...env, TICKETING_API_URL: ticketingApiUrl },
    defaults: { ratePerS },
    compiler: REGO_COMPILER,
    nowMs: Date.now(),
  })
  if (!result.ok) throw policyFailure(dir, result.diagnostics)
  return result.bundle
}

function toResult(
  dir: string,
  { case: one, passed, got, decidedBy, ms }: MatrixResult,
): TestResult {
  const { subject, action, resource, place } = one
  const base = {
    kind: 'matrix',
    name: describeCase(one),
    file: path.join(dir, place.file),
    row: place.line,
    subject,
    action,
    resource,
    ms,
  } as const
  if (passed) return { ...base, outcome: 'passed' }
  const deciders = decidedBy.map((decider) => ({ ...decider, summary: describeDecider(decider) }))
  return { ...base, outcome: 'failed', want: wanted(one), got, decidedBy: deciders }
}
