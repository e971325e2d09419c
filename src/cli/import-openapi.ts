import fs from 'node:fs'
import path from 'node:path'
import { readConfig } from '../config.ts'
import { diffTexts } from '../lib/unified-diff.ts'
import type { Imported } from '../policy/openapi/imported.ts'
import { firstImport, type Merged, mergeImport } from '../policy/openapi/merge.ts'
import { fileText, findingsText, permissionText } from '../policy/openapi/render.ts'
import { Findings } from '../sources/diagnostics.ts'
import { readPolicyDir } from '../sources/files.ts'
import { print, say, visible } from './exit.ts'
import { loadPolicies } from './load-policies.ts'
import { importFrom } from './openapi-document.ts'
import { policyFailure } from './policy-report.ts'

export interface ImportOptions {
  readonly upstream: string
  readonly only?: string
  readonly tag?: string
  readonly out?: string
}

const DIFF_LINES_MAX = 4000
const FINDINGS_SHOWN = 5
/** Where there is no gate.yaml yet: what permits nothing. */
const NO_GATE = 'version: 1\nenvironment: production\n'

/** `portcullis import openapi`: tools for the operations of a document; what has none is said with its reason. */
export async function importDocument(from: string, options: ImportOptions): Promise<void> {
  const imported = await importFrom(from, options)
  if (options.out === undefined) print(fileText(imported).trimEnd())
  else await write(imported, path.resolve(options.out))
  report(imported, options.upstream)
}

async function write(imported: Imported, dir: string): Promise<void> {
  const file = path.join(dir, 'tools.yaml')
  const before = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : null
  const merged = before === null ? firstImport(imported) : mergeImport(before, imported)
  await assertLoads(dir, merged.text)
  if (before === merged.text) say('tools.yaml says all of it already')
  else {
    if (before !== null) showDiff(before, merged.text)
    fs.mkdirSync(dir, { recursive: true })
    fs.writeFileSync(`${file}.new`, merged.text)
    fs.renameSync(`${file}.new`, file)
  }
  say(changes(merged, file))
}

function showDiff(before: string, after: string): void {
  const result = diffTexts('tools.yaml', before, after, DIFF_LINES_MAX)
  if (result.ok) say(visible(result.diff.text))
  else say(`no diff is shown: ${result.message}`)
}

function changes({ added, changed, removed, kept }: Merged, file: string): string {
  const lists = [
    ['changed', changed],
    ['removed', removed],
    ['kept as a person has it', kept],
  ] as const
  const named = lists
    .filter(([, names]) => names.length > 0)
    .map(([what, names]) => `  ${what}: ${names.join(', ')}`)
  return [`${file}: ${added.length} added`, ...named].join('\n')
}

// Nothing is written that the gate would not load; what is wrong with other files is not this command's affair.
async function assertLoads(dir: string, tools: string): Promise<void> {
  const files = fs.existsSync(dir) ? await readPolicyDir(dir, new Findings()) : undefined
  const all = { 'gate.yaml': NO_GATE, ...Object.fromEntries(files ?? []), 'tools.yaml': tools }
  const result = await loadPolicies(all, readConfig())
  if (result.ok) return
  const own = result.diagnostics.filter(({ file }) => file === 'tools.yaml')
  if (own.length === 0) return
  say('nothing was written: tools.yaml would not load')
  throw policyFailure(dir, own, result.files)
}

function report(imported: Imported, upstream: string): void {
  const { tools, operations } = imported
  say(`${tools.length} of ${operations} operations are tools`)
  if (imported.findings.length > 0) say(visible(findingsText(imported, FINDINGS_SHOWN)))
  say(permissionText(imported, upstream).trimEnd())
}
