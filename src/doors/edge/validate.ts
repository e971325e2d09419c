import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js'
import { GatewayError } from '../../errors.ts'
import type { Json, JsonObject } from '../../model/json.ts'

// Bodies and queries are checked by JSON Schema, compiled at start and strict: an unknown member is a
// mistake that is named, since a misspelt limit that is passed over would be no limit. The schema that
// checks is the one that the documentation shows.

const ajv = new Ajv2020({ allErrors: true, strict: true, allowUnionTypes: true })
ajv.addFormat(
  'date-time',
  (text: string) => /^\d{4}-\d\d-\d\d/.test(text) && !Number.isNaN(Date.parse(text)),
)
const PROBLEMS_MAX = 10

/** A compiled check of a request body or query, with the JSON Schema it was compiled from. */
export interface Shape<T> {
  (value: JsonObject): T
  readonly schema: JsonObject
}

/** Compiles a check once, at start. It throws `invalid_request` naming every mistake. */
export function shape<T>(schema: JsonObject): Shape<T> {
  const validate = ajv.compile<T>(schema)
  const check = (value: JsonObject): T => {
    if (validate(value)) return value
    throw invalid(validate)
  }
  return Object.assign(check, { schema })
}

/**
 * The same, to which a member that is null is one that is absent, where it may be: clients in strict mode send all that
 * there is. Only where to leave something out asks for no more than to say it. An amount is not left out by it: JavaScript
 * writes a number that is none as null.
 */
export function withNulls<T>(check: Shape<T>): Shape<T> {
  const { properties = {}, required = [] } = check.schema as {
    readonly properties?: JsonObject
    readonly required?: readonly string[]
  }
  const isLeftOut = ([name, value]: [string, Json]) =>
    value === null &&
    Object.hasOwn(properties, name) &&
    properties[name] !== MONEY &&
    !required.includes(name)
  const read = (value: JsonObject): T => {
    const members = Object.entries(value)
    if (!members.some(isLeftOut)) return check(value)
    return check(Object.fromEntries(members.filter((one) => !isLeftOut(one))))
  }
  return Object.assign(read, { schema: check.schema })
}

/** The check of a query: like a body's, over an object schema whose members are the parameters. */
export function params<T>(properties: JsonObject, required: readonly string[] = []): Shape<T> {
  return shape<T>(object(properties, required))
}

/**
 * Query text as an object of the types its schema wants: whole numbers, booleans and comma separated
 * lists are read as such, everything else is text. Empty values count as absent.
 * @throws GatewayError `invalid_request` for unknown or repeated parameters
 */
export function queryObject(url: string, schema: JsonObject): JsonObject {
  const known = schema['properties'] as Record<string, JsonObject>
  const at = url.indexOf('?')
  const values: Record<string, Json> = {}
  for (const [name, text] of new URLSearchParams(at < 0 ? '' : url.slice(at + 1))) {
    const wanted = Object.hasOwn(known, name) ? known[name] : undefined
    if (!wanted) throw unknownParameter(name, Object.keys(known))
    if (name in values) throw refused(`query parameter \`${name}\` is given twice`)
    // NUL cannot be compared with anything PostgreSQL stores.
    if (text.includes('\0')) throw refused(`\`${name}\` holds a NUL`)
    if (text !== '') values[name] = read(text, wanted)
  }
  return values
}

function unknownParameter(name: string, known: readonly string[]): GatewayError {
  return refused(`unknown query parameter \`${name}\`; known: ${known.join(', ') || 'none'}`)
}

// What does not read as its type stays text, and the schema then says what was wanted.
function read(text: string, { type }: JsonObject): Json {
  if (type === 'integer' && /^-?\d{1,15}$/.test(text)) return Number(text)
  if (type === 'boolean' && /^(?:true|false)$/.test(text)) return text === 'true'
  if (type === 'array') return text.split(',').filter((part) => part !== '')
  return text
}

const refused = (message: string): GatewayError => new GatewayError('invalid_request', message)

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
/** An amount of money: text, or a number read through its shortest decimal form. */
export const MONEY = {
  type: ['string', 'number'],
  description: 'units of the budget currency, at most six decimals, such as "0.05"',
} as const
export const TIME = { type: 'string', format: 'date-time' } as const

const PAGE_MAX = 500
export const PAGE_DEFAULT = 50
/** The parameters of every list: `limit` rows after `cursor`, which is the `next_cursor` of the page before. */
export const PAGE = {
  limit: { type: 'integer', minimum: 1, maximum: PAGE_MAX, description: `default ${PAGE_DEFAULT}` },
  cursor: NAME,
} as const

/** Where the next page begins: after the last row, if this page is full. */
export function nextCursor(rows: readonly { readonly id: string }[], limit: number): string | null {
  return rows.length === limit ? (rows.at(-1)?.id ?? null) : null
}

/** An object whose members are anybody's own. Said so, or generated types would let nothing be in it. */
export const OPEN = { type: 'object', additionalProperties: true } as const

/** An object schema without unknown members. */
export function object(properties: JsonObject, required: readonly string[] = []): JsonObject {
  return { type: 'object', properties, required, additionalProperties: false }
}
