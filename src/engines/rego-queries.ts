// Every package and rule of a policy as an entry point, for who asks for documents by their paths (OPA's REST API). They
// are compiled when somebody first asks, all at once and where policies are compiled: a path that is asked for makes no
// work of its own, however many there are, and decisions cost what they did.
import { compile, type DataImage, load, type Loaded, type Projection } from '../rego/index.ts'
import { spansAt } from '../lib/json-spans.ts'
import { EACH } from '../model/record-rules.ts'
import type { PolicyDocuments } from '../bundle/types.ts'
import type { JsonObject } from '../model/json.ts'
import { BUDGET, CAPABILITIES, policiesOf, type RegoProgram } from './rego-program.ts'
import { parsed } from './rego-sources.ts'

/** Documents as they go from thread to thread. */
export interface QueryParts {
  readonly module: WebAssembly.Module
  readonly reads: Projection
  readonly image: DataImage
  /** What each is, by its path with slashes. */
  readonly entries: ReadonlyMap<string, EntryKind>
}

/** `package`: of all rules below; `base`: a document of the directory; `own`: for the gate itself, and told to nobody. */
type EntryKind = 'package' | 'rule' | 'base' | 'own'

/** More, and the policy is not one that people ask about by path. */
const ENTRIES_MAX = 10_000

/** @throws Error when there is too much of it */
export function compileQueries(program: RegoProgram): QueryParts {
  const entries = entriesOf(program)
  const names = Object.keys(program.data).filter((name) => isPlain(name) && !entries.has(name))
  if (entries.size + names.length > ENTRIES_MAX) {
    throw new Error(`there are more than ${ENTRIES_MAX} documents`)
  }
  const compiled = compile({
    modules: { ...policiesOf(program.sources), [BASE_FILE]: baseModule(names) },
    entrypoints: [...entries.keys(), ...names.map(baseEntry)],
    budget: BUDGET,
    capabilities: CAPABILITIES,
    parsed,
    survey: true,
  })
  if (!compiled.ok) throw new Error(compiled.diagnostics[0]?.message ?? 'it does not compile')
  const module = new WebAssembly.Module(compiled.wasm)
  for (const name of names) entries.set(name, 'base')
  return { module, reads: compiled.reads, image: imageOf(module, program.data), entries }
}

// A base document is no rule, and only rules are entry points: each gets one that says it.
const BASE_FILE = 'portcullis-base-documents.rego'
const BASE = 'portcullis_base_documents'

const baseModule = (names: readonly string[]): string =>
  [
    `package ${BASE}`,
    ...names.map((name) => `value[${JSON.stringify(name)}] := data[${JSON.stringify(name)}]`),
  ].join('\n')

const baseEntry = (name: string): string => `${BASE}/value/${name}`

/** @throws EvalError when the documents do not fit its memory */
function imageOf(module: WebAssembly.Module, data: JsonObject): DataImage {
  const loaded = load(module, { data })
  try {
    return loaded.dataImage()
  } finally {
    loaded.close()
  }
}

/** What an instance keeps to itself: how it decides what to log, and the like. */
const OWN = 'system'
const LOG_MASK = 'system/log/mask'

function entriesOf({ sources }: RegoProgram): Map<string, EntryKind> {
  const entries = new Map<string, EntryKind>()
  for (const [file, text] of Object.entries(policiesOf(sources))) {
    const { module } = parsed.parse(file, text, { v0: false, experimental: false })
    if (!module) continue
    if (module.package.path[0] === OWN) {
      if (saysLogMask(module)) entries.set(LOG_MASK, 'own')
      continue
    }
    const { path } = module.package
    for (let n = 1; n <= path.length; n++) addPackage(entries, path.slice(0, n))
    for (const { head } of module.rules) {
      if (head.args) continue
      const [first, ...rest] = head.ref
      const end = rest.findIndex((term) => term.kind !== 'string')
      const below = (end < 0 ? rest : rest.slice(0, end)).flatMap((term) =>
        term.kind === 'string' ? [term.value] : [],
      )
      const steps = [...path, first.name, ...below]
      for (let n = path.length + 1; n < steps.length; n++) addPackage(entries, steps.slice(0, n))
      if (steps.every(isPlain)) entries.set(steps.join('/'), 'rule')
    }
  }
  return entries
}

type ParsedModule = NonNullable<ReturnType<typeof parsed.parse>['module']>

const saysLogMask = ({ package: { path }, rules }: ParsedModule): boolean =>
  rules.some(({ head }) => [...path, head.ref[0].name].join('/') === LOG_MASK)

function addPackage(entries: Map<string, EntryKind>, path: readonly string[]): void {
  const name = path.join('/')
  if (path.every(isPlain) && !entries.has(name)) entries.set(name, 'package')
}

// An entry point is named with slashes.
const isPlain = (step: string): boolean => step !== '' && !step.includes('/')

/** The documents of a compiled policy, in this thread. */
export class RegoDocuments implements PolicyDocuments {
  readonly #entries: QueryParts['entries']
  readonly #loaded: Loaded

  constructor({ module, reads, image, entries }: QueryParts) {
    this.#entries = entries
    this.#loaded = load(module, { image, reads })
  }

  has(path: readonly string[]): boolean {
    return this.#entryOf(path) !== undefined
  }

  answer(path: readonly string[], inputText: string | undefined): string | undefined {
    const found = this.#entryOf(path)
    if (!found) return undefined
    const text = this.#loaded.evaluateText(found.entry, inputText)
    return text === undefined ? undefined : within(text, found.rest)
  }

  logMask(eventText: string): string | undefined {
    return this.#entries.has(LOG_MASK) ? this.#loaded.evaluateText(LOG_MASK, eventText) : undefined
  }

  /** The entry point of a path, and the steps that go into its value. */
  #entryOf(path: readonly string[]): { entry: string; rest: readonly string[] } | undefined {
    for (let n = path.length; n > 0; n--) {
      const name = path.slice(0, n).join('/')
      const kind = this.#entries.get(name)
      if (kind === undefined || kind === 'own') continue
      // Below a package there is only what a rule above it says, whose keys are known when it runs.
      if (kind === 'package' && n < path.length) continue
      return { entry: kind === 'base' ? baseEntry(name) : name, rest: path.slice(n) }
    }
    return undefined
  }
}

/** The part of JSON text at these steps, digit by digit. */
function within(text: string, steps: readonly string[]): string | undefined {
  if (steps.length === 0) return text
  if (steps.includes(EACH)) return undefined
  const [span] = spansAt(text, [steps])
  return span && text.slice(span.from, span.to)
}
