import type { Json, JsonObject } from '../model/json.ts'
import { compileRegex } from './regex.ts'

// Whether a schema is made of nothing but everyday keywords with values that fit. Of such a one it is known
// without compiling that it compiles, which takes some milliseconds a schema: too long for a thousand tools of
// which most are never called between two reloads. Whatever is not known here is left to the compiler, with
// its messages. A test holds the two together: what is plain here compiles there.

type Fits = (value: Json) => boolean

const isCount: Fits = (value) => typeof value === 'number' && Number.isInteger(value) && value >= 0
const isNumber: Fits = (value) => typeof value === 'number' && Number.isFinite(value)
const isText: Fits = (value) => typeof value === 'string'
const isFlag: Fits = (value) => typeof value === 'boolean'
const isList: Fits = (value) => Array.isArray(value)

const TYPES = new Set(['string', 'number', 'integer', 'boolean', 'array', 'object', 'null'])
const FORMATS = new Set([
  ...['date', 'date-time', 'time', 'email', 'uuid', 'ipv4', 'ipv6', 'hostname'],
])

const isType: Fits = (value) => isText(value) && TYPES.has(value as string)
const isTypes: Fits = (value) =>
  isType(value) ||
  (Array.isArray(value) && value.length > 0 && value.every(isType) && isDistinct(value))
const isDistinct = (values: readonly Json[]): boolean => new Set(values).size === values.length
const isNames: Fits = (value) => Array.isArray(value) && value.every(isText) && isDistinct(value)
const isPattern: Fits = (value) => typeof value === 'string' && compileRegex(value).ok
const isFormat: Fits = (value) => isText(value) && FORMATS.has(value as string)
// Scalars alone: whether larger values differ is the compiler's to say.
const isEnum: Fits = (value) =>
  Array.isArray(value) &&
  value.length > 0 &&
  value.every((one) => one === null || typeof one !== 'object') &&
  isDistinct(value)
const isSchemas: Fits = (value) => Array.isArray(value) && value.length > 0 && value.every(isPlain)
const isMembers: Fits = (value) => isObject(value) && Object.values(value).every(isPlain)

const KEYWORDS: ReadonlyMap<string, Fits> = new Map<string, Fits>([
  ['type', isTypes],
  ['enum', isEnum],
  ['const', () => true],
  ['title', isText],
  ['description', isText],
  ['examples', isList],
  ['minLength', isCount],
  ['maxLength', isCount],
  ['pattern', isPattern],
  ['format', isFormat],
  ['minimum', isNumber],
  ['maximum', isNumber],
  ['exclusiveMinimum', isNumber],
  ['exclusiveMaximum', isNumber],
  ['multipleOf', (value) => isNumber(value) && (value as number) > 0],
  ['items', (value) => isPlain(value)],
  ['minItems', isCount],
  ['maxItems', isCount],
  ['uniqueItems', isFlag],
  ['properties', isMembers],
  ['required', isNames],
  ['additionalProperties', (value) => isFlag(value) || isPlain(value)],
  ['minProperties', isCount],
  ['maxProperties', isCount],
  ['anyOf', isSchemas],
  ['oneOf', isSchemas],
  ['allOf', isSchemas],
  ['not', (value) => isPlain(value)],
])

/** True where the schema is known to compile; false says nothing. */
export function isPlainSchema(schema: JsonObject): boolean {
  return isPlain(schema)
}

function isPlain(schema: Json): boolean {
  if (!isObject(schema)) return false
  return Object.entries(schema).every(([keyword, value]) => KEYWORDS.get(keyword)?.(value) ?? false)
}

const isObject = (value: Json): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
