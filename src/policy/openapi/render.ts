// An import as text of tools.yaml. Each tool that was generated begins with a mark: what it is from, and a digest of what
// was written, by which a later import knows what a person has changed since.
import { Document, isCollection, visit } from 'yaml'
import { digest } from '../../lib/canonical.ts'
import type { JsonObject } from '../../model/json.ts'
import { textOf } from './documents.ts'
import { type ImportFinding, oneLine } from './findings.ts'
import type { Imported, ImportedTool } from './imported.ts'

const DIGEST_CHARS = 12
const FLOW_MEMBERS_MAX = 6
const NAMED_MAX = 40
const HEAD = '# yaml-language-server: $schema=../schemas/tools.schema.json\n'

/** The digest of a tool or an upstream as a later import finds it again. */
export const digestOf = (value: JsonObject): string => digest(value).slice(0, DIGEST_CHARS)

/** A tool under `tools:`, with its mark. */
export function toolText({ name, tool, origin, because }: ImportedTool): string {
  const guess = `effect ${textOf(tool, 'effect')}: guessed ${because}`
  return `  # x-portcullis: ${digestOf(tool)} from ${origin}; ${guess}\n${indented({ [name]: tool })}`
}

/** An upstream under `upstreams:`, with its mark. */
export const upstreamText = (name: string, upstream: JsonObject): string =>
  `  # x-portcullis: ${digestOf(upstream)}\n${indented({ [name]: upstream })}`

/** A whole `tools.yaml`. */
export function fileText({ upstreams, tools }: Imported): string {
  const all = [...upstreams].map(([name, one]) => upstreamText(name, one)).join('')
  const texts = tools.map(toolText)
  const body = texts.length === 0 ? 'tools: {}\n' : `tools:\n${texts.join('\n')}`
  return `${HEAD}version: 1\n\nupstreams:\n${all}\n${body}`
}

/**
 * A first `gate.yaml` for one role: what reads is allowed, what writes waits for a person, and what cannot be undone is
 * refused until somebody permits it.
 */
export function gateText({ tools }: Imported, title: string, role: string): string {
  const named = (effect: string) =>
    tools.filter(({ tool }) => tool['effect'] === effect).map(({ name }) => name)
  const row = (names: readonly string[], effect: string) =>
    names.length === 0 ? [] : [{ roles: [role], tools: [...names], effect }]
  const rows = [
    ...row(named('read'), 'allow'),
    ...row(named('write'), 'require_approval'),
  ] satisfies JsonObject[]
  const kept = row(named('irreversible'), 'require_approval')
  const comment =
    kept.length === 0
      ? ''
      : `\n  # Cannot be undone, so nobody may yet:\n${commented(indented(kept))}`
  const permissions = rows.length === 0 ? 'permissions: []\n' : `permissions:\n${indented(rows)}`
  return `${GATE_HEAD}# Who may do what with ${oneLine(title, 100)}. What only reads is allowed, what writes waits for a person, and what cannot be
# undone is refused. Effects are guessed from the methods: look through tools.yaml, and change either file; the gate
# reloads by itself.
version: 1
environment: production

${permissions}${comment}
rate_limits:
  - { limit: 600, per_s: 60 }
`
}

const GATE_HEAD = '# yaml-language-server: $schema=../schemas/gate.schema.json\n'

const commented = (text: string): string => text.replace(/^ {2}(?=.)/gm, '  # ')

/** Rows for gate.yaml that would let a role use the tools; all of it comments, since an import permits nothing. */
export function permissionText({ tools }: Imported, upstream: string): string {
  const rows = ['read', 'write', 'irreversible'].flatMap((effect) => {
    const names = tools.filter(({ tool }) => tool['effect'] === effect).map(({ name }) => name)
    if (names.length === 0) return []
    const named = names.slice(0, NAMED_MAX).join(', ')
    const more = names.length > NAMED_MAX ? ` # and ${names.length - NAMED_MAX} more` : ''
    const answer = effect === 'read' ? 'allow' : 'require_approval'
    return [`#   - roles: [ROLE]`, `#     tools: [${named}]${more}`, `#     effect: ${answer}`]
  })
  const head = `# Nothing of ${upstream} is permitted yet. In gate.yaml, for a role of your own:`
  return [head, '# permissions:', ...rows].join('\n').concat('\n')
}

function indented(value: JsonObject | readonly JsonObject[]): string {
  const document = new Document(value, { aliasDuplicateObjects: false })
  visit(document, {
    Collection: (_, node) => {
      const isInner = node.items.length > FLOW_MEMBERS_MAX || node.items.some(holdsCollection)
      if (!isInner) node.flow = true
    },
  })
  const text = document.toString({ lineWidth: 0, simpleKeys: true })
  return text.replace(/^(?=.)/gm, '  ')
}

function holdsCollection(item: unknown): boolean {
  const { value = item } = item as { value?: unknown }
  return isCollection(value)
}

/** Findings as lines for a person, those of one kind and reason together. */
export function findingsText({ findings }: Imported, perReason: number): string {
  const groups = new Map<string, ImportFinding[]>()
  for (const one of findings) {
    const reason = `${one.kind} (${one.code})`
    groups.set(reason, [...(groups.get(reason) ?? []), one])
  }
  return [...groups].map(([reason, all]) => groupText(reason, all, perReason)).join('\n')
}

function groupText(reason: string, all: readonly ImportFinding[], max: number): string {
  const lines = all.slice(0, max).map(({ where, message }) => {
    return `  ${where === '' ? '' : `${oneLine(where, 300)}: `}${message}`
  })
  const rest = all.length - lines.length
  const more = rest > 0 ? [`  and ${rest} more`] : []
  return [`${reason}: ${all.length}`, ...lines, ...more].join('\n')
}
