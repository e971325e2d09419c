import type { Json, JsonObject } from '../model/json.ts'
import type { CompileContext } from '../policy/types.ts'
import { canonicalDomain, canonicalEmail, canonicalId, type EmailOptions } from './email.ts'

/** Whom a list names: whole addresses and ids, and domains with everything below them. */
export interface ContactList {
  readonly exact: ReadonlySet<string>
  readonly domains: ReadonlySet<string>
}

const COLUMNS = ['email', 'address', 'recipient', 'domain', 'id']

/**
 * Reads `data/<name>`: a list of entries, each an e-mail address, `@domain` or an id; or a table
 * with columns of these names. An entry that cannot be read is an error of the policy.
 */
export function readContactList(
  name: string,
  options: EmailOptions,
  context: CompileContext,
  path: readonly (string | number)[],
): ContactList {
  const [exact, domains] = [new Set<string>(), new Set<string>()]
  const document = context.dataDocument(name, path)
  if (document === undefined || document === null) return { exact, domains }
  const bad = (at: number, what: string) =>
    context.report(path, 'bad_list_entry', `entry ${at + 1} of data \`${name}\` ${what}`)
  if (!Array.isArray(document)) {
    context.report(path, 'bad_list_entry', `data \`${name}\` is not a list`)
    return { exact, domains }
  }
  for (const [at, row] of (document as readonly Json[]).entries()) {
    const entries = entriesOf(row)
    if (entries.length === 0) bad(at, 'names nobody')
    for (const entry of entries) {
      if (!add(entry, options, exact, domains)) bad(at, `cannot be read: \`${entry.slice(0, 80)}\``)
    }
  }
  return { exact, domains }
}

function entriesOf(row: Json): readonly string[] {
  if (typeof row === 'string') return [row]
  if (typeof row !== 'object' || row === null || Array.isArray(row)) return []
  return COLUMNS.flatMap((column) => {
    const value = (row as JsonObject)[column]
    if (typeof value !== 'string' || value === '') return []
    return [column === 'domain' && !value.startsWith('@') ? `@${value}` : value]
  })
}

function add(
  entry: string,
  options: EmailOptions,
  exact: Set<string>,
  domains: Set<string>,
): boolean {
  const text = entry.trim()
  const isDomain = text.startsWith('@')
  const canonical = isDomain
    ? canonicalDomain(text.slice(1).normalize('NFKC').toLowerCase())
    : text.includes('@')
      ? canonicalEmail(text, options)
      : canonicalId(text)
  if (canonical === undefined) return false
  ;(isDomain ? domains : exact).add(canonical)
  return true
}
