import type { Mode } from '../model/decision.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { Tool } from '../model/tool.ts'
import { checkShape, compileArgsSchema } from './ajv.ts'
import type { DataDocuments } from './data.ts'
import { type Findings, type Place, startOf } from './diagnostics.ts'
import {
  getPointer,
  parsePointer,
  schemaAt,
  schemaHas,
  schemaTakes,
  valuesListed,
} from './pointer.ts'
import { compilePathRules, type PathRules } from './paths.ts'
import { resolveNames } from './patterns.ts'
import { compileRegex, joinRegexes } from './regex.ts'
import { closest, didYouMean } from './suggest.ts'
import type {
  CompileContext,
  Guard,
  GuardAnswer,
  GuardInput,
  GuardKind,
  GuardSpec,
  PointerReader,
} from './types.ts'
import type { PathStep, SourceDocument } from './yaml.ts'

/** One guard as found in the file: where it stands, and the id it gets when it names none. */
export interface RawGuard {
  readonly path: readonly PathStep[]
  readonly value: JsonObject
  readonly fallbackId: string
}

/** Everything guards are compiled against. */
export interface GuardSurroundings {
  readonly source: SourceDocument
  readonly environment: string
  readonly tools: ReadonlyMap<string, Tool>
  readonly data: DataDocuments
  readonly kinds: readonly GuardKind[]
  readonly found: Findings
}

/** A guard that applies in this environment, with the tools it is for (null: any). */
export interface PlacedGuard {
  readonly guard: Guard
  readonly tools: readonly Tool[] | null
}

/** Checks, resolves and compiles guards in the order they are written. */
export function compileGuards(raws: readonly RawGuard[], env: GuardSurroundings): PlacedGuard[] {
  const seen = new Map<string, Place>()
  const placed: PlacedGuard[] = []
  for (const raw of raws) {
    const one = compileGuard(raw, env)
    if (!one) continue
    const place = env.source.at(raw.path)
    const first = seen.get(one.guard.id)
    if (first) {
      const message = `guard id \`${one.guard.id}\` is used already on line ${first.line}`
      env.found.error(place, 'duplicate_guard_id', message)
    } else seen.set(one.guard.id, place)
    if (appliesHere(raw.value, env.environment)) placed.push(one)
  }
  return placed
}

function appliesHere(value: JsonObject, environment: string): boolean {
  const environments = value['environments']
  return !Array.isArray(environments) || environments.includes(environment)
}

function compileGuard(raw: RawGuard, env: GuardSurroundings): PlacedGuard | undefined {
  const { source, found, kinds } = env
  const name = raw.value['kind'] as string // the file's schema says so
  const kind = kinds.find((one) => one.kind === name)
  if (!kind) {
    const names = kinds.map((one) => one.kind)
    const hint = didYouMean(name, names) ?? `one of: ${names.join(', ')}`
    const message = `unknown guard kind \`${name}\``
    found.error(source.at([...raw.path, 'kind']), 'unknown_guard_kind', message, hint)
    return undefined
  }
  if (!checkShape(`guards/${kind.kind}`, raw.value, raw.path, source, found)) return undefined
  const spec = toSpec(raw, kind, env)
  const evaluate = kind.compile(spec, new Context(raw, spec, env))
  return { guard: toGuard(spec, kind, evaluate), tools: spec.tools }
}

function toSpec(raw: RawGuard, kind: GuardKind, env: GuardSurroundings): GuardSpec {
  const { value, path } = raw
  return Object.freeze({
    id: (value['id'] as string | undefined) ?? raw.fallbackId,
    kind: kind.kind,
    mode: (value['mode'] as Mode | undefined) ?? 'enforce',
    config: value,
    location: startOf(env.source.at(path)),
    tools: resolveTools(raw, env),
  })
}

function resolveTools(raw: RawGuard, env: GuardSurroundings): readonly Tool[] | null {
  const patterns = raw.value['tools'] as readonly string[] | undefined
  if (!patterns) return null
  const place = (index: number) => env.source.at([...raw.path, 'tools', index])
  const names = resolveNames(patterns, [...env.tools.keys()], place, env.found)
  return names.map((name) => env.tools.get(name) as Tool)
}

function toGuard(
  spec: GuardSpec,
  kind: GuardKind,
  evaluate: (input: GuardInput) => GuardAnswer,
): Guard {
  const { id, mode, location } = spec
  const roles = new Set(spec.config['roles'] as readonly string[] | undefined)
  const countsRequests = kind.countsRequests ?? false
  return Object.freeze({ id, kind: kind.kind, mode, location, roles, countsRequests, evaluate })
}

class Context implements CompileContext {
  readonly environment: string
  readonly tools: ReadonlyMap<string, Tool>
  readonly subjectTools: readonly Tool[]
  readonly data: JsonObject
  readonly #path: readonly PathStep[]
  readonly #env: GuardSurroundings

  constructor(raw: RawGuard, spec: GuardSpec, env: GuardSurroundings) {
    this.environment = env.environment
    this.tools = env.tools
    this.subjectTools = spec.tools ?? [...env.tools.values()]
    this.data = env.data.values
    this.#path = raw.path
    this.#env = env
  }

  report(path: readonly PathStep[], code: string, message: string, hint?: string): void {
    this.#env.found.error(this.#env.source.at([...this.#path, ...path]), code, message, hint)
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
    const compiled = compileArgsSchema(schema)
    if (compiled.ok) return compiled.check
    this.report(path, 'bad_schema', compiled.message)
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

  dataColumns(name: string): readonly string[] | undefined {
    return this.#env.data.sources.get(name)?.columns
  }

  reportData(name: string, row: number | 'header', code: string, message: string, hint?: string) {
    const place = this.#env.data.sources.get(name)?.at(row) ?? this.#env.source.at(this.#path)
    this.#env.found.error(place, code, message, hint)
  }
}

const argNames = (tool: Tool): readonly string[] =>
  Object.keys((tool.argsSchema['properties'] as JsonObject | undefined) ?? {})
