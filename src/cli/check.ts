import fs from 'node:fs'
import { readConfig } from '../config.ts'
import type { Diagnostic } from '../policy/index.ts'
import { CliError, EXIT, print, say } from './exit.ts'
import { FORMATS, type Format } from './check-report.ts'
import { loadPolicies } from './load-policies.ts'
import { policyFailure, policyText } from './policy-report.ts'

/** `portcullis check`: exits 0 when the directory loads, 3 with every diagnostic when not; for `strict`, not for warnings either. */
export async function check(
  dir: string,
  { format = 'text', strict = false }: { readonly format?: Format; readonly strict?: boolean },
): Promise<void> {
  if (!fs.existsSync(dir)) {
    const way = dir === 'policies' ? '; `portcullis init` makes one' : ''
    throw new CliError(EXIT.usage, `no directory ${dir}${way}`)
  }
  const result = await loadPolicies(dir, readConfig())
  const warnings = result.ok ? result.bundle.warnings : []
  const diagnostics = result.ok ? (strict ? warnings.map(asError) : warnings) : result.diagnostics
  const valid = result.ok && !(strict && warnings.length > 0)
  if (format !== 'text') print(FORMATS[format]({ dir, valid, diagnostics }))
  if (!valid) {
    throw format !== 'text'
      ? new CliError(EXIT.policy, 'the policy does not load')
      : policyFailure(dir, diagnostics, result.ok ? undefined : result.files)
  }
  if (format !== 'text' || !result.ok) return
  const { counts, revision } = result.bundle
  if (diagnostics.length > 0) say(policyText(dir, diagnostics))
  print(
    `${dir}: ok, revision ${revision.slice(0, 12)}, ${counts.files} files, ${counts.guards} guards, ${counts.tools} tools`,
  )
}

const asError = (one: Diagnostic): Diagnostic => ({ ...one, severity: 'error' })
