import { GatewayError } from '../errors.ts'
import { parseStrictJson } from '../lib/strict-json.ts'
import type { Json, JsonObject } from '../model/json.ts'
import { isObject, parsePointer, getPointer } from './pointer.ts'

// Paths, queries, headers and forms carry text; args carry types. What a text stands for, its schema says: the narrowest
// type that it is a plain spelling of, so that writing the value anew says the same to whoever reads it.

const TYPE_NAMES: ReadonlySet<string> = new Set([
  ...['string', 'integer', 'number', 'boolean', 'null', 'array', 'object'],
])

/** The types a schema lets a value have; empty where it does not say. */
export function typesOf(schema: JsonObject, root: JsonObject): ReadonlySet<string> {
  const cached = known.get(schema)
  if (cached) return cached
  const types = new Set(listTypes(schema, root, new Set()).filter((type) => TYPE_NAMES.has(type)))
  known.set(schema, types)
  return types
}

// A schema is of one root, lives as long as its bundle, and is asked for each field of a form.
const known = new WeakMap<JsonObject, ReadonlySet<string>>()

// A schema that refers to itself is looked at once.
function listTypes(schema: JsonObject, root: JsonObject, seen: Set<JsonObject>): readonly string[] {
  if (seen.has(schema)) return []
  seen.add(schema)
  const types = [schema['type'] ?? []].flat().filter((one) => typeof one === 'string')
  if (types.length > 0) return types
  const values = schema['const'] === undefined ? schema['enum'] : [schema['const']]
  if (Array.isArray(values)) return values.map(typeOf)
  const inner = [...alternatives(schema), ...(isRef(schema) ? [resolved(schema, root)] : [])]
  return inner.flatMap((one) => listTypes(one, root, seen))
}

const typeOf = (value: Json): string =>
  value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value

function alternatives(schema: JsonObject): readonly JsonObject[] {
  return ['anyOf', 'oneOf', 'allOf'].flatMap((key) => {
    const parts = schema[key]
    return Array.isArray(parts) ? (parts as readonly Json[]).filter(isObject) : []
  })
}

const isRef = (schema: JsonObject): boolean => typeof schema['$ref'] === 'string'

/** What a reference within the same schema leads to; an open schema where it leads nowhere. */
function resolved(schema: JsonObject, root: JsonObject): JsonObject {
  const ref = schema['$ref']
  const steps = typeof ref === 'string' && ref.startsWith('#') ? parsePointer(ref.slice(1)) : []
  const found = steps && steps.length > 0 ? getPointer(root, steps) : undefined
  return isObject(found) ? found : {}
}

/** The schemas of the members or items of a schema that say most of the one at `step`. */
export function schemaOf(
  schema: JsonObject,
  step: { readonly member: string } | 'items',
  root: JsonObject,
  seen = new Set<JsonObject>(),
): JsonObject | undefined {
  if (seen.has(schema)) return undefined
  seen.add(schema)
  const own = step === 'items' ? schema['items'] : memberOf(schema, step.member)
  if (isObject(own)) return own
  const inner = [...alternatives(schema), ...(isRef(schema) ? [resolved(schema, root)] : [])]
  for (const one of inner) {
    const found = schemaOf(one, step, root, seen)
    if (found) return found
  }
  return undefined
}

function memberOf(schema: JsonObject, name: string): Json | undefined {
  const properties = schema['properties']
  if (isObject(properties) && Object.hasOwn(properties, name)) return properties[name]
  return schema['additionalProperties']
}

const WHOLE = /^(?:0|-?[1-9]\d{0,15})$/
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/

/** The value that a text stands for by its schema; undefined where it stands for none. */
export function readScalar(
  schema: JsonObject,
  root: JsonObject,
  text: string,
): string | number | boolean | undefined {
  const types = typesOf(schema, root)
  if (types.has('boolean') && (text === 'true' || text === 'false')) return text === 'true'
  const number = types.has('number')
  if (types.has('integer') || number) {
    const value = WHOLE.test(text) || (number && NUMBER.test(text)) ? exact(text) : undefined
    if (value !== undefined) return value
  }
  const isText = types.has('string') || types.size === 0
  return isText && text.isWellFormed() ? text : undefined
}

/** A number that loses nothing by being one. */
function exact(text: string): number | undefined {
  try {
    const value = parseStrictJson(text)
    return typeof value === 'number' && !Object.is(value, -0) ? value : undefined
  } catch {
    return undefined
  }
}

/** The text of a value where only text travels. @throws GatewayError invalid_request */
export function scalarText(what: string, value: Json): string {
  if (typeof value === 'boolean') return String(value)
  if (typeof value === 'number' && Number.isFinite(value))
    return Object.is(value, -0) ? '0' : `${value}`
  if (typeof value === 'string' && value.isWellFormed()) return value
  throw new GatewayError('invalid_request', `${what} must be text, a number or a boolean`)
}
