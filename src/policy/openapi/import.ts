// OpenAPI documents as tools. Whatever an operation becomes is put through the same reader that loads tools.yaml, so that
// what comes out of here loads; what does not is a finding with the reason that a load would give.
import { namesLike } from '../../bundle/patterns.ts'
import { TemplateIndex } from '../../bundle/template-index.ts'
import { GatewayError } from '../../errors.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import type { Tool } from '../../model/tool.ts'
import { Findings } from '../../sources/diagnostics.ts'
import { POLICY_LIMITS } from '../../sources/limits.ts'
import type { PathStep, SourceDocument } from '../../sources/yaml.ts'
import { readTools } from '../tools.ts'
import { type Beside, Documents } from './documents.ts'
import { type ImportFinding, Notes, oneLine, shown } from './findings.ts'
import type { Imported, ImportedTool } from './imported.ts'
import { toolNames } from './names.ts'
import { type Dialect, dialectOf, type Operation, operationsOf } from './operations.ts'
import { toolText } from './render.ts'
import { credentialOf, ownServer, serverOf } from './servers.ts'
import { draftTool, LeftOut } from './tool.ts'

export interface ImportOptions {
  /** What the upstream is called; others that the document has get a number behind it. */
  readonly upstream: string
  /** Names of tools, `*` for any characters. */
  readonly only?: string | undefined
  /** Operations with this tag. */
  readonly tag?: string | undefined
  /** Where the document was read; a server that is relative is relative to that, if it is a URL. */
  readonly from?: string
  readonly beside?: Beside
  /** Names of tools that are the gate's own. */
  readonly reserved?: ReadonlySet<string>
}

/** How many schemas of an operation are written out: fewer where the whole would be too large to load. */
const NODES = [400, 30]
const NODES_MIN = 1
/** Of a file that loads; some is left for what people add. */
const BYTES_MAX = POLICY_LIMITS.toolsBytesMax * 0.95
/** Of a mark in a comment. */
const ORIGIN_MAX = 300
/** How often a tool is tried again without an arg that cannot be said. */
const TRIES = 20

/** The tools of a document and what it says that they do not. @throws GatewayError invalid_request where it is none */
export function importOpenApi(document: Json, options: ImportOptions): Imported {
  const dialect = dialectOf(document)
  if (!dialect) {
    throw new GatewayError('invalid_request', 'this is neither OpenAPI 3.0 or 3.1 nor Swagger 2.0')
  }
  for (const nodes of NODES) {
    const imported = new Import(document, dialect, options, nodes).run(false)
    if (imported) return imported
  }
  return new Import(document, dialect, options, NODES_MIN).run(true)
}

/** With the line between two tools. */
const bytesOf = (tool: ImportedTool): number => Buffer.byteLength(toolText(tool)) + 1

class Import {
  readonly #docs: Documents
  readonly #dialect: Dialect
  readonly #options: ImportOptions
  readonly #nodesMax: number
  readonly #general = new Notes('')
  readonly #findings: ImportFinding[] = []
  readonly #upstreams = new Map<string, JsonObject>()
  readonly #byServer = new Map<string, string>()
  readonly #routes = new TemplateIndex()

  constructor(document: Json, dialect: Dialect, options: ImportOptions, nodesMax: number) {
    this.#docs = new Documents(document, options.beside ?? (() => undefined))
    this.#dialect = dialect
    this.#options = options
    this.#nodesMax = nodesMax
  }

  /** Undefined where it becomes too large; with `isLast` what has no room is left out instead. */
  run(isLast: true): Imported
  run(isLast: boolean): Imported | undefined
  run(isLast: boolean): Imported | undefined {
    const { from = '', upstream } = this.#options
    const server = serverOf(this.#docs, this.#dialect, from, this.#general)
    const prefix = variableOf(upstream)
    const credential = credentialOf(this.#docs, this.#dialect, prefix, server, this.#general)
    const all = [...operationsOf(this.#docs, this.#dialect)]
    const names = toolNames(all, this.#options.reserved ?? new Set())
    const wanted = all.filter((one) => this.#isWanted(one, names.get(one) ?? ''))
    this.#upstreamAt(server, credential)
    const tools: ImportedTool[] = []
    let room = BYTES_MAX
    for (const operation of wanted) {
      const made =
        room < 0 ? [] : this.#tool(operation, names.get(operation) ?? '', server, credential)
      room -= made.reduce((sum, tool) => sum + bytesOf(tool), 0)
      if (room >= 0) tools.push(...made)
      else if (isLast) this.#noRoom(operation)
      else return undefined
    }
    const used = new Set(tools.map(({ tool }) => tool['upstream']))
    const upstreams = [...this.#upstreams].filter(([name]) => name === upstream || used.has(name))
    return {
      upstreams: new Map(upstreams),
      tools,
      findings: [...this.#general.all, ...this.#findings],
      operations: wanted.length,
      origins: new Set(all.map(({ method, path }) => oneLine(`${method} ${path}`, ORIGIN_MAX))),
    }
  }

  // More operations than one file holds: whoever imports has to choose.
  #noRoom({ method, path }: Operation): void {
    const message = 'tools.yaml would be too large: choose with --only or --tag'
    const where = oneLine(`${method} ${path}`, ORIGIN_MAX)
    this.#findings.push({ kind: 'left_out', code: 'too_large', where, message })
  }

  #isWanted({ tags }: Operation, name: string): boolean {
    const { only, tag } = this.#options
    return (
      (only === undefined || namesLike(only)(name)) && (tag === undefined || tags.includes(tag))
    )
  }

  /** The upstream at this place, made when it is the first to be there. */
  #upstreamAt(server: string, credential: JsonObject | null): string {
    const known = this.#byServer.get(server)
    if (known !== undefined) return known
    const { upstream } = this.#options
    const count = this.#byServer.size + 1
    const name = count === 1 ? upstream : `${upstream.slice(0, 55)}_${count}`
    this.#byServer.set(server, name)
    const base = `\${${variableOf(name)}_URL:-${server}}`
    this.#upstreams.set(name, { base_url: base, ...(credential ? { credential } : {}) })
    if (count > 1) {
      const message = `${shown(server)} is upstream \`${name}\`; on another host it has no credential`
      this.#general.add('todo', 'own_server', message)
    }
    return name
  }

  #tool(
    operation: Operation,
    name: string,
    server: string,
    credential: JsonObject | null,
  ): readonly ImportedTool[] {
    const { notes, method, path, servers } = operation
    try {
      const own = servers ? ownServer(this.#docs, servers, this.#options.from ?? '', notes) : server
      // A secret is for whom the document as a whole is about, and not for whatever host an operation names.
      const shows = new URL(own).origin === new URL(server).origin ? credential : null
      const upstream = this.#upstreamAt(own, shows)
      const around = { docs: this.#docs, upstream, credential: shows, nodesMax: this.#nodesMax }
      const { tool, because } = draftTool(operation, name, around)
      const { said, read } = this.#checked(name, tool, notes)
      this.#claimRoute(read)
      const origin = oneLine(`${method} ${path}`, ORIGIN_MAX)
      return [{ name, tool: said, origin, because }]
    } catch (error) {
      if (!(error instanceof LeftOut)) throw error
      notes.add('left_out', error.code, error.message)
      return []
    } finally {
      this.#findings.push(...notes.all)
    }
  }

  /** The tool as it loads: without optional args that cannot travel. @throws LeftOut */
  #checked(name: string, tool: JsonObject, notes: Notes): { said: JsonObject; read: Tool } {
    let said = tool
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const found = new Findings()
      const file = { version: 1, upstreams: this.#plainUpstreams(), tools: { [name]: said } }
      const read = readTools(asSource(file), {}, [], found)?.tools.get(name)
      const [problem] = found.list('error', POLICY_LIMITS.diagnosticsMax)
      if (!problem && read) return { said, read }
      const at = JSON.parse(problem?.file ?? '[]') as readonly string[]
      const message = problem?.message ?? 'does not load'
      const code = problem?.code ?? 'unloadable'
      const arg = argAt(said, at)
      if (arg === undefined || isRequired(said, arg)) throw new LeftOut(code, message)
      notes.add('part_left_out', code, `${shown(arg)}: ${message}`)
      said = without(said, arg)
    }
    throw new LeftOut('unloadable', 'too many of its parameters cannot be said')
  }

  // Where they are does not matter here, and a load would ask for it each time.
  #plainUpstreams(): JsonObject {
    const plain = { base_url: 'https://not-said.invalid' }
    return Object.fromEntries([...this.#upstreams.keys()].map((name) => [name, plain]))
  }

  #claimRoute(tool: Tool): void {
    const taken = this.#routes.related(tool).find(({ relation }) => relation === 'same')
    if (taken) {
      throw new LeftOut('route_same', `stands for the same calls as tool \`${taken.tool.name}\``)
    }
    this.#routes.add(tool)
  }
}

/** The name of a variable of the environment for an upstream. */
const variableOf = (upstream: string): string => upstream.toUpperCase().replaceAll('-', '_')

/** A value as a file, in which the place of a finding is its path. */
function asSource(value: Json): SourceDocument {
  const at = (path: readonly PathStep[]) => ({
    file: JSON.stringify(path.map(String)),
    line: 1,
    col: 1,
  })
  return { file: 'tools.yaml', value, at, atKey: at, written: () => undefined }
}

/** The arg that a finding at this path is about. */
function argAt(tool: JsonObject, [, , word, key, arg]: readonly string[]): string | undefined {
  if (word === 'params') return key
  if (word === 'args' && key === 'properties') return arg
  const query = tool['query']
  const named: unknown = word === 'query' && Array.isArray(query) ? query[Number(key)] : undefined
  return typeof named === 'string' ? named : undefined
}

function isRequired({ args }: JsonObject, arg: string): boolean {
  const required = (args as JsonObject)['required']
  return Array.isArray(required) && (required as readonly Json[]).includes(arg)
}

function without(tool: JsonObject, arg: string): JsonObject {
  const { args, params, query, ...rest } = tool
  const omit = (object: Json | undefined): JsonObject =>
    Object.fromEntries(
      Object.entries((object ?? {}) as JsonObject).filter(([name]) => name !== arg),
    )
  const left = Array.isArray(query) ? (query as readonly Json[]).filter((one) => one !== arg) : []
  const schema = args as JsonObject
  return {
    ...rest,
    ...(left.length > 0 ? { query: left } : {}),
    ...(params === undefined ? {} : { params: omit(params) }),
    args: { ...schema, properties: omit(schema['properties']) },
  }
}
