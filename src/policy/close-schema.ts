import type { Json, JsonObject } from '../model/json.ts'
import { isObject } from './pointer.ts'

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
  if (!isObject(schema)) return schema
  const closed: Record<string, Json> = { ...schema }
  for (const key of ['properties', '$defs']) {
    const members = schema[key]
    if (isObject(members)) closed[key] = mapValues(members, close)
  }
  if (isObject(schema['items'])) closed['items'] = close(schema['items'])
  if (Array.isArray(schema['prefixItems'])) closed['prefixItems'] = schema['prefixItems'].map(close)
  return { ...closed, ...lid(schema) }
}

function lid(schema: JsonObject): JsonObject {
  const isObjectSchema = schema['type'] === 'object' || schema['properties'] !== undefined
  const open = schema['additionalProperties'] ?? schema['unevaluatedProperties']
  if (!isObjectSchema || open !== undefined) return {}
  const composed = COMPOSED.some((word) => Object.hasOwn(schema, word))
  return composed ? { unevaluatedProperties: false } : { additionalProperties: false }
}

function mapValues(object: JsonObject, change: (value: Json) => Json): JsonObject {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value)]))
}
