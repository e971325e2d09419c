import type { ErrorObject } from 'ajv'
import { ajv as library, ajvFormats } from '../libraries.ts'
import { fromJs, parseValue, RegoObject, toJs, type Value } from '../value.ts'
import { type Family, fail, wrongType } from './kind.ts'

type Json = Record<string, unknown>
const TYPES = ['array', 'boolean', 'integer', 'number', 'null', 'object', 'string']

function documentOf(v: Value | undefined, position: number): unknown {
  if (typeof v === 'string') {
    try {
      return toJs(parseValue(v))
    } catch {
      return fail('EOF or invalid JSON')
    }
  }
  return v instanceof RegoObject ? toJs(v) : wrongType(position, v, 'string', 'object')
}

/** The first thing wrong with a schema, in gojsonschema's words. */
function schemaProblem(schema: unknown): string | undefined {
  if (schema === null || typeof schema !== 'object' || Array.isArray(schema))
    return typeof schema === 'boolean' ? undefined : 'jsonschema: schema is invalid'
  const { type } = schema as Json
  for (const t of Array.isArray(type) ? (type as unknown[]) : type === undefined ? [] : [type]) {
    if (typeof t !== 'string') return 'jsonschema: type must be of type string or array of strings'
    if (!TYPES.includes(t)) {
      return `jsonschema: has a primitive type that is NOT VALID -- given: /${t}/ Expected valid values are:[${TYPES.join(' ')}]`
    }
  }
  for (const key of ['properties', 'definitions', 'patternProperties']) {
    const inner = (schema as Json)[key]
    if (inner !== undefined && (inner === null || typeof inner !== 'object'))
      return `jsonschema: ${key} must be of type object`
    for (const sub of Object.values((inner ?? {}) as Json)) {
      const problem = schemaProblem(sub)
      if (problem !== undefined) return problem
    }
  }
  const { items } = schema as Json
  for (const sub of Array.isArray(items)
    ? (items as unknown[])
    : items === undefined
      ? []
      : [items]) {
    const problem = schemaProblem(sub)
    if (problem !== undefined) return problem
  }
  return undefined
}

function compiled(schema: unknown) {
  const problem = schemaProblem(schema)
  if (problem !== undefined) return fail(problem)
  const { $schema: _dialect, ...rest } = schema as Json
  try {
    const ajv = new (library().Ajv)({
      allErrors: true,
      strict: false,
      verbose: true,
      validateFormats: true,
    })
    ajvFormats().default(ajv)
    return ajv.compile(rest)
  } catch (error) {
    return fail(`jsonschema: ${error instanceof Error ? error.message : ''}`)
  }
}

function typeName(v: unknown): string {
  if (v === null) return 'null'
  if (Array.isArray(v)) return 'array'
  if (typeof v === 'number') return Number.isInteger(v) ? 'integer' : 'number'
  return typeof v
}

function describe(error: ErrorObject): Value {
  const path = error.instancePath
    .split('/')
    .slice(1)
    .map((p) => p.replaceAll('~1', '/').replaceAll('~0', '~'))
  const field = path.length === 0 ? '(root)' : path.join('.')
  const p = error.params as Json
  const shown = JSON.stringify(error.data)
  const name = path.at(-1) ?? '(root)'
  const table: Record<string, readonly [string, string]> = {
    type: [
      'invalid_type',
      `Invalid type. Expected: ${String(p['type'])}, given: ${typeName(error.data)}`,
    ],
    required: ['required', `${String(p['missingProperty'])} is required`],
    enum: [
      'enum',
      `${field} must be one of the following: ${((p['allowedValues'] ?? []) as unknown[]).map((v) => JSON.stringify(v)).join(', ')}`,
    ],
    const: ['const', `${field} does not match: ${JSON.stringify(p['allowedValue'])}`],
    minLength: [
      'string_gte',
      `String length must be greater than or equal to ${String(p['limit'])}`,
    ],
    maxLength: ['string_lte', `String length must be less than or equal to ${String(p['limit'])}`],
    pattern: ['pattern', `Does not match pattern '${String(p['pattern'])}'`],
    format: ['format', `Does not match format '${String(p['format'])}'`],
    minimum: ['number_gte', `Must be greater than or equal to ${String(p['limit'])}`],
    maximum: ['number_lte', `Must be less than or equal to ${String(p['limit'])}`],
    exclusiveMinimum: ['number_gt', `Must be greater than ${String(p['limit'])}`],
    exclusiveMaximum: ['number_lt', `Must be less than ${String(p['limit'])}`],
    multipleOf: ['multiple_of', `Must be a multiple of ${String(p['multipleOf'])}`],
    minItems: ['array_min_items', `Array must have at least ${String(p['limit'])} items`],
    maxItems: ['array_max_items', `Array must have at most ${String(p['limit'])} items`],
    uniqueItems: ['unique', `${name} items[${String(p['j'])},${String(p['i'])}] must be unique`],
    additionalProperties: [
      'additional_property_not_allowed',
      `Additional property ${String(p['additionalProperty'])} is not allowed`,
    ],
    minProperties: ['array_min_properties', `Must have at least ${String(p['limit'])} properties`],
    maxProperties: ['array_max_properties', `Must have at most ${String(p['limit'])} properties`],
    oneOf: ['number_one_of', 'Must validate one and only one schema (oneOf)'],
    anyOf: ['number_any_of', 'Must validate at least one schema (anyOf)'],
    allOf: ['number_all_of', 'Must validate all the schemas (allOf)'],
    not: ['number_not', 'Must not validate the schema (not)'],
  }
  const [type, desc] = table[error.keyword] ?? [error.keyword, error.message ?? shown]
  return fromJs({ desc, error: `${field}: ${desc}`, field, type })
}

export const schema: Family = {
  'json.verify_schema': (s) => {
    let document: unknown
    try {
      document = documentOf(s, 1)
      compiled(document)
      return [true, null]
    } catch (error) {
      if (typeof s !== 'string' && !(s instanceof RegoObject)) throw error
      return [
        false,
        error instanceof Error
          ? document === undefined
            ? `jsonschema: ${error.message}`
            : error.message
          : '',
      ]
    }
  },
  'json.match_schema': (d, s) => {
    const document = documentOf(d, 1)
    const check = compiled(documentOf(s, 2))
    if (check(document)) return [true, []]
    return [false, (check.errors ?? []).map(describe)]
  },
}
