import type { JsonObject } from '../model/json.ts'
import { type Archive, openArchive } from './archive.ts'
import { type Findings, wholeFile } from '../sources/diagnostics.ts'
import type { PolicyFiles } from '../sources/files.ts'
import { loadOpaModule } from './opa-module.ts'
import type { ModuleCompiler, PolicyModule } from '../bundle/types.ts'

/** What compiles Rego, and for whom it decides. */
export interface Compiling {
  readonly compiler: ModuleCompiler | undefined
  readonly takesInquiries: boolean
  readonly tellsTests: boolean
}

/** Loads prebuilt modules and compiles the Rego sources, reporting what does not load. */
export async function loadModules(
  files: PolicyFiles,
  texts: Map<string, string>,
  data: JsonObject,
  compiling: Compiling,
  found: Findings,
): Promise<readonly PolicyModule[]> {
  const modules: PolicyModule[] = []
  const archives: Archive[] = []
  for (const [name, content] of files) {
    if (name.endsWith('.wasm')) modules.push(...(await loadOne(name, content, data, found)))
    const archive = name.endsWith('.tar.gz') ? openArchive(name, content, found) : undefined
    if (archive) archives.push(archive)
  }
  for (const { name, wasm, data: own } of archives) {
    const merged = wasm.length > 0 ? merge(name, data, own, found) : {}
    for (const [one, content] of wasm) modules.push(...(await loadOne(one, content, merged, found)))
  }
  const sources = archives.filter((one) => one.sources.length > 0)
  return [...modules, ...(await compileSources(texts, sources, data, compiling, found))]
}

function merge(name: string, data: JsonObject, own: JsonObject, found: Findings): JsonObject {
  const clash = Object.keys(own).find((key) => Object.hasOwn(data, key))
  if (clash !== undefined) {
    const message = `its data has \`${clash}\`, which the policy directory defines too`
    found.error(wholeFile(name), 'duplicate_data', message)
  }
  return { ...data, ...own }
}

async function loadOne(
  name: string,
  wasm: Uint8Array,
  data: JsonObject,
  found: Findings,
): Promise<readonly PolicyModule[]> {
  const loaded = await loadOpaModule(name, wasm, data)
  if (loaded.ok) return [loaded.module]
  found.error(wholeFile(name), loaded.code, loaded.message, loaded.hint)
  return []
}

// All sources together are one policy, wherever they come from.
async function compileSources(
  texts: Map<string, string>,
  archives: readonly Archive[],
  own: JsonObject,
  { compiler, takesInquiries, tellsTests }: Compiling,
  found: Findings,
): Promise<readonly PolicyModule[]> {
  const foreign = archives.flatMap((one) => one.sources)
  for (const [name, text] of foreign) texts.set(name, text) // to be shown with what is found in them
  const sources = new Map([...texts].filter(([name]) => name.endsWith('.rego')))
  if (sources.size === 0) return []
  if (!compiler) {
    const message = 'this build cannot compile Rego'
    for (const name of sources.keys()) found.error(wholeFile(name), 'rego_unsupported', message)
    return []
  }
  const data = archives.reduce((all, one) => merge(one.name, all, one.data, found), own)
  if (found.hasErrors && archives.length > 0) return []
  const compiled = await compiler.compile({
    sources,
    data,
    foreign: foreign.map(([name]) => name),
    takesInquiries,
    tellsTests,
  })
  if (compiled.ok) {
    for (const one of compiled.warnings) found.warn(one, one.code, one.message, one.hint)
    return compiled.module ? [compiled.module] : []
  }
  for (const one of compiled.diagnostics) found.error(one, one.code, one.message, one.hint)
  return []
}
