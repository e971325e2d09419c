// One operation as a tool: which args it has, and where each of them travels.
import { isOwnHeader } from '../../bundle/headers.ts'
import { isObject, typeBesideNull } from '../../bundle/pointer.ts'
import { typesOf } from '../../bundle/scalars.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import { readBody, type ReadBody } from './body.ts'
import type { Documents } from './documents.ts'
import { type ImportFinding, type Notes, oneLine, shown } from './findings.ts'
import { guessEffect } from './effects.ts'
import type { Operation, Parameter } from './operations.ts'
import { type ReadRoute, readRoute } from './route.ts'
import { isReservedName, SchemaReader, withRequired } from './schemas.ts'

const DESCRIPTION_MAX = 200

/** What the tools of one document share. */
export interface ToolSurroundings {
  readonly docs: Documents
  readonly upstream: string
  /** Of the upstream: what the gate shows itself is no arg. */
  readonly credential: JsonObject | null
  /** How many schemas of one operation are written out. */
  readonly nodesMax: number
}

export interface Draft {
  readonly tool: JsonObject
  /** From what its effect is guessed. */
  readonly because: string
}

/** Why an operation has no tool. */
export class LeftOut extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/** The tool of an operation. @throws LeftOut */
export function draftTool(operation: Operation, name: string, around: ToolSurroundings): Draft {
  if (operation.problem) throw new LeftOut(operation.problem.code, operation.problem.message)
  const route = readRoute(operation.path)
  if ('code' in route) throw new LeftOut(route.code, route.message)
  return new Drafting(operation, route, around).draft(name)
}

interface Arg {
  readonly schema: JsonObject
  readonly isRequired: boolean
  /** Where it travels; null: in the body under its own name. */
  readonly param: JsonObject | null
}

class Drafting {
  readonly #operation: Operation
  readonly #route: ReadRoute
  readonly #around: ToolSurroundings
  readonly #notes: Notes
  readonly #schemas: SchemaReader
  readonly #args = new Map<string, Arg>()

  constructor(operation: Operation, route: ReadRoute, around: ToolSurroundings) {
    this.#operation = operation
    this.#route = route
    this.#around = around
    this.#notes = operation.notes
    this.#schemas = new SchemaReader(around.docs, operation.notes, around.nodesMax)
  }

  draft(name: string): Draft {
    const { method, params, description } = this.#operation
    this.#addPath(params.filter((param) => param.in === 'path'))
    this.#addFixed()
    for (const param of params) if (param.in !== 'path') this.#add(param)
    const body = this.#body()
    const open = this.#addBody(body)
    const bodyArg = body && !body.members ? this.#bodyArg(body) : undefined
    const { effect, because } = guessEffect(method, name, this.#route.path)
    const said = oneLine(description, DESCRIPTION_MAX)
    const tool: Record<string, Json> = {
      ...(said === '' ? {} : { description: said }),
      upstream: this.#around.upstream,
      method,
      path: this.#route.path,
      ...this.#placed(),
      ...bodyWords(method, body, bodyArg),
      on_hold: 'refused',
      effect,
      args: this.#schema(open),
    }
    return { tool, because }
  }

  #addPath(params: readonly Parameter[]): void {
    for (const [name, variable] of this.#route.variables) {
      const param = params.find((one) => one.name === name)
      if (param && param.style !== 'simple') {
        throw new LeftOut(
          'param_style',
          `path parameter ${shown(name)} is in style ${shown(param.style)}`,
        )
      }
      if (!param)
        this.#notes.add(
          'guessed',
          'undeclared_path',
          `${shown(name)} of the path is not declared: a text`,
        )
      const schema = param ? this.#schemaOf(param) : { type: 'string' }
      this.#args.set(variable, { schema: inPath(schema), isRequired: true, param: IN_PATH })
    }
    for (const { name } of params) {
      if (this.#route.variables.has(name)) continue
      this.#notes.add('part_left_out', 'not_in_path', `the path has no ${shown(name)}`)
    }
  }

  #addFixed(): void {
    for (const [name, value] of this.#route.fixed) {
      const schema = { type: 'string', enum: [value] }
      this.#put(name, 'query', { schema, isRequired: true, param: { in: 'query' } }, name)
    }
  }

  #add(param: Parameter): void {
    const { name, in: place, isRequired } = param
    if (place === 'header' && /^(?:accept|content-type|authorization)$/i.test(name)) return // OpenAPI: ignored
    if (this.#isCredential(param)) return
    if (this.#route.fixed.some(([fixed]) => place === 'query' && fixed === name)) return
    const problem = this.#problemOf(param)
    if (problem !== undefined) {
      if (isRequired && problem.code !== 'own_header')
        throw new LeftOut(problem.code, problem.message)
      this.#notes.add('part_left_out', problem.code, problem.message)
      return
    }
    const schema = this.#schemaOf(param)
    if (!this.#addMembers(param, schema)) this.#addOne(param, schema)
  }

  #problemOf({
    name,
    in: place,
    style,
  }: Parameter): Pick<ImportFinding, 'code' | 'message'> | undefined {
    const what = `${place} parameter ${shown(name)}`
    if (place === 'cookie') return { code: 'cookie', message: `${what}: no agent decides cookies` }
    if (place !== 'query' && place !== 'header') {
      return { code: 'param_place', message: `${what} is nowhere that a tool knows` }
    }
    if (isReservedName(name))
      return { code: 'reserved_name', message: `${what} has no name that can be said` }
    if (place === 'header' && (isOwnHeader(name) || !/^[A-Za-z0-9-]+$/.test(name))) {
      return { code: 'own_header', message: `${what} is the gate's own affair` }
    }
    return style === 'tsv'
      ? { code: 'param_style', message: `${what} is parted by tabs` }
      : undefined
  }

  #isCredential({ name, in: place }: Parameter): boolean {
    const { credential } = this.#around
    const said = place === 'header' || place === 'query' ? credential?.[place] : undefined
    return typeof said === 'string' && said.toLowerCase() === name.toLowerCase()
  }

  // `explode: true` of an object means: each member is a parameter of its own.
  #addMembers(param: Parameter, schema: JsonObject): boolean {
    const { properties, required } = schema
    const isExploded = param.in === 'query' && param.style === 'form' && param.explode
    if (!isExploded || param.isEncoded || !isObject(properties)) return false
    if (typeBesideNull(schema) !== 'object' && schema['type'] !== undefined) return false
    const needed = Array.isArray(required) && param.isRequired ? (required as readonly Json[]) : []
    for (const [name, own] of Object.entries(properties)) {
      this.#addOne({ ...param, name, isRequired: needed.includes(name) }, isObject(own) ? own : {})
    }
    return true
  }

  #addOne(param: Parameter, schema: JsonObject): void {
    const { name, in: place, isRequired } = param
    const types = typesOf(schema, schema)
    const said = types.size === 0 && place !== 'body' ? { ...schema, type: 'string' } : schema
    const isList = types.has('array')
    const isBracketed = isList && name.endsWith('[]') && name.length > 2 && place === 'query'
    const arg = isBracketed ? name.slice(0, -2) : name
    const style = isBracketed ? { style: 'deepObject' } : styleWords(param, types)
    this.#put(arg, place, { schema: said, isRequired, param: { in: place, ...style } }, arg)
  }

  #put(name: string, place: string, arg: Arg, wire: string): void {
    let own = name
    for (let n = 1; this.#args.has(own); n++)
      own = n === 1 ? `${name}_${place}` : `${name}_${place}_${n}`
    const isRenamed = own !== wire
    const param =
      arg.param && isRenamed ? { in: arg.param['in'] as Json, name: wire, ...arg.param } : arg.param
    const here = param ?? (isRenamed ? { in: 'body', name: wire } : null)
    this.#args.set(own, { ...arg, param: here })
  }

  #schemaOf({ schema, description, isEncoded, name }: Parameter): JsonObject {
    const line = oneLine(description, DESCRIPTION_MAX)
    const words = line === '' ? {} : { description: line }
    if (isEncoded) {
      this.#notes.add(
        'guessed',
        'encoded',
        `${shown(name)} is a text in a format of its own, such as JSON`,
      )
      return { type: 'string', ...words }
    }
    const { description: _, ...own } = this.#schemas.read(schema)
    return { ...own, ...words }
  }

  #body(): ReadBody | null {
    const { body, method } = this.#operation
    if (!body) return null
    if (method !== 'GET' && method !== 'HEAD') {
      return readBody(this.#around.docs, body, this.#schemas, this.#notes)
    }
    const message = `the body of a ${method} is not one that every server reads`
    if (body.isRequired) throw new LeftOut('body_of_get', message)
    this.#notes.add('part_left_out', 'body_of_get', message)
    return null
  }

  /** Adds members of a body; what else it may hold, if anything. */
  #addBody(body: ReadBody | null): Json | undefined {
    if (!body?.members) return undefined
    const { properties, required, additionalProperties: open } = body.members
    const needed = Array.isArray(required) ? (required as readonly Json[]) : []
    for (const [name, own] of Object.entries(isObject(properties) ? properties : {})) {
      const schema = isObject(own) ? own : {}
      const param = body.kind === 'json' ? null : formParam(body, name, schema)
      this.#put(name, 'body', { schema, isRequired: needed.includes(name), param }, name)
    }
    return open
  }

  #bodyArg({ whole, isRequired }: ReadBody): string {
    let own = 'body'
    for (let n = 2; this.#args.has(own); n++) own = `body_${n}`
    this.#args.set(own, { schema: whole, isRequired, param: null })
    return own
  }

  #placed(): JsonObject {
    const short: string[] = []
    const params: [string, JsonObject][] = []
    for (const [arg, { param, schema }] of this.#args) {
      if (!param || param === IN_PATH) continue
      const isPlain = param['in'] === 'query' && Object.keys(param).length === 1
      const type = typeBesideNull(schema)
      if (isPlain && (type === 'string' || type === 'integer' || type === 'boolean'))
        short.push(arg)
      else params.push([arg, param])
    }
    return {
      ...(short.length > 0 ? { query: short } : {}),
      ...(params.length > 0 ? { params: Object.fromEntries(params) } : {}),
    }
  }

  #schema(open: Json | undefined): JsonObject {
    const required = [...this.#args].filter(([, arg]) => arg.isRequired).map(([name]) => name)
    const properties = [...this.#args].map(([name, arg]): [string, Json] => [
      name,
      withRequired(arg.schema),
    ])
    return {
      type: 'object',
      ...(required.length > 0 ? { required } : {}),
      properties: Object.fromEntries(properties),
      ...(open === undefined || open === false
        ? {}
        : { additionalProperties: isObject(open) ? withRequired(open) : open }),
    }
  }
}

const IN_PATH: JsonObject = Object.freeze({ in: 'path' })

// A variable of a path is there, and is never null.
function inPath(schema: JsonObject): JsonObject {
  const types = ([schema['type'] ?? []].flat() as readonly Json[]).filter((one) => one !== 'null')
  if (types.length === 0 && typesOf(schema, schema).size > 0) return schema
  if (types.length === 0) return { ...schema, type: 'string' }
  return { ...schema, type: types.length === 1 ? (types[0] as Json) : types }
}

function styleWords(
  { in: place, style, explode }: Parameter,
  types: ReadonlySet<string>,
): JsonObject {
  if (place !== 'query' || (!types.has('array') && !types.has('object'))) return {}
  if (style === 'form') return explode ? {} : { explode: false }
  const isParted = style === 'spaceDelimited' || style === 'pipeDelimited'
  return isParted && explode ? {} : { style }
}

function formParam({ encoding }: ReadBody, name: string, schema: JsonObject): JsonObject | null {
  const said = encoding.get(name)
  const types = typesOf(schema, schema)
  const { items } = schema
  const ofItems = isObject(items) ? typesOf(items, items) : new Set<string>()
  const isDeep = types.has('array') && (ofItems.has('object') || ofItems.has('array'))
  if (isDeep) return { in: 'body', style: 'deepObject' }
  if (!said || (!types.has('array') && !types.has('object'))) return null
  if (said.style === 'deepObject') return { in: 'body', style: 'deepObject' }
  if (!types.has('array') || said.explode) return null
  const isParted = said.style === 'spaceDelimited' || said.style === 'pipeDelimited'
  return isParted ? { in: 'body', style: said.style } : { in: 'body', explode: false }
}

function bodyWords(method: string, body: ReadBody | null, bodyArg: string | undefined): JsonObject {
  const isUsual = method === 'GET' || method === 'HEAD' || method === 'DELETE'
  if (!body) return isUsual ? {} : { body: 'none' }
  const { kind, contentType } = body
  const isArgUsual = (kind === 'text' || kind === 'raw') && bodyArg === 'body'
  return {
    body: kind,
    ...(contentType === null ? {} : { content_type: contentType }),
    ...(bodyArg === undefined || isArgUsual ? {} : { body_arg: bodyArg }),
  }
}
