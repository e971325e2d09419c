import fs from 'node:fs'
import path from 'node:path'
import type { JsonObject } from '../model/json.ts'
import { DATA_BYTES_MAX, type PolicyDirectories, readText } from './rego-files.ts'

// Reading a policy and deciding bring whole rooms along; most folders of Rego files have no use for them.

/** What the gate makes of a policy directory, for the commands of the compiler. */
export const POLICY_DIRECTORIES: PolicyDirectories = {
  data: async (folder) => (isPolicyDirectory(folder) ? policyData(folder) : undefined),
  matrices: async (folders, isWanted) => {
    const directories = folders.filter(isPolicyDirectory)
    if (directories.length === 0) return []
    return (await import('./matrix-test.ts')).matrixResults(directories, isWanted)
  },
}

const isPolicyDirectory = (folder: string): boolean => fs.existsSync(path.join(folder, 'gate.yaml'))

/** The documents below `data/` as the gate reads them. */
async function policyData(dir: string): Promise<JsonObject> {
  const { readData } = await import('../policy/data.ts')
  const { Findings } = await import('../sources/diagnostics.ts')
  const { policyFailure } = await import('./policy-report.ts')
  const folder = path.join(dir, 'data')
  const texts = new Map<string, string>()
  const names = fs.existsSync(folder) ? fs.readdirSync(folder) : []
  for (const name of names) {
    if (!/^[.]|~$/.test(name)) {
      texts.set(`data/${name}`, readText(path.join(folder, name), DATA_BYTES_MAX))
    }
  }
  const found = new Findings()
  const { values: data } = readData(texts, found)
  if (found.hasErrors) throw policyFailure(dir, found.list('error', 100))
  return data
}
