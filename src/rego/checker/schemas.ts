// Types from JSON schemas in annotations: `schemas: [{input: {...}}]` says what a rule's input looks like.
import type { Annotations, Module, Rule } from '../ast/ast.ts'
import { ANY, BOOLEAN, keyOf, NULL, NUMBER, STRING, type Type, union } from '../builtins/types.ts'

type Json = Readonly<Record<string, unknown>>
const NAMES = ['array', 'boolean', 'integer', 'number', 'null', 'object', 'string']

export class SchemaError extends Error {}

/** The type of `input` that annotations give a rule; undefined when they say nothing. Throws SchemaError. */
export function inputTypeOf(module: Module, rule: Rule): Type | undefined {
  for (const annotations of applying(module, rule)) {
    for (const pair of annotations.schemas ?? []) {
      const definition = (pair as Json)['input']
      if (isObject(definition)) return typeOf(definition, 0)
    }
  }
  return undefined
}

/** The rule's own annotations first, then those of its document and its package. */
function applying(module: Module, rule: Rule): Annotations[] {
  const own = module.annotations.filter(({ scope, loc }) => {
    if (scope !== 'rule' && scope !== 'document') return false
    const rows = module.rules.map((r) => r.loc.row).filter((row) => row > loc.row)
    return Math.min(...rows) === rule.loc.row
  })
  const wide = module.annotations.filter(
    ({ scope }) => scope === 'package' || scope === 'subpackages',
  )
  return [...own, ...wide]
}

function isObject(v: unknown): v is Json {
  return v !== null && typeof v === 'object' && !Array.isArray(v)
}

function typeOf(schema: Json, depth: number): Type {
  const given = schema['type']
  const names = Array.isArray(given) ? (given as unknown[]) : given === undefined ? [] : [given]
  for (const name of names) {
    if (typeof name !== 'string' || !NAMES.includes(name)) {
      throw new SchemaError(
        `unable to compile the schema: has a primitive type that is NOT VALID -- given: /${String(name)}/ Expected valid values are:[${NAMES.join(' ')}]`,
      )
    }
  }
  if (depth > 20 || names.length === 0) {
    return isObject(schema['properties']) ? objectType(schema, depth) : ANY
  }
  return union(names.map((name) => single(String(name), schema, depth))) ?? ANY
}

function single(name: string, schema: Json, depth: number): Type {
  switch (name) {
    case 'boolean':
      return BOOLEAN
    case 'null':
      return NULL
    case 'string':
      return STRING
    case 'object':
      return objectType(schema, depth)
    case 'array': {
      const { items } = schema
      return { kind: 'array', fixed: [], rest: isObject(items) ? typeOf(items, depth + 1) : ANY }
    }
    default:
      return NUMBER
  }
}

function objectType(schema: Json, depth: number): Type {
  const fixed = new Map<string, Type>()
  const { properties } = schema
  if (isObject(properties)) {
    for (const [key, inner] of Object.entries(properties)) {
      fixed.set(keyOf(key), isObject(inner) ? typeOf(inner, depth + 1) : ANY)
    }
  }
  const closed =
    schema['additionalProperties'] === false ||
    (fixed.size > 0 && schema['additionalProperties'] === undefined)
  return { kind: 'object', fixed, rest: closed ? undefined : [STRING, ANY] }
}
