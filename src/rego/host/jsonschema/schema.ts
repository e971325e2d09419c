// A schema of JSON, read keyword by keyword in the order in which OPA's library reads them, with its words for what is wrong.
import { compareNumbers } from '../../ast/compare.ts'
import type { RE2JS } from 're2js'
import { fail } from '../builtins/kind.ts'
import { compilePattern } from '../builtins/regex.ts'
import { isArray, Num, parseValue, RegoObject, type Value, writeJson } from '../value.ts'
import { countOf, isInteger } from './decimal.ts'
import { type Draft, METASCHEMAS } from './metaschemas.ts'
import { pointedAt, type Reference, resolved } from './references.ts'

const TYPES = ['array', 'boolean', 'integer', 'number', 'null', 'object', 'string']

/** The dialect of a schema that does not say which: a mixture of all. */
const HYBRID = 1000
type Dialect = Draft | typeof HYBRID

export interface Schema {
  pass?: boolean
  reference?: Schema
  types: string[]
  properties: [name: string, Schema][]
  items: Schema[]
  allItems?: boolean
  additionalItems?: boolean | Schema
  additionalProperties?: boolean | Schema
  patternProperties: [RE2JS, Schema][]
  propertyNames?: Schema
  dependencies: Map<string, readonly string[] | Schema>
  multipleOf?: Num
  minimum?: Num
  maximum?: Num
  exclusiveMinimum?: Num
  exclusiveMaximum?: Num
  minLength?: number
  maxLength?: number
  pattern?: RE2JS
  patternText?: string
  format?: string
  minProperties?: number
  maxProperties?: number
  required: string[]
  minItems?: number
  maxItems?: number
  uniqueItems?: boolean
  contains?: Schema
  constant?: string
  choices?: string[]
  oneOf: Schema[]
  anyOf: Schema[]
  allOf: Schema[]
  not?: Schema
  condition?: Schema
  consequence?: Schema
  alternative?: Schema
}

interface Document {
  readonly value: Value
  readonly draft: Draft | undefined
}

const isSchema = (v: Value | undefined): v is boolean | RegoObject =>
  typeof v === 'boolean' || v instanceof RegoObject

function invalidType(expected: string, given: string): never {
  return fail(`Invalid type. Expected: ${expected}, given: ${given}`)
}

/** JSON with numbers as doubles write them: what `const` and `enum` compare. */
export function canonical(v: Value): string {
  if (v instanceof Num) return JSON.stringify(Number(v.text))
  if (isArray(v)) return `[${v.map(canonical).join(',')}]`
  if (v instanceof RegoObject) {
    const pairs = named(v).map(([k, x]) => `${canonical(k)}:${canonical(x)}`)
    return `{${pairs.join(',')}}`
  }
  return writeJson(v).replace(
    /[<>&\u2028\u2029]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** Pairs of an object of JSON, whose keys are texts. */
export function named(object: RegoObject): readonly (readonly [string, Value])[] {
  return object.pairs as readonly (readonly [string, Value])[]
}

export function readSchema(document: Value): Schema {
  return new Reader().read(document)
}

class Reader {
  readonly #documents = new Map<string, Document>()
  readonly #referenced = new Map<string, Schema>()
  /** References as they stand, to where they lead from the document they stand in. */
  readonly #targets = new Map<RegoObject, string>()

  read(document: Value): Schema {
    this.#enter(document, '')
    return this.#schema(document, dialectOf(document) ?? HYBRID)
  }

  #enter(document: Value, at: string): void {
    const draft = dialectOf(document)
    this.#find(document, at, draft)
    this.#documents.set(at, { value: document, draft })
  }

  /** Notes where `$id` names a schema, and where each `$ref` leads. */
  #find(v: Value, base: string, draft: Draft | undefined): void {
    if (isArray(v)) for (const item of v) this.#find(item, base, draft)
    if (!(v instanceof RegoObject)) return
    const id = v.get('id') ?? v.get('$id')
    let here = base
    if (typeof id === 'string') {
      here = resolved(base, id).text
      if (this.#documents.has(here)) fail(`Reference already exists: "${here}"`)
      this.#documents.set(here, { value: v, draft })
    }
    const ref = v.get('$ref')
    if (typeof ref === 'string') this.#targets.set(v, resolved(here, ref).text)
    for (const [key, inner] of named(v)) {
      if (key === 'const' || key === 'enum') continue
      if (key === 'properties' || key === 'dependencies' || key === 'patternProperties') {
        if (inner instanceof RegoObject)
          for (const [, x] of named(inner)) this.#find(x, here, draft)
      } else this.#find(inner, here, draft)
    }
  }

  #document(reference: Reference): Document {
    const known = this.#documents.get(reference.text)
    if (known) return known
    const whole = this.#documents.get(reference.base)
    if (whole) {
      const found = { value: pointedAt(whole.value, reference.pointer), draft: whole.draft }
      this.#documents.set(reference.text, found)
      return found
    }
    if (!reference.isCanonical) return fail(`Reference ${reference.text} must be canonical`)
    const meta = METASCHEMAS[reference.base]
    if (!meta) return fail(`remote reference loading disabled: ${reference.text}`)
    const document = parseValue(meta.text)
    this.#enter(document, reference.base)
    return { value: pointedAt(document, reference.pointer), draft: meta.draft }
  }

  #reference(text: string, dialect: Dialect): Schema {
    const known = this.#referenced.get(text)
    if (known) return known
    const schema = empty()
    this.#referenced.set(text, schema)
    const { value, draft } = this.#document(resolved('', text))
    if (!isSchema(value)) return fail('Valid Schema must be of type object')
    return this.#fill(schema, value, draft ?? dialect)
  }

  #schema(v: Value, dialect: Dialect): Schema {
    return this.#fill(empty(), v, dialect)
  }

  #fill(schema: Schema, v: Value, dialect: Dialect): Schema {
    if (typeof v === 'boolean' && dialect >= 6) {
      schema.pass = v
      return schema
    }
    if (!(v instanceof RegoObject)) return fail('Expected: Valid Schema, given: Invalid JSON')
    const keys = new Keys(v)
    const isOld = dialect === 4 || (dialect === HYBRID && keys.get('id') !== undefined)
    keys.text(isOld ? 'id' : '$id')
    this.#definitions(keys, dialect)
    keys.text('title')
    keys.text('description')
    if (keys.text('$ref') !== undefined) {
      const target = this.#targets.get(v) ?? (keys.get('$ref') as string)
      const before = this.#referenced.has(target)
      schema.reference = this.#reference(target, dialect)
      // What stands beside a reference is read, though never asked, where the reference is known already.
      if (!before) return schema
    }
    this.#shape(schema, keys, dialect)
    numbers(schema, keys, dialect)
    texts(schema, keys)
    sizes(schema, keys)
    if (keys.get('contains') !== undefined && dialect >= 6)
      schema.contains = this.#schema(keys.get('contains') as Value, dialect)
    choices(schema, keys, dialect)
    this.#combined(schema, keys, dialect)
    return schema
  }

  #definitions(keys: Keys, dialect: Dialect): void {
    const definitions = keys.get('definitions')
    if (definitions === undefined) return
    if (!(definitions instanceof RegoObject)) return invalidType('Array Of Schemas', 'definitions')
    for (const [, inner] of named(definitions)) {
      if (!isSchema(inner)) return invalidType('Array Of Schemas', 'definitions')
      this.#schema(inner, dialect)
    }
  }

  #shape(schema: Schema, keys: Keys, dialect: Dialect): void {
    types(schema, keys.get('type'))
    const properties = keys.get('properties')
    if (properties !== undefined) {
      if (!(properties instanceof RegoObject)) return fail('Properties must be of type object')
      schema.properties = named(properties).map(([name, inner]) => [
        name,
        this.#schema(inner, dialect),
      ])
    }
    const additional = this.#boolOr(keys, 'additionalProperties', dialect)
    if (additional !== undefined) schema.additionalProperties = additional
    this.#patterns(schema, keys, dialect)
    const names = keys.get('propertyNames')
    if (names !== undefined && dialect >= 6) {
      if (!isSchema(names)) return invalidType('Valid Schema', 'patternProperties')
      schema.propertyNames = this.#schema(names, dialect)
    }
    this.#dependencies(schema, keys, dialect)
    const items = keys.get('items')
    if (items !== undefined) this.#items(schema, items, dialect)
    const more = this.#boolOr(keys, 'additionalItems', dialect)
    if (more !== undefined) schema.additionalItems = more
  }

  #boolOr(keys: Keys, key: string, dialect: Dialect): boolean | Schema | undefined {
    const v = keys.get(key)
    if (v === undefined || typeof v === 'boolean') return v
    return v instanceof RegoObject
      ? this.#schema(v, dialect)
      : invalidType('boolean/Valid Schema', key)
  }

  #patterns(schema: Schema, keys: Keys, dialect: Dialect): void {
    const patterns = keys.get('patternProperties')
    if (patterns === undefined) return
    if (!(patterns instanceof RegoObject)) return invalidType('Valid Schema', 'patternProperties')
    schema.patternProperties = named(patterns).map(([key, inner]) => [
      regexOr(key, `Invalid regex pattern '${key}'`),
      this.#schema(inner, dialect),
    ])
  }

  #dependencies(schema: Schema, keys: Keys, dialect: Dialect): void {
    const dependencies = keys.get('dependencies')
    if (dependencies === undefined) return
    if (!(dependencies instanceof RegoObject)) return fail('dependencies must be of type object')
    const isName = (name: Value): name is string => typeof name === 'string'
    for (const [key, inner] of named(dependencies)) {
      if (isSchema(inner)) schema.dependencies.set(key, this.#schema(inner, dialect))
      else if (isArray(inner) && inner.every(isName)) schema.dependencies.set(key, inner)
      else fail('Dependency must be of type Schema Or Array Of Strings')
    }
  }

  #items(schema: Schema, items: Value, dialect: Dialect): void {
    const of = isArray(items) ? items : [items]
    schema.allItems = !isArray(items)
    for (const item of of) {
      if (!isSchema(item)) return invalidType('Valid Schema/Array Of Schemas', 'items')
      schema.items.push(this.#schema(item, dialect))
    }
  }

  #combined(schema: Schema, keys: Keys, dialect: Dialect): void {
    for (const key of ['oneOf', 'anyOf', 'allOf'] as const)
      schema[key] = (keys.array(key) ?? []).map((inner) => this.#schema(inner, dialect))
    const not = this.#part(keys, 'not', dialect)
    if (not) schema.not = not
    if (dialect < 7) return
    const condition = this.#part(keys, 'if', dialect)
    if (condition) schema.condition = condition
    const consequence = this.#part(keys, 'then', dialect)
    if (consequence) schema.consequence = consequence
    const alternative = this.#part(keys, 'else', dialect)
    if (alternative) schema.alternative = alternative
  }

  #part(keys: Keys, key: string, dialect: Dialect): Schema | undefined {
    const v = keys.get(key)
    if (v === undefined) return undefined
    return isSchema(v) ? this.#schema(v, dialect) : fail(`${key} must be of an object`)
  }
}

function empty(): Schema {
  return {
    types: [],
    properties: [],
    items: [],
    patternProperties: [],
    dependencies: new Map(),
    required: [],
    oneOf: [],
    anyOf: [],
    allOf: [],
  }
}

class Keys {
  readonly #of: Map<Value, Value>
  constructor(object: RegoObject) {
    this.#of = new Map(object.pairs)
  }
  get(key: string): Value | undefined {
    return this.#of.get(key)
  }
  text(key: string): string | undefined {
    const v = this.get(key)
    return v === undefined || typeof v === 'string' ? v : invalidType('string', key)
  }
  array(key: string): readonly Value[] | undefined {
    const v = this.get(key)
    return v === undefined || isArray(v) ? v : fail(`${key} must be of an array`)
  }
  number(key: string): Num | undefined {
    const v = this.get(key)
    return v === undefined || v instanceof Num ? v : fail(`${key} must be of a Number`)
  }
  count(key: string): number | undefined {
    const v = this.get(key)
    if (v === undefined) return undefined
    const n = v instanceof Num && isInteger(v) ? countOf(v) : undefined
    if (n === undefined) return fail(`${key} must be of an integer`)
    return n < 0 ? fail(`${key} must be greater than or equal to 0`) : n
  }
}

function dialectOf(document: Value): Draft | undefined {
  if (typeof document === 'boolean') return undefined
  if (!(document instanceof RegoObject)) return fail('schema is invalid')
  const named = document.get('$schema')
  if (named === undefined) return undefined
  if (typeof named !== 'string') return fail('$schema must be of type string')
  return METASCHEMAS[resolved('', named).text]?.draft
}

function regexOr(pattern: string, message: string): RE2JS {
  try {
    return compilePattern(pattern)
  } catch {
    return fail(message)
  }
}

function types(schema: Schema, type: Value | undefined): void {
  if (type === undefined) return
  const all = typeof type === 'string' ? [type] : type
  if (!isArray(all)) return invalidType('type', 'string/Array Of Strings')
  for (const name of all) {
    if (typeof name !== 'string') return invalidType('type', 'string/Array Of Strings')
    if (!TYPES.includes(name)) {
      return fail(
        `has a primitive type that is NOT VALID -- given: /${name}/ Expected valid values are:[${TYPES.join(' ')}]`,
      )
    }
    if (schema.types.includes(name)) return fail(`${name} type is duplicated`)
    schema.types.push(name)
  }
}

function numbers(schema: Schema, keys: Keys, dialect: Dialect): void {
  const multipleOf = keys.get('multipleOf')
  if (multipleOf !== undefined) {
    if (!(multipleOf instanceof Num)) return invalidType('Number', 'multipleOf')
    if (compareNumbers(multipleOf.text, '0') <= 0)
      return fail('multipleOf must be strictly greater than 0')
    schema.multipleOf = multipleOf
  }
  for (const [key, exclusive] of [
    ['minimum', 'exclusiveMinimum'],
    ['maximum', 'exclusiveMaximum'],
  ] as const) {
    const limit = keys.number(key)
    if (limit) schema[key] = limit
    const v = keys.get(exclusive)
    if (v === undefined) continue
    if (typeof v === 'boolean' && (dialect === 4 || dialect === HYBRID)) {
      if (!limit) return fail(`${exclusive} cannot be used without ${key}`)
      if (!v) continue
      schema[exclusive] = limit
      delete schema[key]
    } else if (v instanceof Num && dialect !== 4) schema[exclusive] = v
    else {
      const expected = { 4: 'boolean', 6: 'number', 7: 'number', [HYBRID]: 'boolean/number' }
      return invalidType(expected[dialect], exclusive)
    }
  }
}

function bounds(
  schema: Schema,
  keys: Keys,
  min: 'minLength' | 'minProperties',
  max: 'maxLength' | 'maxProperties',
): void {
  const [least, most] = [keys.count(min), keys.count(max)]
  if (least !== undefined) schema[min] = least
  if (most !== undefined) schema[max] = most
  if (least !== undefined && most !== undefined && least > most)
    return fail(`${min} cannot be greater than ${max}`)
}

function texts(schema: Schema, keys: Keys): void {
  bounds(schema, keys, 'minLength', 'maxLength')
  const pattern = keys.text('pattern')
  if (pattern !== undefined) {
    schema.pattern = regexOr(pattern, 'pattern must be a valid regex')
    schema.patternText = pattern
  }
  const format = keys.text('format')
  if (format !== undefined) schema.format = format
}

function sizes(schema: Schema, keys: Keys): void {
  bounds(schema, keys, 'minProperties', 'maxProperties')
  for (const name of keys.array('required') ?? []) {
    if (typeof name !== 'string') return invalidType('string', 'required')
    if (schema.required.includes(name)) return fail('required items must be unique')
    schema.required.push(name)
  }
  const [fewest, longest] = [keys.count('minItems'), keys.count('maxItems')]
  if (fewest !== undefined) schema.minItems = fewest
  if (longest !== undefined) schema.maxItems = longest
  const unique = keys.get('uniqueItems')
  if (unique === undefined) return
  if (typeof unique !== 'boolean') return fail('uniqueItems must be of a boolean')
  schema.uniqueItems = unique
}

function choices(schema: Schema, keys: Keys, dialect: Dialect): void {
  const constant = keys.get('const')
  if (constant !== undefined && dialect >= 6) schema.constant = canonical(constant)
  const all = keys.array('enum')?.map(canonical)
  if (!all) return
  if (new Set(all).size < all.length) return fail('enum items must be unique')
  schema.choices = all
}
