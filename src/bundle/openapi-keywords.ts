import { closest } from '../lib/suggest.ts'
import type { Json, JsonObject } from '../model/json.ts'
import { isObject } from './pointer.ts'

// Schemas of args are JSON Schema; those that people have are often OpenAPI's dialect of it. What that says in words of
// its own is said here in JSON Schema's, and what only describes is left out. Names of members are never touched.

const IN_EACH = ['properties', '$defs', 'patternProperties', 'dependentSchemas']
const IN_ONE = [
  ...['items', 'additionalProperties', 'unevaluatedProperties', 'unevaluatedItems', 'not'],
  ...['if', 'then', 'else', 'contains', 'propertyNames'],
]
const IN_LIST = ['allOf', 'anyOf', 'oneOf', 'prefixItems']
/** They describe, and a validator has no use for them. */
const DESCRIBING = ['example', 'xml', 'externalDocs', 'discriminator']
/** What values are held against; any other format describes. */
const CHECKED = ['date', 'date-time', 'time', 'email', 'uuid', 'ipv4', 'ipv6', 'hostname']
/** Formats of OpenAPI that are near another one, and not meant to be it. */
const KNOWN: ReadonlySet<string> = new Set([
  ...['int32', 'int64', 'float', 'double', 'byte', 'binary', 'password', 'uri', 'url', 'ip'],
  ...['uri-reference', 'iri', 'regex', 'json-pointer', 'duration', 'decimal', 'timestamp'],
])

/** The schema in JSON Schema's own words; itself where it has no others. */
export function fromOpenApi(schema: JsonObject): JsonObject {
  return translated(schema) as JsonObject
}

function translated(schema: Json): Json {
  if (!isObject(schema)) return schema
  const inner = translatedInside(schema)
  const own = nullable(exclusive(withoutDescriptions(inner)))
  return own
}

function translatedInside(schema: JsonObject): JsonObject {
  const changed: Record<string, Json> = {}
  for (const [key, value] of Object.entries(schema)) {
    const next = translatedAt(key, value)
    if (next !== value) changed[key] = next
  }
  return Object.keys(changed).length === 0 ? schema : { ...schema, ...changed }
}

function translatedAt(key: string, value: Json): Json {
  if (IN_ONE.includes(key)) return translated(value)
  if (IN_LIST.includes(key) && Array.isArray(value)) {
    return sameOr(value as readonly Json[], (value as readonly Json[]).map(translated))
  }
  if (!IN_EACH.includes(key) || !isObject(value)) return value
  const next = Object.entries(value).map(([name, one]) => [name, translated(one)] as const)
  return next.every(([name, one]) => one === value[name]) ? value : Object.fromEntries(next)
}

const sameOr = (before: readonly Json[], after: readonly Json[]): readonly Json[] =>
  after.every((one, at) => one === before[at]) ? before : after

function withoutDescriptions(schema: JsonObject): JsonObject {
  const isOf = (key: string) =>
    DESCRIBING.includes(key) || key.startsWith('x-') || (key === 'format' && describes(schema[key]))
  if (!Object.keys(schema).some(isOf)) return schema
  return Object.fromEntries(Object.entries(schema).filter(([key]) => !isOf(key)))
}

// A format that is nearly one that is checked is a slip of the pen, which the load says.
function describes(format: Json | undefined): boolean {
  if (typeof format !== 'string' || CHECKED.includes(format)) return false
  return KNOWN.has(format) || closest(format, CHECKED) === undefined
}

/** `exclusiveMinimum: true` beside a `minimum`, as OpenAPI 3.0 has it. */
function exclusive(schema: JsonObject): JsonObject {
  let changed = schema
  for (const [flag, bound] of [
    ['exclusiveMinimum', 'minimum'],
    ['exclusiveMaximum', 'maximum'],
  ] as const) {
    const { [flag]: isExclusive, [bound]: limit, ...rest } = changed
    if (typeof isExclusive !== 'boolean') continue
    if (limit === undefined) changed = rest
    else changed = { ...rest, [isExclusive ? flag : bound]: limit }
  }
  return changed
}

function nullable(schema: JsonObject): JsonObject {
  if (!Object.hasOwn(schema, 'nullable')) return schema
  const { nullable: may, ...rest } = schema
  if (may !== true) return rest
  const types = [rest['type'] ?? []].flat() as readonly Json[]
  const listed = rest['enum']
  const withNull: JsonObject = Array.isArray(listed)
    ? { ...rest, enum: [...new Set<Json>([...(listed as readonly Json[]), null])] }
    : rest
  if (types.length > 0) return { ...withNull, type: [...new Set<Json>([...types, 'null'])] }
  return Array.isArray(listed) ? withNull : { anyOf: [withNull, { type: 'null' }] }
}
