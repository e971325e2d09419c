import type { JsonObject } from '../model/json.ts'
import { Findings, wholeFile } from './diagnostics.ts'
import type { PolicyFiles } from './files.ts'
import { parseStrictJson } from './json.ts'
import { loadOpaModule } from './opa-module.ts'
import { isObject } from './pointer.ts'
import { readTarGz } from './tar.ts'
import type { ModuleCompiler, PolicyModule } from './types.ts'

const NO_COMPILER = 'this build cannot compile Rego; ship a module built by `opa build -t wasm`'

/** Loads prebuilt modules and compiles the Rego sources, reporting what does not load. */
export async function loadModules(
  files: PolicyFiles,
  texts: ReadonlyMap<string, string>,
  data: JsonObject,
  compiler: ModuleCompiler | undefined,
  found: Findings,
): Promise<readonly PolicyModule[]> {
  const modules: PolicyModule[] = []
  for (const [name, content] of files) {
    if (name.endsWith('.wasm')) modules.push(...(await loadOne(name, content, data, found)))
    if (name.endsWith('.tar.gz')) modules.push(...(await loadArchive(name, content, data, found)))
  }
  return [...modules, ...(await compileSources(texts, data, compiler, found))]
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

async function loadArchive(
  name: string,
  packed: Uint8Array,
  data: JsonObject,
  found: Findings,
): Promise<readonly PolicyModule[]> {
  const inside = unpack(name, packed, found)
  if (!inside) return []
  const own = readArchiveData(name, inside.get('data.json'), found)
  const clash = Object.keys(own).find((key) => Object.hasOwn(data, key))
  if (clash !== undefined) {
    const message = `its data has \`${clash}\`, which the policy directory defines too`
    found.error(wholeFile(name), 'duplicate_data', message)
  }
  const wasm = [...inside].filter(([member]) => member.endsWith('.wasm'))
  if (wasm.length === 0) {
    const hint = 'build with `opa build -t wasm`'
    found.error(wholeFile(name), 'module_load', 'holds no policy.wasm', hint)
  }
  const merged = { ...data, ...own }
  const loaded = wasm.map(([member, content]) =>
    loadOne(wasm.length === 1 ? name : `${name}/${member}`, content, merged, found),
  )
  return (await Promise.all(loaded)).flat()
}

function unpack(
  name: string,
  packed: Uint8Array,
  found: Findings,
): ReadonlyMap<string, Uint8Array> | undefined {
  try {
    return readTarGz(packed)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    found.error(wholeFile(name), 'archive', `cannot be unpacked: ${message}`)
    return undefined
  }
}

function readArchiveData(
  name: string,
  content: Uint8Array | undefined,
  found: Findings,
): JsonObject {
  if (!content) return {}
  const inner = new Findings()
  const value = parseStrictJson(name, new TextDecoder().decode(content), inner)
  if (isObject(value)) return value
  const [first] = inner.list('error', 1)
  const what = first ? `${first.message} (line ${first.line})` : 'it is not an object'
  found.error(wholeFile(name), 'archive', `its data.json cannot be read: ${what}`)
  return {}
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
