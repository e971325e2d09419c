import type { JsonObject } from '../model/json.ts'
import { type Findings, wholeFile } from './diagnostics.ts'
import type { PolicyFiles } from './files.ts'
import type { ModuleCompiler, PolicyModule } from './types.ts'

const NO_COMPILER = 'this build cannot compile Rego; ship a module built by `opa build -t wasm`'

/** Loads prebuilt modules and compiles the Rego sources, reporting what does not load. */
export async function loadModules(
  _files: PolicyFiles,
  texts: ReadonlyMap<string, string>,
  data: JsonObject,
  compiler: ModuleCompiler | undefined,
  found: Findings,
): Promise<readonly PolicyModule[]> {
  return compileSources(texts, data, compiler, found)
}

async function compileSources(
  texts: ReadonlyMap<string, string>,
  data: JsonObject,
  compiler: ModuleCompiler | undefined,
  found: Findings,
): Promise<readonly PolicyModule[]> {
  const sources = new Map([...texts].filter(([name]) => name.endsWith('.rego')))
  if (sources.size === 0) return []
  if (!compiler) {
    for (const name of sources.keys()) found.error(wholeFile(name), 'rego_unsupported', NO_COMPILER)
    return []
  }
  const compiled = await compiler.compile(sources, data)
  if (compiled.ok) {
    for (const one of compiled.warnings) found.warn(one, one.code, one.message, one.hint)
    return compiled.module ? [compiled.module] : []
  }
  for (const one of compiled.diagnostics) found.error(one, one.code, one.message, one.hint)
  return []
}
