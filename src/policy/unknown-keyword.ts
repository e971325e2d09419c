import type { PathStep } from '../sources/yaml.ts'
import { isObject } from '../bundle/pointer.ts'
import { didYouMean } from '../lib/suggest.ts'
import type { Json, JsonObject } from '../model/json.ts'

// A misspelt keyword of a JSON Schema, which checks nothing: where it stands, and which one is meant. The library that
// compiles schemas names it and no place.

export interface UnknownKeyword {
  readonly path: readonly PathStep[]
  readonly message: string
  readonly hint: string | undefined
}

const UNKNOWN = /unknown keyword: "(.+)"$/

/** What stands under a name that the schema's author chose, and not under a keyword. */
const BY_NAME: ReadonlySet<string> = new Set(['properties', 'patternProperties', '$defs'])
/** Values, in which nothing is a keyword. */
const VALUES: ReadonlySet<string> = new Set(['const', 'enum', 'default', 'examples'])

const KEYWORDS = [
  ...['type', 'enum', 'const', 'default', 'examples', 'title', 'description', 'deprecated'],
  ...['properties', 'patternProperties', 'additionalProperties', 'propertyNames', 'required'],
  ...['minProperties', 'maxProperties', 'dependentRequired', 'dependentSchemas'],
  ...['items', 'prefixItems', 'contains', 'minContains', 'maxContains', 'minItems', 'maxItems'],
  ...['uniqueItems', 'unevaluatedItems', 'unevaluatedProperties', 'minLength', 'maxLength'],
  ...['pattern', 'format', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  ...['multipleOf', 'allOf', 'anyOf', 'oneOf', 'not', 'if', 'then', 'else', '$ref', '$defs'],
]

/** Undefined where the problem is another one. */
export function unknownKeyword(problem: string, schema: JsonObject): UnknownKeyword | undefined {
  const [, name] = UNKNOWN.exec(problem) ?? []
  const path = name === undefined ? undefined : pathOf(name, schema)
  if (name === undefined || path === undefined) return undefined
  const hint = didYouMean(name, KEYWORDS)
  return { path, message: `\`${name}\` is no keyword of JSON Schema`, hint }
}

function pathOf(name: string, schema: Json): readonly PathStep[] | undefined {
  const open: {
    readonly at: readonly PathStep[]
    readonly value: Json
    readonly named: boolean
  }[] = [{ at: [], value: schema, named: false }]
  for (let next = open.shift(); next; next = open.shift()) {
    const { at, value, named } = next
    if (isObject(value)) {
      if (!named && Object.hasOwn(value, name)) return [...at, name]
      for (const [key, inner] of Object.entries(value)) {
        if (named || !VALUES.has(key)) {
          open.push({ at: [...at, key], value: inner, named: !named && BY_NAME.has(key) })
        }
      }
    } else if (Array.isArray(value)) {
      value.forEach((inner, index) => open.push({ at: [...at, index], value: inner, named: false }))
    }
  }
  return undefined
}
