// What a document says of its operations, whichever of the three dialects it is written in: Swagger 2 is read as what
// OpenAPI 3 would say of the same.
import { isObject } from '../../bundle/pointer.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import { type Documents, type Node, refOf, textOf } from './documents.ts'
import { Notes, shown } from './findings.ts'

export type Dialect = 'swagger2' | 'openapi3'

export interface Operation {
  readonly method: string
  /** As written. */
  readonly path: string
  readonly id: string
  readonly tags: readonly string[]
  readonly description: string
  readonly params: readonly Parameter[]
  readonly body: RequestBody | null
  /** Where it is, when that is not where the document is. */
  readonly servers: Node | null
  readonly notes: Notes
  /** Why it cannot be a tool, when that is known from here. */
  readonly problem: { readonly code: string; readonly message: string } | null
}

export interface Parameter {
  readonly name: string
  readonly in: string
  readonly isRequired: boolean
  readonly style: string
  readonly explode: boolean
  readonly schema: Node
  readonly description: string
  /** It travels as a text in a format of its own, such as JSON. */
  readonly isEncoded: boolean
}

export interface RequestBody {
  readonly isRequired: boolean
  readonly media: readonly Media[]
}

export interface Media {
  readonly type: string
  readonly schema: Node
  /** How members of a form are written, by name. */
  readonly encoding: ReadonlyMap<string, { readonly style: string; readonly explode: boolean }>
}

const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace']
const TOOL_METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'])
const NOTHING: Node = { value: undefined, file: '' }

/** The dialect of a document; undefined where it is none of them. */
export function dialectOf(root: Json | undefined): Dialect | undefined {
  if (!isObject(root)) return undefined
  const { openapi, swagger } = root
  if (typeof openapi === 'string' && /^3\.[01](\.|$)/.test(openapi)) return 'openapi3'
  return swagger === '2.0' || swagger === 2 ? 'swagger2' : undefined
}

/** The operations of a document, in its order. */
export function* operationsOf(docs: Documents, dialect: Dialect): Iterable<Operation> {
  for (const [path, item] of docs.members(docs.member(docs.root, 'paths'))) {
    if (!path.startsWith('/')) continue // `x-...`
    const { value, file } = docs.follow(item)
    if (!isObject(value)) continue
    for (const method of METHODS) {
      if (!Object.hasOwn(value, method)) continue
      const at = docs.follow({ value: value[method], file })
      if (!isObject(at.value)) continue
      yield new OperationReader(docs, dialect, { path, method }, { value, file }).read(at)
    }
  }
}

class OperationReader {
  readonly #docs: Documents
  readonly #dialect: Dialect
  readonly #item: Node
  readonly #path: string
  readonly #method: string
  readonly #notes: Notes
  #problem: Operation['problem'] = null

  constructor(
    docs: Documents,
    dialect: Dialect,
    { path, method }: { readonly path: string; readonly method: string },
    item: Node,
  ) {
    this.#docs = docs
    this.#dialect = dialect
    this.#item = item
    this.#path = path
    this.#method = method.toUpperCase()
    this.#notes = new Notes(`${this.#method} ${path.slice(0, 500)}`)
  }

  read(at: Node): Operation {
    const value = at.value as JsonObject
    if (!TOOL_METHODS.has(this.#method)) this.#fail('method', `\`${this.#method}\` is no tool's`)
    const all = this.#parameters(at)
    const own = this.#docs.member(at, 'servers')
    const servers = own.value === undefined ? this.#docs.member(this.#item, 'servers') : own
    return {
      method: this.#method,
      path: this.#path,
      id: textOf(value, 'operationId'),
      tags: this.#docs
        .items(this.#docs.member(at, 'tags'))
        .flatMap(({ value: tag }) => (typeof tag === 'string' ? [tag] : [])),
      description: textOf(value, 'summary') || textOf(value, 'description'),
      params: all.filter(({ in: place }) => place !== 'body' && place !== 'formData'),
      body: this.#dialect === 'swagger2' ? this.#swaggerBody(at, all) : this.#body(at),
      servers: this.#docs.items(servers).length > 0 ? servers : null,
      notes: this.#notes,
      problem: this.#problem,
    }
  }

  #fail(code: string, message: string): void {
    this.#problem ??= { code, message }
  }

  // Those of the operation stand for those of the path that are called the same.
  #parameters(at: Node): readonly Parameter[] {
    const found = new Map<string, Parameter>()
    for (const from of [this.#item, at]) {
      for (const node of this.#docs.items(this.#docs.member(from, 'parameters'))) {
        const param = this.#parameter(node)
        if (param) found.set(`${param.in} ${param.name}`, param)
      }
    }
    return [...found.values()]
  }

  #parameter(node: Node): Parameter | undefined {
    const at = this.#docs.follow(node)
    const { value } = at
    if (!isObject(value)) {
      this.#fail('unresolved_ref', `parameter ${shown(refOf(node.value) ?? '')} leads nowhere`)
      return undefined
    }
    const place = textOf(value, 'in')
    const [encoded] = this.#docs.members(this.#docs.member(at, 'content'))
    const style = this.#styleOf(value, place)
    return {
      name: textOf(value, 'name'),
      in: place,
      isRequired: value['required'] === true,
      ...style,
      schema: this.#dialect === 'swagger2' && place !== 'body' ? at : child(value, at, 'schema'),
      description: textOf(value, 'description'),
      isEncoded: encoded !== undefined && value['schema'] === undefined,
    }
  }

  #styleOf(value: JsonObject, place: string): { style: string; explode: boolean } {
    if (this.#dialect === 'swagger2') return collection(textOf(value, 'collectionFormat'), place)
    const usual = place === 'query' || place === 'cookie' ? 'form' : 'simple'
    const style = textOf(value, 'style') || usual
    const explode = value['explode']
    return { style, explode: typeof explode === 'boolean' ? explode : style === 'form' }
  }

  #body(at: Node): RequestBody | null {
    const said = (at.value as JsonObject)['requestBody']
    if (said === undefined) return null
    const body = this.#docs.member(at, 'requestBody')
    if (!isObject(body.value)) {
      this.#fail('unresolved_ref', `the request body ${shown(refOf(said) ?? '')} leads nowhere`)
      return null
    }
    const content = this.#docs.members(this.#docs.member(body, 'content'))
    const media = content.map(([type, node]) => this.#media(type, node))
    return media.length === 0 ? null : { isRequired: body.value['required'] === true, media }
  }

  #media(type: string, node: Node): Media {
    const at = this.#docs.follow(node)
    const encodings = this.#docs.members(this.#docs.member(at, 'encoding'))
    const encoding = encodings.flatMap(([name, one]) => {
      const { value } = this.#docs.follow(one)
      if (!isObject(value) || typeof value['style'] !== 'string') return []
      const style = value['style']
      const explode = value['explode']
      const isExploded = typeof explode === 'boolean' ? explode : style === 'form'
      return [[name, { style, explode: isExploded }] as const]
    })
    const schema = isObject(at.value) ? child(at.value, at, 'schema') : NOTHING
    return { type: mediaType(type), schema, encoding: new Map(encoding) }
  }

  #swaggerBody(at: Node, all: readonly Parameter[]): RequestBody | null {
    const types = this.#consumed(at)
    const whole = all.find(({ in: place }) => place === 'body')
    if (whole) {
      const { isRequired, schema } = whole
      const said = types.length > 0 ? types : ['application/json']
      return { isRequired, media: said.map((type) => ({ type, schema, encoding: new Map() })) }
    }
    const fields = all.filter(({ in: place }) => place === 'formData')
    return fields.length === 0 ? null : this.#form(fields, types)
  }

  #form(fields: readonly Parameter[], types: readonly string[]): RequestBody {
    const isFile = ({ schema: { value } }: Parameter) => isObject(value) && value['type'] === 'file'
    const isMultipart = fields.some(isFile) || types.includes('multipart/form-data')
    const members = fields.map((field): [string, Json] => [
      field.name,
      isFile(field) ? { type: 'string', format: 'binary' } : (field.schema.value as Json),
    ])
    const required = fields.filter(({ isRequired }) => isRequired).map(({ name }) => name)
    const { file } = fields[0]?.schema ?? NOTHING
    const value: Json = { type: 'object', properties: Object.fromEntries(members), required }
    const encoding = new Map(fields.map(({ name, style, explode }) => [name, { style, explode }]))
    const type = isMultipart ? 'multipart/form-data' : 'application/x-www-form-urlencoded'
    return { isRequired: required.length > 0, media: [{ type, schema: { value, file }, encoding }] }
  }

  #consumed(at: Node): readonly string[] {
    const own = this.#docs.items(this.#docs.member(at, 'consumes'))
    const all =
      own.length > 0 ? own : this.#docs.items(this.#docs.member(this.#docs.root, 'consumes'))
    return all.flatMap(({ value }) => (typeof value === 'string' ? [mediaType(value)] : []))
  }
}

const child = (value: JsonObject, at: Node, name: string): Node => ({
  value: Object.hasOwn(value, name) ? value[name] : undefined,
  file: at.file,
})

const mediaType = (text: string): string => (text.split(';')[0] ?? '').trim().toLowerCase()

function collection(format: string, place: string): { style: string; explode: boolean } {
  if (format === 'multi') return { style: 'form', explode: true }
  if (format === 'ssv') return { style: 'spaceDelimited', explode: false }
  if (format === 'pipes') return { style: 'pipeDelimited', explode: false }
  if (format === 'tsv') return { style: 'tsv', explode: false }
  return { style: place === 'path' || place === 'header' ? 'simple' : 'form', explode: false }
}
