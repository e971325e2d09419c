import { readSchema, type Schema } from '../jsonschema/schema.ts'
import { type Problem, validate } from '../jsonschema/validate.ts'
import {
  fromJs,
  isArray,
  Num,
  parseValue,
  RegoObject,
  RegoSet,
  type Value,
  writeJson,
  writeValue,
} from '../value.ts'
import { Kept } from './kept.ts'
import { type Family, fail, holds, spend } from './kind.ts'

/** What a document or a schema is given as: a text of JSON, or the JSON itself. */
function documentOf(v: Value | undefined): Value {
  if (typeof v === 'string') {
    spend(v.length >> 3)
    return holds(() => JSON.parse(v)) ? parseValue(v) : fail('invalid JSON string')
  }
  if (v instanceof RegoObject || isArray(v)) return plain(v)
  return fail('wrong type, expected string or object')
}

/** JSON has neither sets nor keys other than texts. */
function plain(v: Value): Value {
  if (v instanceof RegoSet) return v.items.map(plain)
  if (isArray(v)) return v.map(plain)
  if (!(v instanceof RegoObject)) return v
  return new RegoObject(
    v.pairs.map(([k, x]) => [typeof k === 'string' ? k : writeJson(k), plain(x)] as const),
  )
}

/** Policies ask the same few schemas of document after document. */
const kept = new Kept<Schema>(100)
/** A schema of more text than this is not kept. */
const KEPT_MAX = 1 << 18
/** What reading a schema costs of the budget, by letters of its text. */
const READING_COST = 20

function schemaOf(v: Value | undefined): Schema {
  if (v === undefined || v === null || typeof v === 'boolean' || v instanceof Num)
    return fail('wrong type, expected string or object')
  const key = typeof v === 'string' ? JSON.stringify(v) : writeValue(v)
  spend(key.length >> 2)
  return kept.of(key, key.length * READING_COST, () => ({
    value: readSchema(documentOf(v)),
    steps: 0,
    isLarge: key.length > KEPT_MAX,
  }))
}

function described({ type, field, description }: Problem): Value {
  return fromJs({ desc: description, error: `${field}: ${description}`, field, type })
}

export const schema: Family = {
  'json.verify_schema': (s) => {
    try {
      schemaOf(s)
      return [true, null]
    } catch (error) {
      return [false, `jsonschema: ${error instanceof Error ? error.message : ''}`]
    }
  },
  'json.match_schema': (d, s) => {
    const document = documentOf(d)
    const problems = validate(schemaOf(s), document)
    return [problems.length === 0, problems.map(described)]
  },
}
