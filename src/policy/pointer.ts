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
  return schema['type'] === 'object' || schema['type'] === 'array' ? 'maybe' : 'no'
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
