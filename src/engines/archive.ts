import type { Json, JsonObject } from '../model/json.ts'
import { Findings, wholeFile } from '../sources/diagnostics.ts'
import { parseJson } from '../sources/json.ts'
import { isObject, place } from '../bundle/pointer.ts'
import { isTestFile } from './rego-program.ts'
import { readTarGz } from '../sources/tar.ts'
import { parseYaml } from '../sources/yaml.ts'

/** What a bundle holds that was built elsewhere: modules that are compiled, or sources that are not, and documents. */
export interface Archive {
  readonly name: string
  readonly wasm: readonly (readonly [name: string, wasm: Uint8Array])[]
  /** Without tests: those are the business of whoever built it. */
  readonly sources: readonly (readonly [name: string, text: string])[]
  readonly data: JsonObject
}

/** Opens `*.tar.gz` as OPA builds it, with `-t wasm` or without. Undefined, and reported, when it cannot be read. */
export function openArchive(
  name: string,
  packed: Uint8Array,
  found: Findings,
): Archive | undefined {
  const members = unpack(name, packed, found)
  if (!members) return undefined
  const data = readData(name, members, found)
  const wasm = [...members].filter(([member]) => member.endsWith('.wasm'))
  const named = wasm.map(
    ([member, content]) => [wasm.length === 1 ? name : `${name}/${member}`, content] as const,
  )
  // Beside a module stand the sources that it was built of.
  const sources = wasm.length > 0 ? [] : readSources(name, members, found)
  if (named.length === 0 && sources.length === 0) {
    const hint = 'build it with `opa build`, with or without `-t wasm`'
    found.error(wholeFile(name), 'module_load', 'holds neither a policy.wasm nor Rego', hint)
  }
  return { name, wasm: named, sources, data }
}

type Members = ReadonlyMap<string, Uint8Array>

function unpack(name: string, packed: Uint8Array, found: Findings): Members | undefined {
  try {
    return readTarGz(packed)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    found.error(wholeFile(name), 'archive', `cannot be unpacked: ${message}`)
    return undefined
  }
}

function readSources(
  name: string,
  members: Members,
  found: Findings,
): readonly (readonly [string, string])[] {
  const files = [...members].filter(([member]) => member.endsWith('.rego') && !isTestFile(member))
  return files.flatMap(([member, content]) => {
    const text = decode(name, member, content, found)
    return text === undefined ? [] : [[`${name}/${member}`, text] as const]
  })
}

const DATA = /^(?:(.*)\/)?data\.(json|ya?ml)$/

/** The documents of a bundle: `a/b/data.json` is `data.a.b`. */
function readData(name: string, members: Members, found: Findings): JsonObject {
  const data: Record<string, Json> = {}
  for (const [member, content] of members) {
    const [, folder, type] = DATA.exec(member) ?? []
    if (type === undefined) continue
    const value = readDocument(name, member, type, content, found)
    if (value !== undefined && !place(data, folder?.split('/') ?? [], value)) {
      found.error(wholeFile(name), 'duplicate_data', `its ${member} stands where other data does`)
    }
  }
  return data
}

function readDocument(
  name: string,
  member: string,
  type: string,
  content: Uint8Array,
  found: Findings,
): JsonObject | undefined {
  const text = decode(name, member, content, found)
  if (text === undefined) return undefined
  const inner = new Findings()
  const value = (type === 'json' ? parseJson : parseYaml)(name, text, inner)?.value
  if (isObject(value)) return value
  const [first] = inner.list('error', 1)
  const what = first ? `${first.message} (line ${first.line})` : 'it is not an object'
  found.error(wholeFile(name), 'archive', `its ${member} cannot be read: ${what}`)
  return undefined
}

function decode(
  name: string,
  member: string,
  content: Uint8Array,
  found: Findings,
): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(content)
  } catch {
    found.error(wholeFile(name), 'not_utf8', `its ${member} is not valid UTF-8`)
    return undefined
  }
}
