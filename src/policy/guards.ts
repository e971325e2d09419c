import type { Mode, PolicyLocation } from '../model/decision.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { Tool } from '../model/tool.ts'
import { checkShape, compileArgsSchema, lazyArgsCheck } from '../bundle/ajv.ts'
import type { DataDocuments } from './data.ts'
import type { Findings, Place } from '../sources/diagnostics.ts'
import {
  getPointer,
  parsePointer,
  schemaAt,
  schemaHas,
  schemaTakes,
  valuesListed,
} from '../bundle/pointer.ts'
import { compilePathRules, type PathRules } from '../bundle/paths.ts'
import { resolveNames } from '../bundle/patterns.ts'
import { compileRegex, joinRegexes } from '../bundle/regex.ts'
import { closest, didYouMean } from '../lib/suggest.ts'
import type {
  CompileContext,
  Guard,
  GuardAnswer,
  GuardInput,
  GuardKind,
  GuardSpec,
  PointerReader,
} from '../bundle/types.ts'
import { unknownKeyword } from './unknown-keyword.ts'
import type { PathStep, SourceDocument } from '../sources/yaml.ts'

// A guard is compiled against everything else of the policy: the tools its patterns mean, the args these have, the documents it
// names. Its kind does the work and only asks for what it needs through a context that knows where in the file it stands, so
// that kinds know nothing of files and every finding has its line.

/** One guard as found in the file: where it stands, and the id it gets when it names none. */
export interface RawGuard {
  readonly path: readonly PathStep[]
  readonly location: PolicyLocation
  readonly value: JsonObject
  readonly fallbackId: string
}

/** Everything guards are compiled against. */
export interface GuardSurroundings {
  /** Where findings are reported; absent where all was checked before. */
  readonly source: SourceDocument | undefined
  readonly environment: string
  readonly tools: ReadonlyMap<string, Tool>
  readonly data: DataDocuments
  readonly kinds: readonly GuardKind[]
  /** What guards made of the data, by key. */
  readonly derived: Map<string, unknown>
  readonly found: Findings
}

/** A guard that applies in this environment, with the tools it is for (null: any). */
export interface PlacedGuard {
  readonly guard: Guard
  readonly tools: readonly Tool[] | null
}

/** Checks, resolves and compiles guards in the order they are written. */
export class GuardPlacer {
  readonly placed: PlacedGuard[] = []
  readonly #env: GuardSurroundings
  readonly #seen = new Map<string, PolicyLocation>()
  /** Many guards are for the same tools. */
  readonly #resolved = new Map<string, readonly Tool[]>()

  constructor(env: GuardSurroundings) {
    this.#env = env
  }

  add(raw: RawGuard): void {
    const { source, found, environment } = this.#env
    const one = compileGuard(raw, this.#env, this.#resolved)
    if (!one) return
    const { id } = one.guard
    const first = this.#seen.get(id)
    if (first) {
      const message = `guard id \`${id}\` is used already on line ${first.line}`
      found.error(source?.at(raw.path) ?? raw.location, 'duplicate_guard_id', message)
    } else this.#seen.set(id, raw.location)
    if (appliesHere(raw.value, environment)) this.placed.push(one)
  }
}

function appliesHere(value: JsonObject, environment: string): boolean {
  const environments = value['environments']
  return !Array.isArray(environments) || environments.includes(environment)
}

function compileGuard(
  raw: RawGuard,
  env: GuardSurroundings,
  resolved: Map<string, readonly Tool[]>,
): PlacedGuard | undefined {
  const { source, found, kinds } = env
  const name = raw.value['kind'] as string // the file's schema says so
  const kind = kinds.find((one) => one.kind === name)
  if (!kind) {
    const names = kinds.map((one) => one.kind)
    const hint = didYouMean(name, names) ?? `one of: ${names.join(', ')}`
    const message = `unknown guard kind \`${name}\``
    const place = source?.at([...raw.path, 'kind']) ?? raw.location
    found.error(place, 'unknown_guard_kind', message, hint)
    return undefined
  }
  const shape = `guards/${kind.kind}`
  if (source && !checkShape(shape, raw.value, raw.path, source, found)) return undefined
  const spec = toSpec(raw, kind, env, resolved)
  const evaluate = kind.compile(spec, new Context(raw, spec, env))
  return { guard: toGuard(spec, kind, evaluate), tools: spec.tools }
}

function toSpec(
  raw: RawGuard,
  kind: GuardKind,
  env: GuardSurroundings,
  resolved: Map<string, readonly Tool[]>,
): GuardSpec {
  const { value, location } = raw
  return Object.freeze({
    id: (value['id'] as string | undefined) ?? raw.fallbackId,
    kind: kind.kind,
    mode: (value['mode'] as Mode | undefined) ?? 'enforce',
    config: value,
    location,
    tools: resolveTools(raw, env, resolved),
  })
}

function resolveTools(
  raw: RawGuard,
  env: GuardSurroundings,
  resolved: Map<string, readonly Tool[]>,
): readonly Tool[] | null {
  const patterns = raw.value['tools'] as readonly string[] | undefined
  if (!patterns) return null
  const key = JSON.stringify(patterns)
  const known = resolved.get(key)
  if (known) return known
  const place = (index: number) => env.source?.at([...raw.path, 'tools', index]) ?? raw.location
  const before = env.found.count
  const names = resolveNames(patterns, [...env.tools.keys()], place, env.found)
  const tools = names.map((name) => env.tools.get(name) as Tool)
  // What is wrong with patterns is to be said at each place they stand.
  if (env.found.count === before) resolved.set(key, tools)
  return tools
}

function toGuard(
  spec: GuardSpec,
  kind: GuardKind,
  evaluate: (input: GuardInput) => GuardAnswer,
): Guard {
  const { id, mode, location } = spec
  return Object.freeze({
    id,
    kind: kind.kind,
    mode,
    location,
    roles: new Set(spec.config['roles'] as readonly string[] | undefined),
    countsRequests: kind.countsRequests ?? false,
    grants: kind.grants ?? false,
    mayHold: mayHold(spec.config),
    evaluate,
  })
}

class Context implements CompileContext {
  readonly environment: string
  readonly tools: ReadonlyMap<string, Tool>
  readonly subjectTools: readonly Tool[]
  readonly data: JsonObject
  readonly #raw: RawGuard
  readonly #env: GuardSurroundings

  constructor(raw: RawGuard, spec: GuardSpec, env: GuardSurroundings) {
    this.environment = env.environment
    this.tools = env.tools
    this.subjectTools = spec.tools ?? [...env.tools.values()]
    this.data = env.data.values
    this.#raw = raw
    this.#env = env
  }

  report(path: readonly PathStep[], code: string, message: string, hint?: string): void {
    this.#env.found.error(this.#placeOf(path), code, message, hint)
  }

  #placeOf(path: readonly PathStep[]): Place {
    return this.#env.source?.at([...this.#raw.path, ...path]) ?? this.#raw.location
  }

  regex(source: string, path: readonly PathStep[], ignoreCase = false) {
    const compiled = compileRegex(source, ignoreCase)
    if (compiled.ok) return compiled.regex
    const message = `pattern does not compile: ${compiled.message}, at character ${compiled.offset + 1}`
    this.report(path, 'bad_regex', message, 'RE2 syntax: no look-around, no back-references')
    return undefined
  }

  join(sources: readonly string[]) {
    return joinRegexes(sources)
  }

  pointer(text: string, path: readonly PathStep[]): PointerReader | undefined {
    const steps = parsePointer(text)
    if (steps === undefined) {
      this.report(path, 'bad_pointer', `\`${text}\` is no JSON pointer`)
      return undefined
    }
    return (value: Json) => getPointer(value, steps)
  }

  argPointer(text: string, path: readonly PathStep[]): PointerReader | undefined {
    const reader = this.pointer(text, path)
    const steps = parsePointer(text) ?? []
    const known = this.subjectTools.some((tool) => schemaHas(tool.argsSchema, steps) !== 'no')
    if (reader && !known && this.subjectTools.length > 0) {
      const names = this.subjectTools.flatMap((tool) => argNames(tool))
      const hint = didYouMean(steps[0] ?? '', names)
      this.report(path, 'no_such_arg', `no tool of this guard has an arg at \`${text}\``, hint)
    }
    return reader
  }

  argValue(text: string, value: Json, path: readonly PathStep[]): void {
    const steps = parsePointer(text) ?? []
    const taking = this.subjectTools.filter((tool) => schemaHas(tool.argsSchema, steps) !== 'no')
    if (taking.length === 0) return // which is reported already
    if (taking.some((tool) => schemaTakes(tool.argsSchema, steps, value))) return
    const listed = taking.flatMap((tool) => valuesListed(schemaAt(tool.argsSchema, steps)))
    const near = typeof value === 'string' ? didYouMean(value, listed.map(String)) : undefined
    const hint =
      near ?? (listed.length > 0 ? `one of: ${listed.map(String).join(', ')}` : undefined)
    const shown = JSON.stringify(value).slice(0, 80)
    this.report(path, 'unknown_value', `no tool of this guard takes ${shown} at \`${text}\``, hint)
  }

  schema(schema: JsonObject, path: readonly PathStep[]) {
    if (!this.#env.source) return lazyArgsCheck(schema)
    const compiled = compileArgsSchema(schema)
    if (compiled.ok) return compiled.check
    const unknown = unknownKeyword(compiled.message, schema)
    if (unknown)
      this.report([...path, ...unknown.path], 'bad_schema', unknown.message, unknown.hint)
    else this.report(path, 'bad_schema', compiled.message)
    return undefined
  }

  pathRules(rules: PathRules) {
    const compiled = compilePathRules(rules)
    if (compiled.ok) return compiled.check
    this.report([compiled.key, compiled.index], 'bad_path_rule', compiled.message)
    return undefined
  }

  dataDocument(name: string, path: readonly PathStep[]): Json | undefined {
    if (Object.hasOwn(this.data, name)) return this.data[name]
    const names = Object.keys(this.data)
    const near = closest(name, names)
    const hint = near ? `did you mean \`${near}\`?` : `put it into data/${name}.csv, .json or .yaml`
    this.report(path, 'no_such_data', `no document \`${name}\` under data/`, hint)
    return undefined
  }

  derive<T>(key: string, make: () => T): T {
    const { derived } = this.#env
    if (!derived.has(key)) derived.set(key, make())
    return derived.get(key) as T
  }

  dataColumns(name: string): readonly string[] | undefined {
    return this.#env.data.sources.get(name)?.columns
  }

  reportData(name: string, row: number | 'header', code: string, message: string, hint?: string) {
    const place = this.#env.data.sources.get(name)?.at(row) ?? this.#placeOf([])
    this.#env.found.error(place, code, message, hint)
  }
}

const argNames = (tool: Tool): readonly string[] =>
  Object.keys((tool.argsSchema['properties'] as JsonObject | undefined) ?? {})

/** Whether this guard, as configured, may answer `require_approval`; it stands in several places of a config. */
function mayHold(config: Json): boolean {
  if (typeof config !== 'object' || config === null) return false
  if (Array.isArray(config)) return config.some((one: Json) => mayHold(one))
  return Object.entries(config as JsonObject).some(([key, value]) =>
    key === 'effect' ? value === 'require_approval' : mayHold(value),
  )
}
