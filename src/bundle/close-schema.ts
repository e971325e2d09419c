import type { Json, JsonObject } from '../model/json.ts'
import { isObject } from './pointer.ts'

// JSON Schema is open by default, and an arg that no schema names is one that no guard looks at. Closing it
// is not simply `additionalProperties: false`: in a composed schema that keyword sees its own `properties`
// only, so there the whole gets `unevaluatedProperties` and its parts stay as they are.

const COMPOSED = ['$ref', '$dynamicRef', 'allOf', 'anyOf', 'oneOf', 'if', 'dependentSchemas']

/**
 * Closes a JSON Schema of args: an object that does not say what else it may hold may hold nothing
 * else. So an argument nobody thought of never travels to an upstream unseen.
 */
export function closeSchema(schema: JsonObject): JsonObject {
  const typed = schema['type'] === undefined ? { ...schema, type: 'object' } : schema
  return close(typed) as JsonObject
}

function close(schema: Json): Json {
  return isObject(schema) ? { ...closeInside(schema), ...lid(schema) } : schema
}

// What a part of a composed schema does not name, another part may: the lid is on the whole.
function closeInside(schema: JsonObject): JsonObject {
  const closed: Record<string, Json> = { ...schema }
  for (const key of ['properties', '$defs']) {
    const members = schema[key]
    if (isObject(members)) closed[key] = mapValues(members, close)
  }
  if (isObject(schema['items'])) closed['items'] = close(schema['items'])
  if (Array.isArray(schema['prefixItems'])) closed['prefixItems'] = schema['prefixItems'].map(close)
  for (const key of ALTERNATIVES) {
    const parts = schema[key]
    if (Array.isArray(parts)) {
      closed[key] = parts.map((part: Json) => (isObject(part) ? closeInside(part) : part))
    }
  }
  return closed
}

const ALTERNATIVES = ['allOf', 'anyOf', 'oneOf']

function isObjectSchema(schema: JsonObject): boolean {
  if ([schema['type'] ?? []].flat().includes('object')) return true
  if (schema['properties'] !== undefined) return true
  const parts = ALTERNATIVES.flatMap((key) => [schema[key] ?? []].flat())
  return parts.some((part) => isObject(part) && isObjectSchema(part))
}

function lid(schema: JsonObject): JsonObject {
  const open = schema['additionalProperties'] ?? schema['unevaluatedProperties']
  if (!isObjectSchema(schema) || open !== undefined) return {}
  const composed = COMPOSED.some((word) => Object.hasOwn(schema, word))
  return composed ? { unevaluatedProperties: false } : { additionalProperties: false }
}

function mapValues(object: JsonObject, change: (value: Json) => Json): JsonObject {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value)]))
}
