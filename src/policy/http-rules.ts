import { EXTRA_QUERY } from '../bundle/params.ts'
import { withFiles } from '../bundle/files.ts'
import { closeSchema } from '../bundle/close-schema.ts'
import { isOwnHeader } from '../bundle/headers.ts'
import { fromOpenApi } from '../bundle/openapi-keywords.ts'
import { isObject, schemaAt, typeBesideNull } from '../bundle/pointer.ts'
import { typesOf } from '../bundle/scalars.ts'
import { hasBody } from '../bundle/target.ts'
import { parseTemplate, paramsOf, isParam } from '../bundle/template.ts'
import { didYouMean } from '../lib/suggest.ts'
import { PLAIN_CALL } from '../model/tool.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { BodyKind, HttpCallRules, Param, ParamStyle, ResponseRules } from '../model/tool.ts'
import type { PathStep } from '../sources/yaml.ts'

// How a tool is called beyond its method and path, from what was written to rules without gaps: every arg travels in exactly one
// place, and what is not said follows from the method and the schema. What changes the call itself is part of an approval; what only
// changes what callers are told is not.

/** What a tool says of how it is called, beyond its method and path, as written. */
export interface RawHttpCall {
  readonly method: string
  readonly path: string
  readonly query?: readonly string[]
  readonly params?: Readonly<Record<string, RawParam>>
  readonly body?: Exclude<BodyKind, 'plain'>
  readonly content_type?: string
  readonly body_arg?: string
  readonly body_bytes_max?: number
  readonly extra_query?: 'refuse' | 'pass'
  readonly response?: {
    readonly stream?: ResponseRules['stream']
    readonly bytes_max?: number
    readonly redirects?: ResponseRules['redirects']
  }
  readonly retryable_status?: readonly number[]
  readonly return_headers?: readonly string[]
  readonly on_hold?: HttpCallRules['onHold']
  readonly wait_s?: number
  readonly result_ttl_s?: number
}

interface RawParam {
  readonly in: Param['in']
  readonly name?: string
  readonly style?: ParamStyle
  readonly explode?: boolean
  readonly slash?: boolean
}

type Report = (at: readonly PathStep[], code: string, message: string, hint?: string) => void

const MIB = 1 << 20
const UPLOAD_BYTES_MAX = 25 * MIB
/** What is parsed is held in memory; a file is not. */
const PARSED_BYTES_MAX = 16 * MIB
const WAIT_S = 30
/** What effects depend on; the rest only changes what callers are told. */
const BINDING = [
  ...['params', 'body', 'content_type', 'body_arg', 'body_bytes_max', 'extra_query', 'response'],
  'retryable_status',
] as const

/** What the new words of a tool say; `declared` is what of it is part of an approval. */
export interface ReadHttpCall {
  readonly http: HttpCallRules
  readonly argsSchema: JsonObject
  readonly declared: JsonObject
}

/** Reads how a tool is called, and reports what cannot be. */
export function readHttpCall(raw: RawHttpCall, args: JsonObject, report: Report): ReadHttpCall {
  const kind = raw.body ?? PLAIN_CALL.body
  const hasFiles = kind === 'multipart' || kind === 'raw'
  // Files first: that a text is binary says nothing to a schema.
  const { schema: said, files } = hasFiles ? withFiles(args) : { schema: args, files: [] }
  const schema = closeSchema(fromOpenApi(said))
  const params = new ParamReader(raw, schema, report).read()
  const bodyArg = readBody(raw, schema, params, files, report)
  const isParsed = !hasFiles
  if (isParsed && (raw.body_bytes_max ?? 0) > PARSED_BYTES_MAX) {
    const message = `a body that is parsed has at most ${PARSED_BYTES_MAX} bytes`
    report(['body_bytes_max'], 'bad_body', message)
  }
  if (raw.wait_s !== undefined && raw.on_hold !== 'wait') {
    report(['wait_s'], 'bad_hold', '`wait_s` says how long `on_hold: wait` waits')
  }
  const declared = pick(raw)
  return {
    argsSchema: raw.extra_query === 'pass' ? withExtraQuery(schema, report) : schema,
    declared: files.length > 0 ? { ...declared, files } : declared,
    http: {
      params,
      body: kind,
      contentType: raw.content_type?.toLowerCase() ?? null,
      bodyArg,
      bodyBytesMax: raw.body_bytes_max ?? (isParsed ? MIB : UPLOAD_BYTES_MAX),
      files,
      extraQuery: raw.extra_query === 'pass',
      response: {
        stream: raw.response?.stream ?? PLAIN_CALL.response.stream,
        bytesMax: raw.response?.bytes_max ?? null,
        redirects: raw.response?.redirects ?? PLAIN_CALL.response.redirects,
      },
      retryableStatus: raw.retryable_status ?? null,
      returnHeaders: (raw.return_headers ?? []).map((name) => name.toLowerCase()),
      onHold: raw.on_hold ?? PLAIN_CALL.onHold,
      waitMs: raw.on_hold === 'wait' ? (raw.wait_s ?? WAIT_S) * 1000 : 0,
      resultTtlMs:
        raw.result_ttl_s === undefined ? PLAIN_CALL.resultTtlMs : raw.result_ttl_s * 1000,
    },
  }
}

function pick(raw: RawHttpCall): JsonObject {
  const all = raw as unknown as JsonObject
  return Object.fromEntries(
    BINDING.flatMap((key): [string, Json][] => (all[key] === undefined ? [] : [[key, all[key]]])),
  )
}

function withExtraQuery(schema: JsonObject, report: Report): JsonObject {
  const { properties } = schema
  const known = isObject(properties) ? properties : {}
  if (Object.hasOwn(known, EXTRA_QUERY)) {
    report(
      ['args'],
      'bad_query_arg',
      `with \`extra_query: pass\`, \`${EXTRA_QUERY}\` is not an arg`,
    )
  }
  const text = { type: 'string', maxLength: 8192 }
  const values = { anyOf: [text, { type: 'array', items: text, maxItems: 1000 }] }
  const extra = { type: 'object', maxProperties: 1000, additionalProperties: values }
  return { ...schema, properties: { ...known, [EXTRA_QUERY]: extra } }
}

/** The arg that is the whole body, or null. */
function readBody(
  raw: RawHttpCall,
  schema: JsonObject,
  params: readonly Param[],
  files: readonly string[],
  report: Report,
): string | null {
  const { body: kind, content_type: type } = raw
  const isWhole = kind === 'text' || kind === 'raw'
  if (type !== undefined && (kind === undefined || kind === 'none' || kind === 'multipart')) {
    report(['content_type'], 'bad_body', 'this body has no content type to choose')
  }
  if (raw.body_bytes_max !== undefined && kind === 'none') {
    report(['body_bytes_max'], 'bad_body', 'there is no body')
  }
  if (kind !== undefined && kind !== 'none' && raw.method === 'GET') {
    report(['body'], 'bad_body', 'a GET has no body that every server reads')
  }
  if (raw.body_arg !== undefined && !isWhole && kind !== 'json') {
    report(['body_arg'], 'bad_body', '`body_arg` goes with `body: json`, `text` or `raw`')
  }
  const arg = raw.body_arg ?? (isWhole ? 'body' : null)
  reportUnplaced(raw, schema, params, arg, report)
  if (arg === null) return null
  const own = schemaAt(schema, [arg])
  const isFile = files.includes(arg)
  if (params.some((param) => param.arg === arg)) {
    report(['body_arg'], 'bad_body', `\`${arg}\` is the body, so it is none of \`params\``)
  }
  if (!own) report(['body_arg'], 'no_such_arg', `no arg \`${arg}\`, which would be the body`)
  else if (kind === 'raw' && !isFile) {
    report(['args'], 'bad_body', `the body \`${arg}\` must be of type string and format binary`)
  } else if (kind === 'text' && typeBesideNull(own) !== 'string') {
    report(['args'], 'bad_body', `the body \`${arg}\` must be of type string`)
  }
  return arg
}

// Where the body holds one arg or none, every other has to travel elsewhere, which can be said before anybody calls.
function reportUnplaced(
  raw: RawHttpCall,
  schema: JsonObject,
  params: readonly Param[],
  bodyArg: string | null,
  report: Report,
): void {
  if (raw.body === undefined || (raw.body !== 'none' && bodyArg === null)) return
  const { properties } = schema
  const placed = new Set(params.map(({ arg }) => arg))
  const lost = Object.keys(isObject(properties) ? properties : {}).filter(
    (arg) => arg !== bodyArg && !placed.has(arg),
  )
  for (const arg of lost) {
    const message = `arg \`${arg}\` has no place: name it under \`params\``
    report(['args', 'properties', arg], 'no_place', message)
  }
}

const QUERY_TYPES = new Set<Json>(['string', 'integer', 'boolean'])
const SCALARS: ReadonlySet<string> = new Set(['string', 'integer', 'number', 'boolean', 'null'])
const STYLES: Readonly<Record<Param['in'], readonly ParamStyle[]>> = {
  path: ['simple'],
  header: ['simple'],
  query: ['form', 'spaceDelimited', 'pipeDelimited', 'deepObject'],
  body: ['form', 'spaceDelimited', 'pipeDelimited', 'deepObject'],
}

/** Where each arg travels: `params`, the template of the path, and `query`, which is short for some of them. */
class ParamReader {
  readonly #raw: RawHttpCall
  readonly #schema: JsonObject
  readonly #report: Report

  constructor(raw: RawHttpCall, schema: JsonObject, report: Report) {
    this.#raw = raw
    this.#schema = schema
    this.#report = report
  }

  read(): readonly Param[] {
    const declared = Object.entries(this.#raw.params ?? {}).map(([arg, raw]) => toParam(arg, raw))
    for (const param of declared) this.#check(param)
    const inPath = this.#pathParams(declared)
    const others = declared.filter((param) => param.in !== 'path')
    const short = this.#short(declared, inPath)
    const all = [...inPath, ...short, ...others]
    this.#reportTwice(all)
    return all
  }

  #check(param: Param): void {
    const { arg, in: place, style } = param
    const at = ['params', arg]
    const own = schemaAt(this.#schema, [arg])
    if (!own) {
      this.#report(at, 'no_such_arg', `no arg \`${arg}\``, this.#argHint(arg))
      return
    }
    if (!STYLES[place].includes(style)) {
      const message = `style \`${style}\` is not one of a ${place} parameter`
      this.#report([...at, 'style'], 'bad_param', message, `one of: ${STYLES[place].join(', ')}`)
    }
    if (param.slash && place !== 'path') {
      this.#report([...at, 'slash'], 'bad_param', '`slash` goes with `in: path`')
    }
    if (place === 'header' && (isOwnHeader(param.name) || !/^[A-Za-z0-9-]+$/.test(param.name))) {
      this.#report(at, 'bad_param', `header \`${param.name}\` is the gate's own affair`)
    }
    if (place === 'body') this.#checkBody(param)
    else this.#checkShape(param, own)
  }

  #checkBody({ arg }: Param): void {
    const { body, body_arg: whole } = this.#raw
    const hasMembers = body === undefined ? hasBody(this.#raw.method) : isOfMembers(body)
    if (hasMembers && whole === undefined) return
    this.#report(['params', arg, 'in'], 'bad_param', 'this body has no members')
  }

  // What a list or an object looks like where only text travels.
  #checkShape({ arg, in: place, style, explode }: Param, own: JsonObject): void {
    const at = ['params', arg]
    const types = typesOf(own, this.#schema)
    const hasObject = types.has('object')
    if (hasObject && style !== 'deepObject') {
      const message = `an object as a ${place} parameter is not supported yet in style \`${style}\``
      const hint = place === 'query' ? 'style: deepObject' : undefined
      this.#report(at, 'not_supported_yet', message, hint)
    }
    if (style === 'simple' && explode && types.has('array')) {
      this.#report([...at, 'explode'], 'not_supported_yet', 'not supported yet for a list here')
    }
    const items = own['items']
    const ofItems = isObject(items) ? typesOf(items, this.#schema) : new Set(['string'])
    const arePlain = [...ofItems].every((type) => SCALARS.has(type))
    if (types.has('array') && !arePlain && style !== 'deepObject') {
      const message = 'a list here may hold text, numbers and booleans only'
      this.#report(at, 'bad_param', message)
    }
  }

  #pathParams(declared: readonly Param[]): readonly Param[] {
    const parsed = parseTemplate(this.#raw.path)
    const own = declared.filter((param) => param.in === 'path')
    if (!parsed.ok) {
      this.#report(['path'], 'bad_path_template', parsed.message)
      return own
    }
    const names = parsed.segments.flatMap(paramsOf)
    for (const { arg, name } of own) {
      if (names.includes(name)) continue
      const message = `the path has no \`{${name}}\``
      this.#report(['params', arg], 'bad_path_param', message, didYouMean(name, names))
    }
    const whole = new Set(parsed.segments.filter(isParam).map(({ param }) => param))
    const slashed = own.find(({ slash, name }) => slash && !whole.has(name))
    if (slashed) {
      const message = '`slash` is for a parameter that is a whole segment'
      this.#report(['params', slashed.arg, 'slash'], 'bad_path_param', message)
    }
    const params = names.map(
      (name) => own.find((param) => param.name === name) ?? toParam(name, { in: 'path' }),
    )
    for (const param of params) this.#checkPathArg(param)
    return params
  }

  #checkPathArg({ arg, name }: Param): void {
    const required = Array.isArray(this.#schema['required']) ? this.#schema['required'] : []
    const own = schemaAt(this.#schema, [arg])
    const types = own ? [...typesOf(own, this.#schema)] : []
    const isPlain = types.length > 0 && types.every((type) => type !== 'object' && type !== 'null')
    if (!isPlain) {
      const message = `path parameter \`${name}\` must be an arg of type string or integer`
      this.#report(['path'], 'bad_path_param', message, this.#argHint(arg))
    } else if (!(required as readonly Json[]).includes(arg)) {
      const message = `path parameter \`${name}\` must be listed under \`required\``
      this.#report(['args'], 'bad_path_param', message)
    }
  }

  /** `query: [a, b]`: args that travel in the query under their own names. */
  #short(declared: readonly Param[], inPath: readonly Param[]): readonly Param[] {
    return (this.#raw.query ?? []).map((arg, index) => {
      const at = ['query', index]
      const type = typeBesideNull(schemaAt(this.#schema, [arg]))
      if (inPath.some((param) => param.arg === arg)) {
        this.#report(at, 'bad_query_arg', `\`${arg}\` is a path parameter already`)
      } else if (declared.some((param) => param.arg === arg)) {
        this.#report(at, 'bad_query_arg', `\`${arg}\` is one of \`params\` already`)
      } else if (!QUERY_TYPES.has(type ?? null)) {
        const message = `query arg \`${arg}\` must be an arg of type string, integer or boolean`
        const hint = type === undefined ? this.#argHint(arg) : 'name it under `params`'
        this.#report(at, 'bad_query_arg', message, hint)
      }
      return toParam(arg, { in: 'query' })
    })
  }

  #reportTwice(params: readonly Param[]): void {
    const seen = new Set<string>()
    for (const { arg, in: place, name } of params) {
      const id = `${place} ${place === 'header' ? name.toLowerCase() : name}`
      if (seen.has(id)) {
        this.#report(['params', arg], 'bad_param', `two args are ${place} parameter \`${name}\``)
      }
      seen.add(id)
    }
    const { properties } = this.#schema
    const renamed = params.filter((param) => param.in === 'body' && param.name !== param.arg)
    for (const { arg, name } of renamed) {
      const other = params.find((param) => param.arg === name)
      const isFree = other
        ? other.in !== 'body' || other.name !== name
        : !hasMember(properties, name)
      if (isFree) continue
      this.#report(['params', arg], 'bad_param', `another arg is \`${name}\` in the body`)
    }
  }

  #argHint(name: string): string | undefined {
    const properties = this.#schema['properties']
    return isObject(properties) ? didYouMean(name, Object.keys(properties)) : undefined
  }
}

const isOfMembers = (kind: BodyKind): boolean =>
  kind === 'json' || kind === 'form' || kind === 'multipart'

const hasMember = (properties: Json | undefined, name: string): boolean =>
  isObject(properties) && Object.hasOwn(properties, name)

function toParam(arg: string, raw: RawParam): Param {
  const style = raw.style ?? (raw.in === 'path' || raw.in === 'header' ? 'simple' : 'form')
  return {
    arg,
    in: raw.in,
    name: raw.name ?? arg,
    style,
    explode: raw.explode ?? (style === 'form' || style === 'deepObject'),
    slash: raw.slash ?? false,
  }
}
