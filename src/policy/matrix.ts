import type { Effect } from '../model/decision.ts'
import type { AgentStatus, Facts } from '../model/facts.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { PolicyCase } from '../bundle/types.ts'
import type { ActionRequest, Resource } from '../model/request.ts'
import type { Tool } from '../model/tool.ts'
import { microsFromText } from '../lib/money.ts'
import { checkShape } from '../bundle/ajv.ts'
import { type Findings, wholeFile } from '../sources/diagnostics.ts'
import { didYouMean } from '../lib/suggest.ts'
import { parseYaml, type PathStep, type SourceDocument } from '../sources/yaml.ts'

interface RawSubject {
  readonly id?: string
  readonly roles?: readonly string[]
  readonly owner?: string
  readonly status?: AgentStatus
  readonly properties?: JsonObject
}
interface RawAction {
  readonly tool: string
  readonly args?: JsonObject
  readonly context?: JsonObject
  readonly reason?: string
  readonly cost?: string
  readonly facts?: Readonly<Record<string, Json>>
}
interface RawResource {
  readonly type: string
  readonly id: string | number
}
interface RawRow {
  readonly name?: string
  readonly subjects?: readonly string[]
  readonly actions?: readonly string[]
  readonly resources?: readonly string[]
  readonly now?: string
}
interface RawFile extends Partial<Record<Section, readonly (RawRow & Partial<Wanted>)[]>> {
  readonly now?: string
  readonly subjects: Readonly<Record<string, RawSubject>>
  readonly actions: Readonly<Record<string, RawAction>>
  readonly resources?: Readonly<Record<string, RawResource>>
}
interface Wanted {
  readonly effect: Effect
  readonly reason?: string
}

/** Where rows stand, and what those that do not say it want. */
const SECTIONS = { matrix: null, must_deny: 'deny', must_allow: 'allow' } as const
type Section = keyof typeof SECTIONS
const SECTION_NAMES = Object.keys(SECTIONS) as Section[]

/** A row with where it stands. */
interface Placed {
  readonly section: Section
  readonly at: number
  readonly row: RawRow & Partial<Wanted>
}

const rowsOf = (raw: RawFile): Placed[] =>
  SECTION_NAMES.flatMap((section) => (raw[section] ?? []).map((row, at) => ({ section, at, row })))

export const isMatrixFile = (name: string): boolean => /^tests\/.+\.ya?ml$/.test(name)

/** A directory with more is no longer tested in passing, before a swap. */
const CASES_MAX = 10_000
/** These are asked where requests are answered. */
const MUST_CASES_MAX = 200
/** A Monday, at an hour at which people work. */
const NOW_DEFAULT = '2026-01-05T12:00:00Z'

/** The cases of every `tests/*.yaml`; what is wrong with a file is reported and the file left out. */
export function readMatrices(
  texts: ReadonlyMap<string, string>,
  tools: ReadonlyMap<string, Tool>,
  found: Findings,
): readonly PolicyCase[] {
  const cases: PolicyCase[] = []
  for (const [file, text] of texts) {
    if (!isMatrixFile(file)) continue
    const source = parseYaml(file, text, found)
    if (!source || !checkShape('tests', source.value, [], source, found)) continue
    const raw = source.value as unknown as RawFile
    const rows = rowsOf(raw)
    if (rows.length === 0) {
      const hint = 'add `matrix:`, `must_deny:` or `must_allow:`'
      found.error(wholeFile(file), 'missing_key', 'the file needs a key `matrix`', hint)
    }
    if (!checkNames(raw, tools, source, found)) continue
    if (cases.length + countOf(raw) > CASES_MAX) {
      found.error(wholeFile(file), 'too_many_cases', `more than ${CASES_MAX} cases in all files`)
      break
    }
    for (const row of rows) cases.push(...casesOf(raw, row, tools, source))
  }
  const [beyond] = cases.filter(({ must }) => must).slice(MUST_CASES_MAX)
  if (beyond) {
    const message = `more than ${MUST_CASES_MAX} cases of \`must_deny\` and \`must_allow\` in all files`
    found.error(beyond.place, 'too_many_cases', message)
  }
  return cases
}

function countOf(raw: RawFile): number {
  const { subjects, actions } = raw
  const size = (names: readonly string[] | undefined, all: object) =>
    names?.length ?? Object.keys(all).length
  return rowsOf(raw).reduce(
    (sum, { row }) =>
      sum +
      size(row.subjects, subjects) * size(row.actions, actions) * (row.resources?.length ?? 1),
    0,
  )
}

function checkNames(
  raw: RawFile,
  tools: ReadonlyMap<string, Tool>,
  source: SourceDocument,
  found: Findings,
): boolean {
  let isGood = true
  const check = (name: string, known: Iterable<string>, path: PathStep[], what: string) => {
    const names = [...known]
    if (names.includes(name)) return
    isGood = false
    const message = `there is no ${what} \`${name}\``
    found.error(source.at(path), `no_such_${what}`, message, didYouMean(name, names))
  }
  for (const [name, { tool }] of Object.entries(raw.actions)) {
    check(tool, tools.keys(), ['actions', name, 'tool'], 'tool')
  }
  for (const { section, at, row } of rowsOf(raw)) {
    const path = (kind: string, index: number) => [section, at, kind, index]
    const { subjects = [], actions = [], resources = [] } = row
    for (const [index, name] of subjects.entries()) {
      check(name, Object.keys(raw.subjects), path('subjects', index), 'subject')
    }
    for (const [index, name] of actions.entries()) {
      check(name, Object.keys(raw.actions), path('actions', index), 'action')
    }
    for (const [index, name] of resources.entries()) {
      check(name, Object.keys(raw.resources ?? {}), path('resources', index), 'resource')
    }
  }
  return isGood
}

function casesOf(
  raw: RawFile,
  { section, at, row }: Placed,
  tools: ReadonlyMap<string, Tool>,
  source: SourceDocument,
): PolicyCase[] {
  const nowMs = Date.parse(row.now ?? raw.now ?? NOW_DEFAULT)
  const base = {
    place: source.at([section, at]),
    name: row.name ?? '',
    effect: SECTIONS[section] ?? row.effect ?? 'deny',
    reason: row.reason ?? null,
    must: section !== 'matrix',
  }
  const cases: PolicyCase[] = []
  for (const subject of row.subjects ?? Object.keys(raw.subjects)) {
    for (const action of row.actions ?? Object.keys(raw.actions)) {
      for (const resource of row.resources ?? [null]) {
        const asked = raw.actions[action] as RawAction
        const on = resource === null ? null : ((raw.resources ?? {})[resource] as RawResource)
        const who = raw.subjects[subject] as RawSubject
        const request = requestOf(who.id ?? subject, asked, on, tools)
        const facts = factsOf(subject, who, asked, nowMs)
        cases.push({ ...base, subject, action, resource, request, facts })
      }
    }
  }
  return cases
}

function requestOf(
  subjectId: string,
  { tool, args = {}, context = {}, reason, cost }: RawAction,
  resource: RawResource | null,
  tools: ReadonlyMap<string, Tool>,
): ActionRequest {
  const mapping = tools.get(tool)?.resource
  const idArg = resource && mapping?.type === resource.type ? mapping.idArg : null
  return {
    subject: { type: 'agent', id: subjectId },
    action: {
      name: tool,
      properties: resource && idArg !== null ? { ...args, [idArg]: resource.id } : args,
    },
    resource: resource && toResource(resource),
    context,
    reason: reason ?? null,
    costMicros: cost === undefined ? null : (microsFromText(cost) ?? null),
  }
}

const toResource = ({ type, id }: RawResource): Resource => ({ type, id: String(id) })

function factsOf(
  name: string,
  { id, roles = [], owner = 'test', status = 'active', properties = {} }: RawSubject,
  { facts = {} }: RawAction,
  nowMs: number,
): Facts {
  return {
    nowMs,
    agent: { id: id ?? name, name, owner, roles, status, properties },
    lookups: facts,
    unavailable: {},
  }
}
