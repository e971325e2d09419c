import type { JsonObject, Json } from '../model/json.ts'
import { canonicalJson } from '../lib/canonical.ts'
import { diffTexts } from '../lib/unified-diff.ts'
import { Findings } from '../sources/diagnostics.ts'
import { parseYaml } from '../sources/yaml.ts'
import type { GivenFiles } from '../policy/store.ts'
import { isObject } from '../bundle/pointer.ts'

// A diff for two readers: the lines, and what they mean. The meaning is read off the YAML alone, since a past revision
// need not load here any more: sections of gate.yaml by id or by what they say, tools and upstreams by name, everything
// else by file.

const LINES_MAX = 4_000

/** One file that differs; `diff` is null where it is binary or too much differs to be shown. */
export interface FileChange {
  readonly path: string
  readonly change: 'added' | 'removed' | 'changed'
  readonly diff: string | null
}

/** One thing that differs, by what it is. */
export interface Change {
  readonly kind: string
  readonly name: string
  readonly change: 'added' | 'removed' | 'changed'
  readonly before: Json
  readonly after: Json
}

export interface PolicyDiff {
  readonly files: readonly FileChange[]
  readonly meaning: readonly Change[]
}

type Files = GivenFiles['files']

export function diffPolicies(before: Files, after: Files): PolicyDiff {
  return { files: fileChanges(before, after), meaning: meaningOf(before, after) }
}

/** The change as `git apply` takes it. */
export const patchOf = (before: Files, after: Files): string =>
  fileChanges(before, after)
    .map(({ diff }) => diff ?? '')
    .join('')

function fileChanges(before: Files, after: Files): FileChange[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort()
  return names.flatMap((path): FileChange[] => {
    const [old, made] = [before[path], after[path]]
    if (old && made && Buffer.compare(old, made) === 0) return []
    const change = old ? (made ? 'changed' : 'removed') : 'added'
    return [{ path, change, diff: textDiff(path, old, made) }]
  })
}

/** Beyond that the lines have to do: it is read in the thread that decides. */
const MEANT_BYTES_MAX = 128 * 1024
const DIFFED_BYTES_MAX = 512 * 1024

function textDiff(path: string, old?: Uint8Array, made?: Uint8Array): string | null {
  if ((old?.length ?? 0) + (made?.length ?? 0) > DIFFED_BYTES_MAX) return null
  const [a, b] = [textOf(old), textOf(made)]
  if (a === undefined || b === undefined) return null
  const result = diffTexts(path, a, b, LINES_MAX)
  return result.ok ? result.diff.text : null
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Null: it is not there; undefined: it is no text. */
function textOf(bytes: Uint8Array | undefined): string | null | undefined {
  if (!bytes) return null
  try {
    return utf8.decode(bytes)
  } catch {
    return undefined
  }
}

/** Sections whose items have a name of their own, or are what they say. */
const LISTS: Readonly<Record<string, string>> = {
  permissions: 'permission',
  guards: 'guard',
  budgets: 'budget',
  rate_limits: 'rate_limit',
}
const MAPS: Readonly<Record<string, string>> = { tools: 'tool', upstreams: 'upstream' }

function meaningOf(before: Files, after: Files): Change[] {
  return [
    ...compareFile(before['gate.yaml'], after['gate.yaml'], LISTS),
    ...compareFile(before['tools.yaml'], after['tools.yaml'], MAPS),
  ]
}

// Where one side is too large nothing is said of either: all of the other would look added or removed.
function compareFile(
  before: Uint8Array | undefined,
  after: Uint8Array | undefined,
  sections: Readonly<Record<string, string>>,
): Change[] {
  const isLarge = Math.max(before?.length ?? 0, after?.length ?? 0) > MEANT_BYTES_MAX
  return isLarge ? [] : compare(named(before, sections), named(after, sections))
}

/** What a file says, by kind and name. */
type Named = ReadonlyMap<string, { readonly kind: string; readonly name: string; value: Json }>

function named(bytes: Uint8Array | undefined, sections: Readonly<Record<string, string>>): Named {
  const found = new Map<string, { kind: string; name: string; value: Json }>()
  const add = (kind: string, name: string, value: Json) =>
    found.set(`${kind} ${name}`, { kind, name, value })
  for (const [section, value] of Object.entries(parsed(bytes))) {
    const kind = sections[section]
    if (kind !== undefined && Array.isArray(value)) {
      for (const item of value as Json[]) add(kind, nameOf(item), item)
    } else if (kind !== undefined && isObject(value)) {
      for (const [name, item] of Object.entries(value)) add(kind, name, item)
    } else add('setting', section, value)
  }
  return found
}

function parsed(bytes: Uint8Array | undefined): JsonObject {
  const text = textOf(bytes)
  if (text === null || text === undefined) return {}
  const value = parseYaml('policy', text, new Findings())?.value
  return isObject(value) ? value : {}
}

function nameOf(item: Json): string {
  const id = isObject(item) ? item['id'] : undefined
  return typeof id === 'string' ? id : canonicalJson(item)
}

function compare(before: Named, after: Named): Change[] {
  const keys = [...new Set([...before.keys(), ...after.keys()])].sort()
  return keys.flatMap((key): Change[] => {
    const [old, made] = [before.get(key), after.get(key)]
    const { kind, name } = (made ?? old) as { kind: string; name: string }
    const [a, b] = [old?.value ?? null, made?.value ?? null]
    if (old && made && canonicalJson(a) === canonicalJson(b)) return []
    const change = old ? (made ? 'changed' : 'removed') : 'added'
    return [{ kind, name, change, before: a, after: b }]
  })
}
