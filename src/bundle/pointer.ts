import type { Json, JsonObject } from '../model/json.ts'

/** A JSON pointer (RFC 6901) split into its unescaped steps; undefined when it is not one. */
export function parsePointer(text: string): readonly string[] | undefined {
  if (text === '') return []
  if (!text.startsWith('/') || /~(?![01])/.test(text)) return undefined
  const steps = text.slice(1).split('/')
  return steps.map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/** The value a pointer leads to, or undefined. Own members only. */
export function getPointer(root: Json | undefined, steps: readonly string[]): Json | undefined {
  let value = root
  for (const step of steps) {
    if (value === null || typeof value !== 'object') return undefined
    if (Array.isArray(value)) {
      value = /^(0|[1-9]\d*)$/.test(step) ? (value[Number(step)] as Json | undefined) : undefined
    } else value = Object.hasOwn(value, step) ? (value as JsonObject)[step] : undefined
  }
  return value
}

/**
 * Whether a JSON Schema lets a value exist at the pointer: `yes` and `no` when its `properties` and
 * `items` tell, `maybe` when it is too clever for this reading.
 */
export function schemaHas(
  schema: Json | undefined,
  steps: readonly string[],
): 'yes' | 'no' | 'maybe' {
  const [step, ...rest] = steps
  if (step === undefined) return 'yes'
  if (schema === true) return 'maybe'
  if (!isObject(schema)) return 'no'
  const properties = schema['properties']
  if (isObject(properties) && Object.hasOwn(properties, step))
    return schemaHas(properties[step], rest)
  if (CLEVER.some((word) => Object.hasOwn(schema, word))) return 'maybe'
  if (schema['items'] !== undefined && /^\d+$/.test(step)) return schemaHas(schema['items'], rest)
  const open = schema['additionalProperties']
  if (open === false) return 'no'
  const types = [schema['type'] ?? []].flat()
  return types.includes('object') || types.includes('array') ? 'maybe' : 'no'
}

/**
 * The one type that a schema lets a value have, beside null where it says so as a list of types or as `anyOf` or `oneOf`
 * with null; else undefined.
 */
export function typeBesideNull(schema: JsonObject | undefined): string | undefined {
  if (!schema) return undefined
  const either = schema['anyOf'] ?? schema['oneOf']
  if (schema['type'] === undefined && Array.isArray(either)) {
    const kinds = (either as readonly Json[]).map((one) => (isObject(one) ? one : {}))
    const others = kinds.filter((one) => one['type'] !== 'null')
    return others.length === 1 ? typeBesideNull(others[0]) : undefined
  }
  const types = [schema['type'] ?? []].flat().filter((type) => type !== 'null')
  return types.length === 1 && typeof types[0] === 'string' ? types[0] : undefined
}

/** Whether a JSON Schema lets this single value be at the pointer; true when it is too clever for this reading. */
export function schemaTakes(
  schema: Json | undefined,
  steps: readonly string[],
  value: Json,
): boolean {
  let at = schema
  for (const [index, step] of steps.entries()) {
    const has = schemaHas(at, [step])
    if (has !== 'yes' || !isObject(at))
      return has === 'maybe' && schemaHas(at, steps.slice(index)) !== 'no'
    const properties: Json | undefined = at['properties']
    at = isObject(properties) && Object.hasOwn(properties, step) ? properties[step] : at['items']
  }
  return !isObject(at) || takes(at, value)
}

/** The values a schema lists, when it does. */
export const valuesListed = (schema: JsonObject | undefined): readonly Json[] => {
  const listed = schema?.['enum']
  return Array.isArray(listed) ? (listed as readonly Json[]) : []
}

function takes(schema: JsonObject, value: Json): boolean {
  const listed = schema['const'] === undefined ? valuesListed(schema) : [schema['const']]
  if (listed.length > 0 && !listed.includes(value)) return false
  const types = [schema['type'] ?? []].flat()
  return types.length === 0 || types.some((type) => isOfType(value, type))
}

function isOfType(value: Json, type: Json): boolean {
  if (type === 'integer') return Number.isInteger(value)
  if (type === 'null') return value === null
  return typeof value === type
}

/** The schema that describes the value at a pointer, followed through `properties` only. */
export function schemaAt(
  schema: Json | undefined,
  steps: readonly string[],
): JsonObject | undefined {
  let at = schema
  for (const step of steps) {
    const properties: Json | undefined = isObject(at) ? at['properties'] : undefined
    if (!isObject(properties) || !Object.hasOwn(properties, step)) return undefined
    at = properties[step]
  }
  return isObject(at) ? at : undefined
}

const CLEVER = ['$ref', 'allOf', 'anyOf', 'oneOf', 'if', 'patternProperties', 'prefixItems']

/** Narrows to a JSON object. */
export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Joins a document into others at a path; false when something else stands there. */
export function place(
  into: Record<string, Json>,
  path: readonly string[],
  value: JsonObject,
): boolean {
  const [step, ...rest] = path
  if (step !== undefined) {
    const inner = Object.hasOwn(into, step) ? into[step] : {}
    if (!isObject(inner) || step === '__proto__') return false
    const copy = { ...inner }
    into[step] = copy
    return place(copy, rest, value)
  }
  return Object.entries(value).every(([key, member]) => {
    if (!Object.hasOwn(into, key)) {
      into[key] = member
      return true
    }
    const there = into[key]
    return isObject(there) && isObject(member) && place(into, [key], member)
  })
}
