import fs from 'node:fs'
import path from 'node:path'
import { readConfig } from '../config.ts'
import { GUARD_KINDS, JUDGE } from '../decide/index.ts'
import { loadBundle } from '../policy/index.ts'
import { REGO_COMPILER } from '../policy/rego-compiler.ts'
import { CliError, EXIT, print, say } from './exit.ts'
import { policyFailure, policyText } from './policy-report.ts'
import { ROOT } from './root.ts'

/** `portcullis check`: exits 0 when the directory loads, 3 with every diagnostic when not. */
export async function check(dir: string, json: boolean): Promise<void> {
  if (!fs.existsSync(dir)) throw new CliError(EXIT.usage, `no directory ${dir}`)
  const { env, ticketingApiUrl, ratePerS } = readConfig(ROOT)
  const result = await loadBundle(path.resolve(dir), {
    kinds: GUARD_KINDS,
    env: { ...env, TICKETING_API_URL: ticketingApiUrl },
    defaults: { ratePerS },
    compiler: REGO_COMPILER,
    judge: JUDGE,
    nowMs: Date.now(),
  })
  const diagnostics = result.ok ? result.bundle.warnings : result.diagnostics
  if (json) print(JSON.stringify({ valid: result.ok, diagnostics }, null, 2))
  if (!result.ok) {
    throw json
      ? new CliError(EXIT.policy, 'the policy does not load')
      : policyFailure(dir, diagnostics)
  }
  if (json) return
  const { counts, revision } = result.bundle
  if (diagnostics.length > 0) say(policyText(dir, diagnostics))
  print(
    `${dir}: ok, revision ${revision.slice(0, 12)}, ${counts.files} files, ${counts.guards} guards, ${counts.tools} tools`,
  )
}
