// Schemas of others as schemas of args. References are written out, because each tool is read by itself, and what is in
// a circle or beyond a bound becomes a value of which only the type is known: it takes more than it should and says so,
// while the upstream still checks. Only words are kept of which the reader of tools.yaml knows what they mean. Each of
// them is said again here, so that nothing of a hostile document gets through as it was.
import { isObject } from '../../bundle/pointer.ts'
import { compileRegex } from '../../bundle/regex.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import { type Documents, type Node, refOf } from './documents.ts'
import { type Notes, oneLine, shown } from './findings.ts'

const DEPTH_MAX = 6
/** Of one list of members, which no smaller depth makes fewer. */
const MEMBERS_MAX = 1000
const ENUM_MAX = 1000
const TEXT_MAX = 2000
const UNIQUE_ITEMS_MAX = 1000
const TYPES: ReadonlySet<Json> = new Set([
  ...['string', 'number', 'integer', 'boolean', 'array', 'object', 'null'],
])
const CHECKED_FORMATS: ReadonlySet<Json> = new Set([
  ...['date', 'date-time', 'time', 'email', 'uuid', 'ipv4', 'ipv6', 'hostname'],
])
const COUNTS = ['minLength', 'maxLength', 'minItems', 'maxItems', 'minProperties', 'maxProperties']
const LIMITS = ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum']
const UNSAID = [
  ...['not', 'if', 'patternProperties', 'prefixItems', 'dependentSchemas', 'contains'],
  ...['propertyNames', '$dynamicRef', 'unevaluatedProperties', 'unevaluatedItems'],
]
const DESCRIPTION_MAX = 200
/** Names that readers of YAML or of objects take for something else. */
export const isReservedName = (name: string): boolean =>
  name === '__proto__' || name === '<<' || name === '' || name.length > 200

class TooMany extends Error {}

/** What reading one schema goes by. */
interface Reading {
  readonly depthMax: number
  /** Schemas being read, outermost first. */
  readonly trail: ReadonlySet<Json>
  readonly depth: number
  readonly budget: { left: number }
}

export class SchemaReader {
  readonly #docs: Documents
  readonly #notes: Notes
  readonly #nodesMax: number

  constructor(docs: Documents, notes: Notes, nodesMax: number) {
    this.#docs = docs
    this.#notes = notes
    this.#nodesMax = nodesMax
  }

  /** The schema written out, as deep as its size allows. */
  read(node: Node): JsonObject {
    for (let depthMax = DEPTH_MAX; depthMax > 0; depthMax--) {
      const schema = this.#tried(node, depthMax, this.#nodesMax)
      if (schema) return schema
    }
    return this.#tried(node, 1, MEMBERS_MAX) ?? this.#open(this.#docs.follow(node).value)
  }

  #tried(node: Node, depthMax: number, nodes: number): JsonObject | undefined {
    try {
      return this.#schema(node, { depthMax, trail: new Set(), depth: 0, budget: { left: nodes } })
    } catch (error) {
      if (error instanceof TooMany) return undefined
      throw error
    }
  }

  #schema(node: Node, reading: Reading): JsonObject {
    if (--reading.budget.left < 0) throw new TooMany()
    const { value, file } = this.#docs.follow(node)
    if (!isObject(value)) {
      const ref = refOf(node.value)
      if (ref !== undefined) {
        this.#notes.add('widened', 'unresolved_ref', `${shown(ref)} leads nowhere that is read`)
      }
      return {}
    }
    if (reading.trail.has(value)) {
      this.#notes.add('widened', 'recursive', 'a schema refers to itself: open where it does')
      return this.#open(value)
    }
    const trail = new Set([...reading.trail, value])
    return this.#words({ value, file }, value, { ...reading, trail })
  }

  #words(node: Node, value: JsonObject, reading: Reading): JsonObject {
    for (const word of UNSAID) {
      if (!Object.hasOwn(value, word)) continue
      this.#notes.add('widened', 'keyword', `\`${word}\` of a schema is not taken`)
    }
    const own = {
      ...typeWords(value),
      ...this.#plain(value),
      ...this.#inner(node, value, reading),
    }
    const parts = this.#parts(node, 'allOf', reading)
    const merged = merge([own, ...parts])
    const either = [
      ...this.#alternatives(node, 'oneOf', reading),
      ...this.#alternatives(node, 'anyOf', reading),
    ]
    return nullableOf(value, withAlternatives(merged, either))
  }

  // One level further in; beyond the last of them only the kind of a value is known.
  #deeper(node: Node, reading: Reading): JsonObject {
    if (reading.depth < reading.depthMax) {
      return this.#schema(node, { ...reading, depth: reading.depth + 1 })
    }
    if (--reading.budget.left < 0) throw new TooMany()
    const { value } = this.#docs.follow(node)
    if (isObject(value) && !isLeaf(value)) {
      this.#notes.add('widened', 'too_deep', 'a schema is written out in part: open further in')
      return this.#open(value)
    }
    return isObject(value) ? nullableOf(value, { ...typeWords(value), ...this.#plain(value) }) : {}
  }

  #open(value: Json | undefined): JsonObject {
    if (!isObject(value)) return {}
    const types = typesIn(value)
    const isOfMembers = isObject(value['properties'])
    const type = types.length > 0 ? types : isOfMembers ? ['object'] : []
    if (type.length === 0) return {}
    const said = { type: type.length === 1 ? (type[0] as string) : type }
    return nullableOf(
      value,
      type.includes('object') ? { ...said, additionalProperties: true } : said,
    )
  }

  #parts(node: Node, word: string, reading: Reading): readonly JsonObject[] {
    const { value, file } = node
    const list = isObject(value) && Object.hasOwn(value, word) ? value[word] : undefined
    if (!Array.isArray(list)) return []
    return list.map((one: Json) => this.#schema({ value: one, file }, reading))
  }

  #alternatives(node: Node, word: string, reading: Reading): readonly JsonObject[] {
    const parts = this.#parts(node, word, reading)
    return parts.some((part) => Object.keys(part).length === 0) ? [] : parts
  }

  #plain(value: JsonObject): JsonObject {
    const said: Record<string, Json> = {}
    for (const word of COUNTS) {
      const count = value[word]
      if (typeof count === 'number' && Number.isSafeInteger(count) && count >= 0) said[word] = count
    }
    Object.assign(said, limits(value))
    const { pattern, format, multipleOf } = value
    if (typeof pattern === 'string') {
      if (pattern.isWellFormed() && compileRegex(pattern).ok) said['pattern'] = pattern
      else this.#notes.add('widened', 'pattern', `pattern ${shown(pattern)} is none of RE2`)
    }
    if (typeof format === 'string' && CHECKED_FORMATS.has(format)) said['format'] = format
    if (typeof multipleOf === 'number' && isSafe(multipleOf) && multipleOf > 0) {
      said['multipleOf'] = multipleOf
    }
    const listed = Object.hasOwn(value, 'const') ? [value['const'] as Json] : value['enum']
    if (Array.isArray(listed)) {
      const values = enumOf(listed as readonly Json[], typesIn(value))
      if (values) said['enum'] = values
      else this.#notes.add('widened', 'enum', 'a list of values cannot be held exactly')
    }
    return said
  }

  #inner(node: Node, value: JsonObject, reading: Reading): JsonObject {
    const said: Record<string, Json> = {}
    const { file } = node
    if (value['items'] !== undefined) {
      const items = this.#docs.follow({ value: value['items'], file })
      if (isObject(items.value)) {
        said['items'] = this.#deeper({ value: value['items'], file }, reading)
      }
    }
    const { uniqueItems, maxItems } = value
    if (uniqueItems === true) {
      if (typeof maxItems === 'number' && maxItems <= UNIQUE_ITEMS_MAX) said['uniqueItems'] = true
      else this.#notes.add('widened', 'unique_items', '`uniqueItems` needs a `maxItems`')
    }
    return { ...said, ...this.#members(node, value, reading) }
  }

  #members(node: Node, value: JsonObject, reading: Reading): JsonObject {
    const { file } = node
    const { properties, required, additionalProperties: open } = value
    const said: Record<string, Json> = {}
    const own = isObject(properties) ? Object.entries(properties) : []
    const members = new Map<string, JsonObject>()
    const never = new Set<string>()
    for (const [name, schema] of own) {
      const { value: one } = this.#docs.follow({ value: schema, file })
      if (isObject(one) && one['readOnly'] === true) never.add(name)
      else if (isReservedName(name)) {
        this.#notes.add(
          'part_left_out',
          'reserved_name',
          `member ${shown(name)} is none that can be named`,
        )
        never.add(name)
      } else {
        const inner = this.#deeper({ value: schema, file }, reading)
        members.set(name, reading.depth === 0 ? described(inner, one) : inner)
      }
    }
    if (isObject(properties)) said['properties'] = Object.fromEntries(members)
    const names = Array.isArray(required) ? [...new Set(required as readonly Json[])] : []
    const needed = names.filter(
      (name): name is string =>
        typeof name === 'string' && !never.has(name) && !isReservedName(name),
    )
    if (needed.length > 0) said['required'] = needed
    if (isObject(open)) said['additionalProperties'] = this.#deeper({ value: open, file }, reading)
    else if (typeof open === 'boolean') said['additionalProperties'] = open
    const isOpen = open === undefined || open === false
    if (isObject(value['patternProperties']) && isOpen) said['additionalProperties'] = true
    return said
  }
}

/** What a value is, as far as it is said. */
function typesIn(value: JsonObject): readonly string[] {
  const said = [value['type'] ?? []].flat() as readonly Json[]
  const types = said.map((one) => (one === 'file' ? 'string' : one))
  return [...new Set(types.filter((one): one is string => TYPES.has(one)))]
}

function typeWords(value: JsonObject): JsonObject {
  const types = typesIn(value)
  const [first] = types
  if (first === undefined) return {}
  return { type: types.length === 1 ? first : types }
}

function nullableOf(value: JsonObject, said: JsonObject): JsonObject {
  if (value['nullable'] !== true && value['x-nullable'] !== true) return said
  const types = [said['type'] ?? []].flat() as readonly Json[]
  const listed = said['enum']
  const withNull: JsonObject = Array.isArray(listed)
    ? { ...said, enum: [...new Set<Json>([...(listed as readonly Json[]), null])] }
    : said
  if (types.length === 0) return withNull
  return { ...withNull, type: [...new Set<Json>([...types, 'null'])] }
}

const isSafe = (value: number): boolean =>
  Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value))

// OpenAPI 3.0 says `exclusiveMinimum: true` beside a `minimum`.
function limits(value: JsonObject): JsonObject {
  const said: Record<string, Json> = {}
  for (const word of LIMITS) {
    const limit = value[word]
    if (typeof limit === 'number' && isSafe(limit)) said[word] = limit
  }
  for (const [flag, bound] of [
    ['exclusiveMinimum', 'minimum'],
    ['exclusiveMaximum', 'maximum'],
  ] as const) {
    const { [bound]: limit, ...rest } = said
    if (value[flag] === true && limit !== undefined) return { ...rest, [flag]: limit }
  }
  return said
}

function enumOf(values: readonly Json[], types: readonly string[]): readonly Json[] | undefined {
  const isText =
    types.includes('string') && !types.some((one) => one === 'number' || one === 'integer')
  const said = values.map((one) => {
    if (isText && (typeof one === 'number' || typeof one === 'boolean')) return String(one)
    const isNumeric = types.length === 1 && (types[0] === 'integer' || types[0] === 'number')
    return isNumeric && typeof one === 'string' && /^-?\d{1,15}$/.test(one) ? Number(one) : one
  })
  const isHeld = said.every(
    (one) =>
      one === null ||
      typeof one === 'boolean' ||
      (typeof one === 'number' && isSafe(one)) ||
      (typeof one === 'string' && one.isWellFormed() && one.length <= TEXT_MAX),
  )
  const distinct = [...new Set(said)]
  return isHeld && distinct.length > 0 && distinct.length <= ENUM_MAX ? distinct : undefined
}

/** Whether a schema says nothing of what is inside its values. */
const isLeaf = (value: JsonObject): boolean =>
  !['properties', 'items', 'allOf', 'anyOf', 'oneOf', 'additionalProperties'].some((word) =>
    Object.hasOwn(value, word),
  ) && !typesIn(value).includes('object')

/** All of several schemas as one; what two of them say differently, the first says. */
function merge(parts: readonly JsonObject[]): JsonObject {
  const [first = {}, ...others] = parts
  return others.reduce(both, first)
}

function both(one: JsonObject, other: JsonObject): JsonObject {
  const merged: Record<string, Json> = { ...other, ...one }
  const [left, right] = [one['properties'], other['properties']]
  if (isObject(left) && isObject(right)) {
    merged['properties'] = Object.fromEntries([...Object.entries(right), ...Object.entries(left)])
  }
  const required = [one['required'] ?? [], other['required'] ?? []].flat() as readonly Json[]
  if (required.length > 0) merged['required'] = [...new Set(required)]
  const open = [one['additionalProperties'], other['additionalProperties']]
  const opened = open.find((value) => value !== undefined && value !== false)
  if (opened !== undefined) merged['additionalProperties'] = opened
  if (Array.isArray(one['anyOf']) && Array.isArray(other['anyOf'])) {
    merged['allOf'] = [
      ...([one['allOf'] ?? [], other['allOf'] ?? []].flat() as readonly Json[]),
      { anyOf: other['anyOf'] },
    ]
  }
  return merged
}

function withAlternatives(said: JsonObject, either: readonly JsonObject[]): JsonObject {
  const [only] = either
  if (only === undefined) return said
  if (either.length === 1) return both(said, only)
  return both(said, { anyOf: either })
}

function described(schema: JsonObject, value: Json | undefined): JsonObject {
  const text = isObject(value) ? value['description'] : undefined
  if (typeof text !== 'string') return schema
  const line = oneLine(text, DESCRIPTION_MAX)
  return line === '' ? schema : { ...schema, description: line }
}

/** A schema in which every object that has to have members has a place for them. */
export function withRequired(schema: JsonObject): JsonObject {
  const { properties, required, additionalProperties: open } = schema
  const said: Record<string, Json> = { ...schema }
  for (const word of ['anyOf', 'allOf'] as const) {
    const parts = schema[word]
    if (Array.isArray(parts)) {
      said[word] = parts.map((one: Json) => (isObject(one) ? withRequired(one) : one))
    }
  }
  for (const word of ['items', 'additionalProperties'] as const) {
    const inner = schema[word]
    if (isObject(inner)) said[word] = withRequired(inner)
  }
  if (isObject(properties)) {
    const known = Object.entries(properties).map(([name, one]): [string, Json] => [
      name,
      isObject(one) ? withRequired(one) : one,
    ])
    said['properties'] = Object.fromEntries(known)
  }
  const isComposed = schema['anyOf'] !== undefined || schema['allOf'] !== undefined
  if (Array.isArray(required) && !isComposed && (open === undefined || open === false)) {
    const known = isObject(said['properties']) ? said['properties'] : {}
    const missing = (required as readonly string[]).filter((name) => !Object.hasOwn(known, name))
    if (missing.length > 0) {
      const added = missing.map((name): [string, Json] => [name, {}])
      said['properties'] = Object.fromEntries([...Object.entries(known), ...added])
    }
  }
  return openIfEmpty(said)
}

// An object of which nothing is known may hold anything, as its document says; tools.yaml would close it.
function openIfEmpty(schema: JsonObject): JsonObject {
  const types = [schema['type'] ?? []].flat()
  const isNamed = isObject(schema['properties']) && Object.keys(schema['properties']).length > 0
  const isSaid = schema['additionalProperties'] !== undefined || schema['anyOf'] !== undefined
  if (!types.includes('object') || isNamed || isSaid || schema['allOf'] !== undefined) return schema
  return { ...schema, additionalProperties: true }
}
