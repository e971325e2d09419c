import type { Json, JsonObject } from '../model/json.ts'
import { wholeGlob } from '../bundle/glob.ts'
import { compileRegex } from '../bundle/regex.ts'
import { migrate } from '../rego/index.ts'
import { Findings, wholeFile } from '../sources/diagnostics.ts'
import { POLICY_LIMITS } from '../sources/limits.ts'
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
  if (named.length === 0 && regoIn(members).length === 0) {
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
  const versions = readVersions(name, members, found)
  return regoIn(members).flatMap(([member, content]) => {
    const text = decode(name, member, content, found)
    const rewritten = text && versions(member) === 0 ? inV1(name, member, text, found) : text
    return rewritten === undefined ? [] : [[`${name}/${member}`, rewritten] as const]
  })
}

const regoIn = (members: Members) =>
  [...members].filter(([member]) => member.endsWith('.rego') && !isTestFile(member))

// What OPA 1 builds for an old one says so of the whole, or of files by a glob.
function readVersions(name: string, members: Members, found: Findings): (member: string) => number {
  const content = members.get('.manifest')
  const text = content && decode(name, '.manifest', content, found)
  const manifest = text === undefined ? undefined : parseJson(name, text, new Findings())?.value
  const { rego_version: ofAll, file_rego_versions: byFile } = isObject(manifest) ? manifest : {}
  const named = isObject(byFile) ? Object.entries(byFile) : []
  return (member) => {
    const [, own = ofAll] = named.find(([glob]) => covers(glob, member)) ?? []
    return own === 0 ? 0 : 1
  }
}

function covers(glob: string, member: string): boolean {
  const pattern = wholeGlob(glob.replace(/^\//, ''))
  const compiled = pattern === undefined ? undefined : compileRegex(pattern)
  return compiled?.ok === true && compiled.regex.test(member)
}

function inV1(name: string, member: string, text: string, found: Findings): string | undefined {
  const file = `${name}/${member}`
  const result = migrate(text, { file })
  if (result.ok) return result.text
  const [first] = result.diagnostics
  const what = `is Rego of OPA 0 and cannot be rewritten: ${first?.message ?? ''}`
  found.error(wholeFile(name), 'module_load', `its ${member} ${what}`)
  return undefined
}

const DATA = /^(?:(.*)\/)?data\.(json|ya?ml)$/

/** The documents of a bundle: `a/b/data.json` is `data.a.b`. */
function readData(name: string, members: Members, found: Findings): JsonObject {
  const data: Record<string, Json> = {}
  for (const [member, content] of members) {
    const [, folder, type] = DATA.exec(member) ?? []
    if (type === undefined) continue
    const value = readDocument(name, member, type, content, found)
    if (value !== undefined && !placed(data, folder?.split('/') ?? [], value)) {
      found.error(wholeFile(name), 'duplicate_data', `its ${member} stands where other data does`)
    }
  }
  return data
}

function placed(data: Record<string, Json>, path: readonly string[], value: Json): boolean {
  const last = path.at(-1)
  if (isObject(value) || last === undefined) return place(data, path, value as JsonObject)
  return place(data, path.slice(0, -1), { [last]: value })
}

function readDocument(
  name: string,
  member: string,
  type: string,
  content: Uint8Array,
  found: Findings,
): Json | undefined {
  const text = decode(name, member, content, found)
  if (text === undefined) return undefined
  const inner = new Findings()
  const value = (type === 'json' ? parseJson : parseYaml)(name, text, inner)?.value
  // At the root it is what has names; below, whatever it likes.
  if (isObject(value) || (value !== undefined && member.includes('/'))) return value
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
  const max = DATA.test(member) ? POLICY_LIMITS.dataBytesMax : POLICY_LIMITS.fileBytesMax
  if (content.length > max) {
    found.error(wholeFile(name), 'file_too_large', `its ${member} has more than ${max} bytes`)
    return undefined
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(content)
  } catch {
    found.error(wholeFile(name), 'not_utf8', `its ${member} is not valid UTF-8`)
    return undefined
  }
}
