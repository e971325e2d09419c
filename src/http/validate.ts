import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js'
import { GatewayError } from '../errors.ts'
import type { JsonObject } from '../model/json.ts'
import { bodyObject } from './context.ts'

const ajv = new Ajv2020({ allErrors: true, strict: true, allowUnionTypes: true })
const PROBLEMS_MAX = 10

/** A compiled check of a request body or query; compiled once, at start. */
export function shape<T>(schema: JsonObject): (value: JsonObject) => T {
  const validate = ajv.compile<T>(schema)
  return (value) => {
    if (validate(value)) return value
    throw invalid(validate)
  }
}

/** The body, checked. @throws GatewayError `invalid_request` naming every mistake */
export function bodyOf<T>(req: object, check: (value: JsonObject) => T): T {
  return check(bodyObject(req))
}

function invalid(validate: ValidateFunction): GatewayError {
  const problems = (validate.errors ?? []).slice(0, PROBLEMS_MAX).map(describe)
  return new GatewayError('invalid_request', problems.join('; '), { details: { problems } })
}

function describe(error: ErrorObject): string {
  const at = error.instancePath === '' ? 'the request' : `\`${error.instancePath}\``
  if (error.keyword === 'additionalProperties') {
    return `${at} has the unknown member \`${String(error.params['additionalProperty'])}\``
  }
  if (error.keyword === 'enum') {
    return `${at} must be one of ${(error.params['allowedValues'] as unknown[]).join(', ')}`
  }
  return `${at} ${error.message ?? 'is invalid'}`
}

/** A name or id: printable, so that it can be stored, logged and compared. */
export const NAME = { type: 'string', pattern: '^[^\\u0000-\\u001f\\u007f]{1,200}$' } as const
/** Prose. PostgreSQL cannot hold a NUL. */
export const TEXT = { type: 'string', pattern: '^[^\\u0000]*$', maxLength: 4_000 } as const

/** An object schema without unknown members. */
export function object(properties: JsonObject, required: readonly string[] = []): JsonObject {
  return { type: 'object', properties, required, additionalProperties: false }
}
