import { sha256 } from '../lib/canonical.ts'
import type { Json } from '../model/json.ts'
import type { Tool } from '../model/tool.ts'
import type { CompileContext, GuardInput, PointerReader } from '../bundle/types.ts'
import { canonicalEmail, canonicalId, type EmailOptions } from './email.ts'

export interface Recipient {
  readonly canonical: string
  /** Part after the `@`, or the empty string for an id. */
  readonly domain: string
}

/** Reads recipients at the pointers a tool declares, and some more. */
export type RecipientReader = (input: GuardInput) => readonly Json[]

/** For each tool the readers of its declared recipients. */
export function declaredRecipients(
  context: CompileContext,
): ReadonlyMap<string, readonly PointerReader[]> {
  return readersByTool(context, (tool) => tool.recipients)
}

/** Readers for pointers a tool declares. They are valid: `tools.yaml` was checked. */
export function readersByTool(
  context: CompileContext,
  pointers: (tool: Tool) => readonly string[],
): ReadonlyMap<string, readonly PointerReader[]> {
  const entries = context.subjectTools.map((tool): [string, readonly PointerReader[]] => {
    const readers = pointers(tool).map((pointer) => context.pointer(pointer, []))
    return [tool.name, readers.filter((reader) => reader !== undefined)]
  })
  return new Map(entries)
}

/** The values found: a list counts as its members, an absent value as none, and null is absent. */
export function valuesAt(readers: readonly PointerReader[], root: Json): readonly Json[] {
  const values: Json[] = []
  for (const read of readers) {
    const value = read(root)
    if (Array.isArray(value)) values.push(...(value as readonly Json[]))
    else if (value !== undefined) values.push(value)
  }
  return values.filter((value) => value !== null)
}

/** The recipient a value names, in the one spelling lists and counters know; or undefined. */
export function canonicalRecipient(
  value: Json,
  options: EmailOptions & { readonly ids: boolean },
): Recipient | undefined {
  if (typeof value === 'number' && options.ids) return recipient(canonicalId(String(value)))
  if (typeof value !== 'string') return undefined
  if (value.includes('@')) return recipient(canonicalEmail(value, options))
  return options.ids ? recipient(canonicalId(value)) : undefined
}

function recipient(canonical: string | undefined): Recipient | undefined {
  if (canonical === undefined) return undefined
  return { canonical, domain: canonical.slice(canonical.lastIndexOf('@') + 1 || canonical.length) }
}

/** How a recipient is named in counters: not in clear text. */
export const memberDigest = (canonical: string): string => sha256(canonical).slice(0, 32)
