import path from 'node:path'
import type { Config } from '../config.ts'
import { JUDGE, KINDS } from '../decide/index.ts'
import { REGO_COMPILER } from '../engines/rego-compiler.ts'
import { loadBundle } from '../policy/index.ts'
import { closeAll, type LoadResult } from '../policy/load.ts'

/** Loads policies, a directory or files by name, as a gate with these settings would, and lets go of them. */
export async function loadPolicies(
  from: string | Readonly<Record<string, string | Uint8Array>>,
  { env, ticketingApiUrl, ratePerS }: Config,
): Promise<LoadResult> {
  const result = await loadBundle(typeof from === 'string' ? path.resolve(from) : from, {
    ...KINDS,
    env: { ...env, TICKETING_API_URL: ticketingApiUrl },
    defaults: { ratePerS },
    compiler: REGO_COMPILER,
    judge: JUDGE,
    nowMs: Date.now(),
  })
  if (result.ok) await closeAll(result.bundle.modules)
  return result
}
