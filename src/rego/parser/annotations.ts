import type * as Yaml from 'yaml'
import { yaml } from '../libraries.ts'
import type { Annotations, Comment, Loc } from '../ast/ast.ts'
import { Cursor } from './cursor.ts'
import { ExpressionParser } from './expressions.ts'

// Annotations are YAML in comments, checked member by member in OPA's order and with its messages, because tools and tests compare them.
// A block belongs to what stands directly below it; what it says of a package or of subpackages is put together later.

type Scope = Annotations['scope']
const SCOPES: readonly string[] = ['rule', 'document', 'package', 'subpackages']
type Report = (loc: Loc, message: string) => void
type Fields = Record<string, unknown>

/** What an annotation block stands before. */
export interface Target {
  readonly row: number
  readonly kind: 'package' | 'import' | 'rule'
}

/** `# METADATA` blocks: YAML in comments, directly before a package or a rule. */
export function parseAnnotations(
  comments: readonly Comment[],
  targets: readonly Target[],
  report: Report,
): Annotations[] {
  const found: Annotations[] = []
  for (const { head, lines } of blocks(comments)) {
    const fields = readYaml(head, lines, report)
    if (!fields) continue
    const next = targets.find(({ row }) => row > head.loc.row)
    const scope = scopeOf(fields, next)
    const entrypoint = fields['entrypoint'] === true
    const problem = attachmentProblem(scope, next, entrypoint)
    if (problem !== undefined) {
      report(head.loc, problem)
      continue
    }
    const endRow = (lines.at(-1) ?? head).loc.row + 1
    found.push({ ...content(fields), scope: scope as Scope, entrypoint, loc: head.loc, endRow })
  }
  return found
}

function blocks(comments: readonly Comment[]): { head: Comment; lines: Comment[] }[] {
  const found: { head: Comment; lines: Comment[] }[] = []
  let open: { head: Comment; lines: Comment[] } | undefined
  let before: Comment | undefined
  for (const comment of comments) {
    const isFirst = comment.loc.col === 1
    const isHead = isFirst && comment.text.trim().startsWith('METADATA')
    if (isHead) {
      open = { head: comment, lines: [] }
      found.push(open)
    } else if (open && before && comment.loc.row === before.loc.row + 1 && isFirst) {
      open.lines.push(comment)
    } else open = undefined
    before = comment
  }
  return found
}

function readYaml(head: Comment, lines: readonly Comment[], report: Report): Fields | undefined {
  const text = lines
    .map((line) => `${line.text.startsWith(' ') ? line.text.slice(1) : line.text}\n`)
    .join('')
  const rowOf = (line: number) => (lines[Math.min(line, lines.length - 1)] ?? head).loc
  if (text.trim() === '') {
    report(head.loc, 'expected METADATA block, found whitespace')
    return undefined
  }
  const document = yaml().parseDocument(text, {
    prettyErrors: true,
    logLevel: 'silent',
    version: '1.2',
  })
  const [problem] = document.errors
  if (problem) {
    const line = problem.linePos?.[0].line ?? 1
    report(rowOf(line - 1 === 0 ? 0 : line - 1), `yaml: ${problem.message.split('\n')[0] ?? ''}`)
    return undefined
  }
  const value = document.toJS() as unknown
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    report(rowOf(1), 'yaml: cannot unmarshal into annotations')
    return undefined
  }
  const fields = { ...(value as Fields), ...asWritten(document) }
  const mistake = mistakeIn(fields)
  if (mistake !== undefined) {
    report(mistake.startsWith('yaml:') ? rowOf(lineOf(text, mistake)) : head.loc, mistake)
    return undefined
  }
  return fields
}

/** Texts are what is written, `1.50` and `yes` too; words of YAML 1.1 are truth values where one is wanted. */
function asWritten(document: Yaml.Document): Fields {
  const { isScalar: isNode } = yaml()
  const found: Fields = {}
  for (const key of ['scope', 'title', 'description', 'entrypoint']) {
    const node = document.get(key, true)
    if (!isNode(node) || node.value === null) continue
    const word = key === 'entrypoint' ? WORDS.get(node.source ?? '') : node.source
    const isQuoted = node.type !== 'PLAIN'
    if (word !== undefined && (key === 'entrypoint' ? typeof node.value === 'string' : !isQuoted))
      found[key] = word
  }
  return found
}
const WORDS = new Map([
  ...['y', 'Y', 'yes', 'Yes', 'YES', 'on', 'On', 'ON'].map((word) => [word, true] as const),
  ...['n', 'N', 'no', 'No', 'NO', 'off', 'Off', 'OFF'].map((word) => [word, false] as const),
])

/** The line after the one that has the key a message ends with, as OPA counts. */
function lineOf(text: string, message: string): number {
  const key = /`(\w+)`/.exec(message)?.[1] ?? ''
  return (
    Math.max(
      0,
      text.split('\n').findIndex((line) => line.startsWith(`${key}:`)),
    ) + 1
  )
}

function mistakeIn(f: Fields): string | undefined {
  const typed: Record<string, (v: unknown) => boolean> = {
    scope: (v) => isScalar(v),
    title: (v) => isScalar(v),
    description: (v) => isScalar(v),
    organizations: (v) => Array.isArray(v) && v.every(isScalar),
    related_resources: (v) => Array.isArray(v),
    authors: (v) => Array.isArray(v),
    schemas: (v) =>
      Array.isArray(v) && v.every((x) => x !== null && typeof x === 'object' && !Array.isArray(x)),
    custom: (v) => typeof v === 'object' && !Array.isArray(v),
    labels: (v) => typeof v === 'object' && !Array.isArray(v),
    compile: (v) => typeof v === 'object' && !Array.isArray(v),
    entrypoint: (v) => typeof v === 'boolean',
  }
  for (const [key, ok] of Object.entries(typed)) {
    const value = f[key]
    if (value !== undefined && value !== null && !ok(value))
      return `yaml: cannot unmarshal \`${key}\``
  }
  for (const resource of list(f['related_resources'])) {
    const mistake = resourceMistake(resource)
    if (mistake !== undefined) return `invalid related-resource definition: ${mistake}`
  }
  for (const pair of list(f['schemas'])) {
    const mistake = schemaMistake(pair as Fields)
    if (mistake !== undefined) return mistake
  }
  for (const author of list(f['authors'])) {
    const mistake = authorMistake(author)
    if (mistake !== undefined) return `invalid author definition: ${mistake}`
  }
  return undefined
}

/** A YAML scalar as text. */
function scalar(v: unknown): string {
  return typeof v === 'string' ? v : JSON.stringify(v)
}
function isScalar(v: unknown): boolean {
  return v === null || typeof v !== 'object'
}
function list(v: unknown): readonly unknown[] {
  return Array.isArray(v) ? v : []
}

function resourceMistake(r: unknown): string | undefined {
  if (typeof r === 'string') return r === '' ? 'ref URL may not be empty string' : urlMistake(r)
  if (r !== null && typeof r === 'object' && !Array.isArray(r)) {
    const ref = (r as Fields)['ref']
    if (typeof ref !== 'string' || ref.trim() === '') return "'ref' value required in object"
    return urlMistake(ref)
  }
  return 'invalid value type, must be string or map'
}

/** Go's url.Parse refuses little: control characters, a bad port, a bad escape, a colon in the first segment. */
function urlMistake(url: string): string | undefined {
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(url)) return 'invalid control character in URL'
  if (/%(?![0-9a-fA-F]{2})/.test(url.replace(/[?#].*$/, ''))) return 'invalid URL escape'
  if (url.startsWith(':')) return 'missing protocol scheme'
  if (!/^[a-zA-Z][a-zA-Z0-9+.-]*:/.test(url) && /^[^/?#]*:/.test(url))
    return 'first path segment in URL cannot contain colon'
  if (/^[a-zA-Z][a-zA-Z0-9+.-]*:\/\/[^/?#]*:[^0-9/?#@\]][^/?#@]*([/?#]|$)/.test(url))
    return 'invalid port'
  if (/^[a-zA-Z][a-zA-Z0-9+.-]*:\/\/[^/?#]* /.test(url)) return 'invalid character " " in host name'
  return undefined
}

function authorMistake(a: unknown): string | undefined {
  if (typeof a === 'string') return a.trim() === '' ? 'author is an empty string' : undefined
  if (a !== null && typeof a === 'object' && !Array.isArray(a)) {
    const { name, email } = a as Fields
    const given = (v: unknown) => typeof v === 'string' && v.trim() !== ''
    return given(name) || given(email)
      ? undefined
      : "'name' and/or 'email' values required in object"
  }
  return 'invalid value type, must be string or map'
}

function schemaMistake(pair: Fields): string | undefined {
  const [key = '', value] = Object.entries(pair)[0] ?? []
  if (!refHead(key)) return 'invalid document reference'
  if (typeof value === 'string')
    return refHead(value) === 'schema' ? undefined : 'invalid schema reference'
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) return undefined
  return `invalid schema declaration for path "${key}"`
}

/** The first name of a reference written as text, or undefined when it is none. */
function refHead(text: string): string | undefined {
  const cursor = new Cursor('', text, { v0: false, experimental: false })
  const term = new ExpressionParser(cursor).infix()
  if (!term || cursor.failed || !cursor.is('eof')) return undefined
  if (term.kind === 'var') return term.name === 'schema' ? 'schema' : undefined
  const [head] = term.kind === 'ref' ? term.terms : []
  return head?.kind === 'var' ? head.name : undefined
}

function scopeOf(f: Fields, next: Target | undefined): string {
  const given = f['scope']
  if (typeof given === 'string' && given !== '') return given
  if (given !== undefined && given !== null && given !== '') return JSON.stringify(given)
  if (next?.kind === 'rule') return f['entrypoint'] === true ? 'document' : 'rule'
  return next?.kind === 'package' ? 'package' : ''
}

function attachmentProblem(
  scope: string,
  next: Target | undefined,
  entrypoint: boolean,
): string | undefined {
  if (!SCOPES.includes(scope))
    return `invalid annotation scope '${scope}'. Use one of '${SCOPES.join("', '")}'`
  const want = scope === 'rule' || scope === 'document' ? 'rule' : 'package'
  if (next?.kind !== want) {
    return `annotation scope '${scope}' must be applied to ${want}${next ? ` (have ${next.kind})` : ''}`
  }
  if (entrypoint && scope !== 'document' && scope !== 'package') {
    return `annotation entrypoint applied to non-document or package scope '${scope}'`
  }
  return undefined
}

function content(f: Fields): Partial<Annotations> {
  const text = (key: string) =>
    f[key] === undefined || f[key] === null ? undefined : scalar(f[key])
  const title = text('title')
  const description = text('description')
  const organizations = list(f['organizations']).map(String)
  const authors = list(f['authors']).map(author)
  const relatedResources = list(f['related_resources']).map(resource)
  return {
    ...(title === undefined ? {} : { title }),
    ...(description === undefined ? {} : { description }),
    ...(organizations.length > 0 ? { organizations } : {}),
    ...(authors.length > 0 ? { authors } : {}),
    ...(relatedResources.length > 0 ? { relatedResources } : {}),
    ...(list(f['schemas']).length > 0 ? { schemas: list(f['schemas']) } : {}),
    ...(f['custom'] ? { custom: f['custom'] as Fields } : {}),
    ...(f['labels'] ? { labels: f['labels'] as Fields } : {}),
  }
}

function author(a: unknown): { name: string; email?: string } {
  if (typeof a !== 'string') {
    const { name, email } = a as { name?: unknown; email?: unknown }
    return { name: scalar(name ?? '').trim(), ...(email ? { email: scalar(email).trim() } : {}) }
  }
  const parts = a.split(/\s+/).filter((p) => p !== '')
  const last = parts.at(-1) ?? ''
  if (/^<.*>$/.test(last)) return { name: parts.slice(0, -1).join(' '), email: last.slice(1, -1) }
  return { name: parts.join(' ') }
}

function resource(r: unknown): { ref: string; description?: string } {
  if (typeof r === 'string') return { ref: r }
  const { ref, description } = r as { ref: string; description?: unknown }
  return { ref: ref.trim(), ...(description ? { description: scalar(description).trim() } : {}) }
}
