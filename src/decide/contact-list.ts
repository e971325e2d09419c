import { TextSet, type TextSetParts } from '../lib/text-set.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { CompileContext } from '../bundle/types.ts'
import { closest } from '../lib/suggest.ts'
import { canonicalDomain, canonicalEmail, canonicalId, type EmailOptions } from './email.ts'

/** Whom a list names: whole addresses and ids, and domains with everything below them. */
export interface ContactList {
  readonly exact: TextSet
  readonly domains: TextSet
}

export interface ListOptions extends EmailOptions {
  /** Whether recipients may be ids: without, an entry that is one can match nobody. */
  readonly ids: boolean
}

const CODE = 'bad_list_entry'
type Holds = 'address' | 'domain' | 'any'
/** What a column of a table holds. */
const COLUMNS: Readonly<Record<string, Holds>> = {
  email: 'address',
  address: 'address',
  recipient: 'any',
  domain: 'domain',
  id: 'any',
}
const NAMES = Object.keys(COLUMNS)
const BAD_ENTRIES_MAX = 100 // one list with many mistakes need not hide those of all others

/**
 * Reads `data/<name>`: a list of entries, each an e-mail address, `@domain` or an id; or a table
 * with columns of these names, in any case. An entry that could match nobody is an error of the policy: whoever it means
 * would be written to.
 */
export function readContactList(
  name: string,
  options: ListOptions,
  context: CompileContext,
  path: readonly (string | number)[],
): ContactList {
  const { ids, stripPlusTags, ignoreDots } = options
  const key = `contacts ${name} ${ids} ${stripPlusTags} ${ignoreDots}`
  const parts = context.derive(key, () => readList(name, options, context, path))
  return { exact: new TextSet(parts.exact), domains: new TextSet(parts.domains) }
}

function readList(
  name: string,
  options: ListOptions,
  context: CompileContext,
  path: readonly (string | number)[],
): ListParts {
  const document = context.dataDocument(name, path)
  const list = new ListReader(name, options, context)
  if (document === undefined || document === null) return list.parts()
  if (!Array.isArray(document)) {
    context.reportData(name, 'header', CODE, `data \`${name}\` is not a list`, FORMS)
    return list.parts()
  }
  const columns = context.dataColumns(name)
  if (!columns || list.header(columns)) list.read(document as readonly Json[])
  return list.parts()
}

/** A list as it goes from the thread that read it to the one that decides. */
interface ListParts {
  readonly exact: TextSetParts
  readonly domains: TextSetParts
}

const FORMS = `a list of addresses, \`@domain\` or ids, or of objects with ${NAMES.join(', ')}`

class ListReader {
  readonly #exact = new Set<string>()
  readonly #domains = new Set<string>()
  readonly #name: string
  readonly #options: ListOptions
  readonly #context: CompileContext
  #bad = 0

  constructor(name: string, options: ListOptions, context: CompileContext) {
    this.#name = name
    this.#options = options
    this.#context = context
  }

  /** False when no column is known: then no row of the table means anybody. */
  header(columns: readonly string[]): boolean {
    const strange = columns.find((one) => nearColumn(one) !== undefined)
    if (strange !== undefined) {
      const hint = `did you mean \`${nearColumn(strange)}\`?`
      this.#report('header', `column \`${strange.slice(0, 80)}\` names nobody`, hint)
      return false
    }
    if (columns.some((one) => columnOf(one) !== undefined)) return true
    const hint = columns.some((one) => one.includes('@'))
      ? 'the first row names the columns: put `email` above the addresses'
      : `name a column ${NAMES.join(', ')}`
    this.#report('header', `the header names no column that the guard knows`, hint)
    return false
  }

  read(rows: readonly Json[]): void {
    for (const [at, row] of rows.entries()) {
      const problem = this.#row(row)
      if (problem === undefined) continue
      this.#report(at, `entry ${at + 1} of data \`${this.#name}\` ${problem.what}`, problem.hint)
      if (++this.#bad >= BAD_ENTRIES_MAX) return
    }
  }

  parts(): ListParts {
    return { exact: TextSet.of(this.#exact).parts, domains: TextSet.of(this.#domains).parts }
  }

  #report(row: number | 'header', message: string, hint?: string): void {
    this.#context.reportData(this.#name, row, CODE, message, hint)
  }

  #row(row: Json): Problem | undefined {
    if (typeof row !== 'object' || row === null) return this.#entry(row, 'any')
    if (Array.isArray(row)) return { what: 'is a list', hint: FORMS }
    let [named, unread, strange]: [Problem | 'matched' | undefined, Problem?, string?] = [undefined]
    for (const key of Object.keys(row)) {
      const value = (row as JsonObject)[key] as Json
      if (value === null || value === '') continue
      const holds = this.#columnOf(key)
      if (holds === undefined) {
        if (isStrange(key, value, this.#nearColumn(key))) strange ??= key
        continue
      }
      const problem = this.#entry(value, holds)
      if (problem && problem.isId !== true) unread ??= problem
      // An id beside an address that can be matched is for others who read the table.
      else if (named !== 'matched') named = problem ?? 'matched'
    }
    if (strange !== undefined) {
      const hint = `did you mean \`${this.#nearColumn(strange) ?? 'email'}\`?`
      return { what: `has \`${strange.slice(0, 80)}\`, which the guard does not read`, hint }
    }
    if (unread) return unread
    if (named === undefined) return { what: 'names nobody', hint: FORMS }
    return named === 'matched' ? undefined : named
  }

  // The same few names stand in every row of a table.
  readonly #columns = new Map<string, Holds | undefined>()
  readonly #near = new Map<string, string | undefined>()

  #columnOf(key: string): Holds | undefined {
    if (!this.#columns.has(key)) this.#columns.set(key, columnOf(key))
    return this.#columns.get(key)
  }

  #nearColumn(key: string): string | undefined {
    if (!this.#near.has(key)) this.#near.set(key, nearColumn(key))
    return this.#near.get(key)
  }

  #entry(value: Json, holds: Holds): Problem | undefined {
    const text = typeof value === 'number' ? idText(value) : value
    if (typeof text !== 'string') return { what: 'is neither text nor a whole number', isId: false }
    const entry =
      holds === 'domain' && !text.trim().startsWith('@') ? `@${text.trim()}` : text.trim()
    const shown = `\`${entry.slice(0, 80)}\``
    if (entry.includes('*')) {
      const hint = 'write `@domain` for everybody below a domain'
      return { what: `is a pattern, which nothing matches: ${shown}`, hint, isId: false }
    }
    if (entry.startsWith('@')) {
      const domain = canonicalDomain(entry.slice(1).normalize('NFKC').toLowerCase())
      if (domain === undefined) return { what: `cannot be read: ${shown}`, isId: false }
      this.#domains.add(domain)
      return undefined
    }
    if (!entry.includes('@')) return this.#id(entry, shown, holds)
    const address = canonicalEmail(entry, this.#options)
    if (address === undefined) {
      const hint = 'one plain address, without a name or quotes'
      return { what: `cannot be read: ${shown}`, hint, isId: false }
    }
    this.#exact.add(address)
    return undefined
  }

  #id(entry: string, shown: string, holds: Holds): Problem | undefined {
    const id = canonicalId(entry)
    if (id === undefined) return { what: `cannot be read: ${shown}`, isId: false }
    if (holds === 'address') {
      const hint = 'ids stand in a column `id`, domains in a column `domain`'
      return { what: `is no address: ${shown}`, hint, isId: false }
    }
    if (!this.#options.ids) {
      const hint = `write \`@${entry.slice(0, 80)}\` for a domain, or set \`ids: true\` where recipients are ids`
      return { what: `is an id, which the guard never matches: ${shown}`, hint, isId: true }
    }
    this.#exact.add(id)
    return undefined
  }
}

interface Problem {
  readonly what: string
  readonly hint?: string
  /** It could be read, but the guard knows no ids. */
  readonly isId?: boolean
}

const columnOf = (name: string): Holds | undefined => {
  const plain = name.trim().toLowerCase()
  return Object.hasOwn(COLUMNS, plain) ? COLUMNS[plain] : undefined
}

/** The column that was meant, when the name is none but nearly one. */
function nearColumn(name: string): string | undefined {
  const plain = name.trim().toLowerCase()
  if (columnOf(plain) !== undefined) return undefined
  // Names of two letters are near to too much.
  if (/^[^a-z]*ids?[^a-z]*$/.test(plain)) return 'id'
  return closest(
    plain,
    NAMES.filter((one) => one !== 'id'),
  )
}

// A column of another name may be anything, unless it is called after addresses and holds them.
function isStrange(key: string, value: Json, near: string | undefined): boolean {
  if (near !== undefined) return true
  return typeof value === 'string' && value.includes('@') && /mail|address|recipient/i.test(key)
}

// As a recipient that is a number is compared.
const idText = (value: number): string | undefined =>
  Number.isSafeInteger(value) ? String(value) : undefined
