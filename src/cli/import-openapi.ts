import fs from 'node:fs'
import path from 'node:path'
import { text as readAll } from 'node:stream/consumers'
import { readConfig } from '../config.ts'
import { JUDGE, KINDS } from '../decide/index.ts'
import { REGO_COMPILER } from '../engines/rego-compiler.ts'
import { GatewayError } from '../errors.ts'
import { diffTexts } from '../lib/unified-diff.ts'
import type { Json } from '../model/json.ts'
import { loadBundle } from '../policy/index.ts'
import { closeAll } from '../policy/load.ts'
import { importOpenApi } from '../policy/openapi/import.ts'
import type { Imported } from '../policy/openapi/imported.ts'
import { firstImport, type Merged, mergeImport } from '../policy/openapi/merge.ts'
import { fileText, findingsText, permissionText } from '../policy/openapi/render.ts'
import { Findings } from '../sources/diagnostics.ts'
import { readPolicyDir } from '../sources/files.ts'
import { FOREIGN_BYTES_MAX, parseForeign } from '../sources/foreign.ts'
import { CliError, EXIT, print, say, visible } from './exit.ts'
import { policyFailure } from './policy-report.ts'
import { ROOT } from './root.ts'

export interface ImportOptions {
  readonly upstream: string
  readonly only?: string
  readonly tag?: string
  readonly out?: string
}

const FETCH_TIMEOUT_MS = 30_000
const DIFF_LINES_MAX = 4000
const FINDINGS_SHOWN = 5
/** Where there is no gate.yaml yet: what permits nothing. */
const NO_GATE = 'version: 1\nenvironment: production\n'

/** `portcullis import openapi`: tools for the operations of a document; what has none is said with its reason. */
export async function importDocument(from: string, options: ImportOptions): Promise<void> {
  if (!/^[a-z][a-z0-9_-]{0,62}$/.test(options.upstream)) {
    throw new CliError(EXIT.usage, '--upstream is lower-case letters, digits, `_` and `-`')
  }
  const document = await documentAt(from)
  const imported = importedFrom(document, from, options)
  if (options.out === undefined) print(fileText(imported).trimEnd())
  else await write(imported, path.resolve(options.out))
  report(imported, options.upstream)
}

function importedFrom(document: Json, from: string, options: ImportOptions): Imported {
  try {
    return importOpenApi(document, {
      upstream: options.upstream,
      only: options.only,
      tag: options.tag,
      from: isUrl(from) ? from : '',
      beside: isUrl(from) || from === '-' ? () => undefined : besideOf(from),
      reserved: ownTools(),
    })
  } catch (error) {
    if (error instanceof GatewayError) throw new CliError(EXIT.usage, `${from}: ${error.message}`)
    throw error
  }
}

const isUrl = (from: string): boolean => /^https?:\/\//.test(from)

const ownTools = (): ReadonlySet<string> =>
  new Set(KINDS.protocols.flatMap(({ own }) => own?.tools ?? []).map(({ name }) => name))

async function documentAt(from: string): Promise<Json> {
  try {
    return parseForeign(await textAt(from))
  } catch (error) {
    throw new CliError(EXIT.usage, `${from}: ${visible((error as Error).message)}`)
  }
}

async function textAt(from: string): Promise<string> {
  if (from === '-') return readAll(process.stdin)
  if (!isUrl(from)) return fs.readFileSync(from, 'utf8')
  const answer = await fetch(from, { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) })
  if (!answer.ok) throw new Error(`answered ${answer.status}`)
  return bounded(answer)
}

async function bounded(answer: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of answer.body ?? []) {
    bytes += chunk.length
    if (bytes > FOREIGN_BYTES_MAX) throw new Error(`more than ${FOREIGN_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** Files in the folder of the document, links that lead out of it not among them. */
function besideOf(from: string): (file: string) => Json | undefined {
  const folder = fs.realpathSync(path.dirname(path.resolve(from)))
  return (file) => {
    try {
      const real = fs.realpathSync(path.join(folder, file))
      if (!real.startsWith(folder + path.sep)) return undefined
      return parseForeign(fs.readFileSync(real, 'utf8'))
    } catch {
      return undefined
    }
  }
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
  const { env, ticketingApiUrl, ratePerS } = readConfig(ROOT)
  const result = await loadBundle(all, {
    ...KINDS,
    env: { ...env, TICKETING_API_URL: ticketingApiUrl },
    defaults: { ratePerS },
    compiler: REGO_COMPILER,
    judge: JUDGE,
    nowMs: Date.now(),
  })
  if (result.ok) return closeAll(result.bundle.modules)
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
