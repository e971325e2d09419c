import { isDeepStrictEqual } from 'node:util'
import type { McpPolicy, Protocol } from '../bundle/types.ts'
import { microsFromText } from '../lib/money.ts'
import type { JsonObject } from '../model/json.ts'
import type { EffectClass, FactLookup, Tool, Upstream } from '../model/tool.ts'
import { checkShape, schemaProblem } from '../bundle/ajv.ts'
import { closeSchema } from '../bundle/close-schema.ts'
import { type Findings, startOf } from '../sources/diagnostics.ts'
import type { PolicyEnv } from '../sources/env.ts'
import { deepFreeze } from '../lib/freeze.ts'
import { isObject, parsePointer, schemaAt, schemaHas } from '../bundle/pointer.ts'
import { didYouMean } from '../lib/suggest.ts'
import { TemplateIndex } from '../bundle/template-index.ts'
import { readHttpCall, type RawHttpCall } from './http-rules.ts'
import type { Exposed } from '../bundle/exposed.ts'
import { type McpToolRule, type RawMcp, readMcp } from './mcp.ts'
import { unknownKeyword } from './unknown-keyword.ts'
import { type RawUpstream, readUpstream } from './upstreams.ts'
import type { PathStep, SourceDocument } from '../sources/yaml.ts'

/** What `tools.yaml` says, checked. */
export interface ToolsFile {
  readonly upstreams: ReadonlyMap<string, Upstream>
  readonly tools: ReadonlyMap<string, Tool>
  readonly mcp: McpPolicy
  /** What is known of tools of MCP servers, by `server:tool`. */
  readonly mcpTools: Readonly<Record<string, McpToolRule>>
  /** What of MCP servers is behind the gate besides tools, by `server:glob`. */
  readonly mcpExposed: Exposed
  /** Environment values that went into it, for the revision. */
  readonly envUsed: ReadonlyMap<string, string>
}

interface RawTool extends RawHttpCall {
  readonly description?: string
  readonly upstream: string
  readonly effect: EffectClass
  readonly args: JsonObject
  readonly resource?: { readonly type: string; readonly id_arg?: string }
  readonly cost?: string
  readonly recipients?: readonly string[]
  readonly items?: string
  readonly paths?: readonly string[]
  readonly facts?: Readonly<Record<string, RawFact>>
}

interface RawFact {
  readonly tool: string
  readonly args?: Readonly<Record<string, string>>
  readonly ttl_s?: number
}

interface RawTools {
  readonly upstreams: Readonly<Record<string, RawUpstream>>
  readonly tools: Readonly<Record<string, RawTool>>
  readonly mcp?: RawMcp
}

const FACT_TTL_S = 5

/** Reads `tools.yaml`. Undefined when its shape is wrong; further findings may still refuse it. */
export function readTools(
  source: SourceDocument,
  env: PolicyEnv,
  protocols: readonly Protocol[],
  found: Findings,
): ToolsFile | undefined {
  if (!checkShape('tools', source.value, [], source, found)) return undefined
  const raw = source.value as unknown as RawTools
  const envUsed = new Map<string, string>()
  const upstreams = new Map<string, Upstream>()
  refuseReserved(raw, source, protocols, found)
  for (const [name, one] of Object.entries(raw.upstreams)) {
    upstreams.set(name, readUpstream(name, one, { source, env, used: envUsed, found }))
  }
  const tools = new ToolReader(source, raw, found).readAll()
  const { mcp = {} } = raw
  const mcpExposed = { resources: mcp.resources ?? [], prompts: mcp.prompts ?? [] }
  return { upstreams, tools, mcp: readMcp(mcp), mcpTools: mcp.tools ?? {}, mcpExposed, envUsed }
}

// What protocols bring themselves.
function refuseReserved(
  raw: RawTools,
  source: SourceDocument,
  protocols: readonly Protocol[],
  found: Findings,
): void {
  const own = protocols.flatMap((one) => one.own ?? [])
  const reserved = [
    ...own.flatMap(({ tools }) => tools.map(({ name }) => ['tools', name] as const)),
    ...own.map(({ upstreamName }) => ['upstreams', upstreamName] as const),
  ]
  for (const path of reserved) {
    if (!Object.hasOwn(raw[path[0]], path[1])) continue
    found.error(source.atKey(path), 'reserved_name', `\`${path[1]}\` is a name of the gate itself`)
  }
}

class ToolReader {
  readonly #source: SourceDocument
  readonly #raw: RawTools
  readonly #found: Findings

  constructor(source: SourceDocument, raw: RawTools, found: Findings) {
    this.#source = source
    this.#raw = raw
    this.#found = found
  }

  readAll(): ReadonlyMap<string, Tool> {
    const tools = Object.entries(this.#raw.tools).map(([name, raw]) => this.#read(name, raw))
    return this.#withRelations(tools)
  }

  #read(name: string, raw: RawTool): Tool {
    const written = closeSchema(raw.args)
    const { http, argsSchema, declared } = readHttpCall(raw, raw.args, (at, ...finding) =>
      this.#error([name, ...at], ...finding),
    )
    this.#compileArgs(name, argsSchema)
    if (!Object.hasOwn(this.#raw.upstreams, raw.upstream)) {
      const hint = didYouMean(raw.upstream, Object.keys(this.#raw.upstreams))
      this.#error([name, 'upstream'], 'no_such_upstream', `no upstream \`${raw.upstream}\``, hint)
    }
    this.#checkPointers(name, raw, argsSchema)
    return deepFreeze({
      name,
      description: raw.description ?? '',
      upstream: raw.upstream,
      method: raw.method,
      path: raw.path,
      query: raw.query ?? [],
      effectClass: raw.effect,
      argsSchema,
      resource: raw.resource
        ? { type: raw.resource.type, idArg: raw.resource.id_arg ?? null }
        : null,
      costMicros: microsFromText(raw.cost ?? '0') ?? 0n,
      recipients: raw.recipients ?? [],
      items: raw.items ?? null,
      paths: raw.paths ?? [],
      facts: Object.entries(raw.facts ?? {}).map(([fact, one]) => this.#readFact(name, fact, one)),
      reservedPaths: [],
      http,
      declared: isDeepStrictEqual(written, argsSchema) ? declared : { ...declared, args: written },
      location: startOf(this.#source.atKey(['tools', name])),
    })
  }

  #compileArgs(name: string, schema: JsonObject): void {
    if (schema['type'] !== 'object') {
      this.#error([name, 'args'], 'bad_schema', 'args must describe an object')
      return
    }
    const problem = schemaProblem(schema)
    if (problem === undefined) return
    const unknown = unknownKeyword(problem, schema)
    if (unknown) {
      const place = this.#source.atKey(['tools', name, 'args', ...unknown.path])
      this.#found.error(place, 'bad_schema', unknown.message, unknown.hint)
    } else this.#error([name, 'args'], 'bad_schema', problem)
  }

  #checkPointers(name: string, raw: RawTool, schema: JsonObject): void {
    const { id_arg: idArg } = raw.resource ?? {}
    if (idArg !== undefined && schemaAt(schema, [idArg]) === undefined) {
      const hint = this.#argHint(idArg, schema)
      this.#error([name, 'resource', 'id_arg'], 'no_such_arg', `no arg \`${idArg}\``, hint)
    }
    if (raw.items !== undefined) this.#checkPointer([name, 'items'], raw.items, schema)
    for (const key of ['recipients', 'paths'] as const) {
      for (const [index, pointer] of (raw[key] ?? []).entries()) {
        this.#checkPointer([name, key, index], pointer, schema)
      }
    }
  }

  #checkPointer(at: readonly PathStep[], pointer: string, schema: JsonObject): void {
    const steps = parsePointer(pointer)
    if (steps === undefined) this.#error(at, 'bad_pointer', `\`${pointer}\` is no JSON pointer`)
    else if (schemaHas(schema, steps) === 'no') {
      const hint = this.#argHint(steps[0] ?? '', schema)
      this.#error(at, 'no_such_arg', `args have nothing at \`${pointer}\``, hint)
    }
  }

  #readFact(tool: string, name: string, raw: RawFact): FactLookup {
    const at = [tool, 'facts', name]
    const target = Object.hasOwn(this.#raw.tools, raw.tool) ? this.#raw.tools[raw.tool] : undefined
    if (!target) {
      const hint = didYouMean(raw.tool, Object.keys(this.#raw.tools))
      this.#error([...at, 'tool'], 'no_such_tool', `no tool \`${raw.tool}\``, hint)
    } else if (target.effect !== 'read') {
      const message = `fact look-up needs a tool with effect read; \`${raw.tool}\` has ${target.effect}`
      this.#error([...at, 'tool'], 'fact_not_read', message)
    }
    const own = closeSchema(this.#raw.tools[tool]?.args ?? {})
    for (const [arg, pointer] of Object.entries(raw.args ?? {})) {
      this.#checkPointer([...at, 'args', arg], pointer, own)
      if (target && schemaHas(closeSchema(target.args), [arg]) === 'no') {
        const hint = this.#argHint(arg, target.args)
        this.#error(
          [...at, 'args', arg],
          'no_such_arg',
          `\`${raw.tool}\` has no arg \`${arg}\``,
          hint,
        )
      }
    }
    const ttlMs = Math.round((raw.ttl_s ?? FACT_TTL_S) * 1000)
    return { name, tool: raw.tool, args: raw.args ?? {}, ttlMs }
  }

  /** Reports tools that stand for the same calls, and says to each which paths are those of others. */
  #withRelations(tools: readonly Tool[]): Map<string, Tool> {
    const [earlier, all] = [new TemplateIndex(), new TemplateIndex()]
    for (const tool of tools) all.add(tool)
    return new Map(
      tools.map((tool) => {
        for (const { tool: other, relation } of earlier.related(tool)) {
          if (relation === 'same') this.#collides(tool, other)
        }
        earlier.add(tool)
        const others = all
          .related(tool)
          .filter(({ relation }) => relation === 'a_covers_b' || relation === 'crossing')
        const reservedPaths = others.map(({ tool: other }) => other.path)
        return [tool.name, deepFreeze({ ...tool, reservedPaths })]
      }),
    )
  }

  #collides(one: Tool, other: Tool): void {
    const message = `\`${one.method} ${one.path}\` stands for the same calls as tool \`${other.name}\``
    this.#error([one.name, 'path'], 'route_collision', message)
  }

  #argHint(name: string, schema: JsonObject): string | undefined {
    const properties = schema['properties']
    return isObject(properties) ? didYouMean(name, Object.keys(properties)) : undefined
  }

  #error(at: readonly PathStep[], code: string, message: string, hint?: string): void {
    this.#found.error(this.#source.at(['tools', ...at]), code, message, hint)
  }
}
