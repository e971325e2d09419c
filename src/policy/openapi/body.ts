// Which of the bodies that an operation takes a tool sends, and what of it are args.
import { isObject } from '../../bundle/pointer.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import type { BodyKind } from '../../model/tool.ts'
import type { Documents, Node } from './documents.ts'
import type { Notes } from './findings.ts'
import type { Media, RequestBody } from './operations.ts'
import type { SchemaReader } from './schemas.ts'

export interface ReadBody {
  readonly kind: Exclude<BodyKind, 'plain'>
  readonly contentType: string | null
  readonly isRequired: boolean
  readonly encoding: Media['encoding']
  /** What the members may be; null where the whole body is one arg. */
  readonly members: JsonObject | null
  readonly whole: JsonObject
}

type Kind = ReadBody['kind']

const JSON_TYPE = /^(?:application|text)\/json$|\+json$/
const TEXT_TYPE =
  /^text\/|^application\/(?:xml|javascript|graphql|(?:x-)?yaml|x-ndjson|jsonl?|sql|soap\+xml)$|\+(?:xml|yaml)$/
/** The better one is what policies see more of. */
const ORDER: readonly Kind[] = ['json', 'form', 'multipart', 'text', 'raw']

/** The body of an operation as a tool has it. */
export function readBody(
  docs: Documents,
  body: RequestBody,
  schemas: SchemaReader,
  notes: Notes,
): ReadBody {
  const choices = body.media.map((media) => ({ media, kind: kindOf(docs, media) }))
  const kind = ORDER.find((one) => choices.some((choice) => choice.kind === one)) ?? 'raw'
  const ofKind = choices.filter((choice) => choice.kind === kind).map(({ media }) => media)
  const usual = ofKind.find(({ type }) => usualType(kind) === type)
  const media = usual ?? ofKind[0] ?? NO_MEDIA
  const { isRequired } = body
  const contentType = typeToSay(kind, media.type)
  const base = { kind, contentType, isRequired, encoding: media.encoding }
  if (kind === 'text') return { ...base, members: null, whole: { type: 'string' } }
  if (kind === 'raw') return { ...base, members: null, whole: FILE }
  const whole = schemas.read(media.schema)
  if (kind === 'json') return { ...base, members: isOfMembers(whole) ? whole : null, whole }
  const members =
    kind === 'multipart'
      ? withFiles(docs, media.schema, asMembers(whole, notes))
      : asMembers(whole, notes)
  return { ...base, members, whole }
}

const NO_MEDIA: Media = {
  type: '',
  schema: { value: undefined, file: '' },
  encoding: new Map(),
}

const FILE: JsonObject = { type: 'string', format: 'binary' }

function kindOf(docs: Documents, { type, schema }: Media): Kind {
  if (JSON_TYPE.test(type)) return 'json'
  if (type === 'application/x-www-form-urlencoded') return 'form'
  if (type.startsWith('multipart/')) return 'multipart'
  if (TEXT_TYPE.test(type)) return 'text'
  const { value } = docs.follow(schema)
  const isOpen = type === '*/*' || type === 'application/*' || type === ''
  return isOpen && isObject(value) && !isBinary(value) ? 'json' : 'raw'
}

const usualType = (kind: Kind): string =>
  ({
    json: 'application/json',
    form: 'application/x-www-form-urlencoded',
    multipart: 'multipart/form-data',
    text: 'text/plain',
    raw: 'application/octet-stream',
    none: '',
  })[kind]

function typeToSay(kind: Kind, type: string): string | null {
  if (kind === 'form' || kind === 'multipart' || type === usualType(kind)) return null
  return /^[a-z0-9!#$&^_.+-]+\/[a-z0-9!#$&^_.+-]+$/.test(type) ? type : null
}

/** Whether a schema is an object with members that have names, and nothing else. */
function isOfMembers(schema: JsonObject): boolean {
  const { type, properties } = schema
  const isPlain = schema['anyOf'] === undefined && schema['allOf'] === undefined
  const isNamed = isObject(properties) && Object.keys(properties).length > 0
  return isPlain && isNamed && (type === undefined || type === 'object')
}

// A form has members whatever its schema says: alternatives become members that are all optional.
function asMembers(schema: JsonObject, notes: Notes): JsonObject {
  const others = ['anyOf', 'allOf'].flatMap((word) => {
    const parts = schema[word]
    return Array.isArray(parts) ? (parts as readonly Json[]).filter(isObject) : []
  })
  const parts = others.map((part) => asMembers(part, notes))
  if (parts.length > 0)
    notes.add('widened', 'alternatives', 'alternatives of a form are taken together')
  const own = isObject(schema['properties']) ? schema['properties'] : {}
  const known = [...parts.map(({ properties }) => properties), own].filter(isObject)
  const properties = Object.fromEntries(known.flatMap((one) => Object.entries(one)))
  const open = schema['additionalProperties']
  const isOpen = open === undefined && Object.keys(properties).length === 0
  return {
    properties,
    ...(schema['required'] === undefined ? {} : { required: schema['required'] }),
    ...(isOpen
      ? { additionalProperties: true }
      : open === undefined
        ? {}
        : { additionalProperties: open }),
  }
}

/** The members with those that are files said to be that. */
function withFiles(docs: Documents, at: Node, members: JsonObject): JsonObject {
  const properties = isObject(members['properties']) ? members['properties'] : {}
  const files = new Map(fileMembers(docs, at, new Set()))
  const said = Object.entries(properties).map(([name, one]): [string, Json] => {
    const isList = files.get(name)
    if (isList === undefined) return [name, one]
    return [name, isList ? { type: 'array', items: FILE } : FILE]
  })
  return { ...members, properties: Object.fromEntries(said) }
}

/** Names of members that are files, and whether they are lists of them. */
function* fileMembers(
  docs: Documents,
  at: Node,
  seen: Set<Json>,
): Iterable<readonly [string, boolean]> {
  const { value, file } = docs.follow(at)
  if (!isObject(value) || seen.has(value)) return
  seen.add(value)
  for (const word of ['allOf', 'anyOf', 'oneOf']) {
    for (const part of docs.items({ value: value[word], file }))
      yield* fileMembers(docs, part, seen)
  }
  for (const [name, member] of docs.members({ value: value['properties'], file })) {
    const { value: one, file: own } = docs.follow(member)
    if (!isObject(one)) continue
    if (isBinary(one)) yield [name, false]
    const { value: items } = docs.follow({ value: one['items'], file: own })
    if (isObject(items) && isBinary(items)) yield [name, true]
  }
}

const isBinary = (schema: JsonObject): boolean =>
  schema['type'] === 'file' ||
  (schema['type'] === 'string' && schema['format'] === 'binary') ||
  schema['contentMediaType'] === 'application/octet-stream'
