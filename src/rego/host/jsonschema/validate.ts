// Whether a document is as a schema says; what is wrong with it in the order and the words of OPA's library.
import { spend } from '../builtins/kind.ts'
import { compareNumbers } from '../../ast/compare.ts'
import { isArray, Num, RegoObject, type Value } from '../value.ts'
import { isInteger, isMultiple, shown } from './decimal.ts'
import { hasFormat } from './formats.ts'
import { canonical, named, type Schema } from './schema.ts'

const ROOT = '(Root)'
/** Steps of the evaluation's budget that asking one schema of one value costs. */
const COST = 20

export interface Problem {
  readonly type: string
  readonly field: string
  readonly description: string
}

/** Problems, and how near the document came: alternatives are told apart by it. */
class Result {
  readonly problems: Problem[] = []
  score = 0

  get isValid(): boolean {
    return this.problems.length === 0
  }
  add(type: string, at: string, describe: string | ((field: string) => string)): void {
    const field = at.startsWith(`${ROOT}.`) ? at.slice(ROOT.length + 1) : at
    const description = typeof describe === 'string' ? describe : describe(field)
    spend(description.length)
    this.problems.push({ type, field, description })
    this.score -= 2
  }
  merge(other: Result | undefined): void {
    if (!other) return
    for (const problem of other.problems) this.problems.push(problem)
    this.score += other.score
  }
}

export function validate(schema: Schema, document: Value): readonly Problem[] {
  return ask(schema, document, ROOT).problems
}

function ask(schema: Schema, v: Value, at: string): Result {
  const result = new Result()
  check(schema, v, result, at)
  return result
}

function typeOf(v: Value): string {
  if (v === null) return 'null'
  if (v instanceof Num) return isInteger(v) ? 'integer' : 'number'
  if (isArray(v)) return 'array'
  return typeof v
}

function check(schema: Schema, v: Value, result: Result, at: string): void {
  spend(COST)
  if (schema.pass !== undefined) {
    if (!schema.pass) result.add('false', at, 'False always fails validation')
    return
  }
  if (schema.reference) {
    check(schema.reference, v, result, at)
    return
  }
  const type = typeOf(v)
  const { types } = schema
  const fits = types.includes(type) || (type === 'integer' && types.includes('number'))
  if (types.length > 0 && !fits) {
    const expected = types.length > 1 ? `[${types.join(',')}]` : types[0]
    result.add('invalid_type', at, `Invalid type. Expected: ${expected}, given: ${type}`)
    return
  }
  combined(schema, v, result, at)
  if (isArray(v)) {
    items(schema, v, result, at)
    common(schema, v, result, at)
  } else if (v instanceof RegoObject) {
    properties(schema, v, result, at)
    common(schema, v, result, at)
    for (const [name, inner] of schema.properties) {
      const value = v.get(name)
      if (value !== undefined) check(inner, value, result, `${at}.${name}`)
    }
  } else {
    if (v instanceof Num) numbers(schema, v, result, at)
    common(schema, v, result, at)
    if (typeof v === 'string') texts(schema, v, result, at)
  }
  result.score++
}

/** The nearest of what failed. */
function nearer(best: Result | undefined, next: Result): Result {
  return !best || next.score > best.score ? next : best
}

function combined(schema: Schema, v: Value, result: Result, at: string): void {
  anyOf(schema, v, result, at)
  oneOf(schema, v, result, at)
  let held = 0
  for (const inner of schema.allOf) {
    const answer = ask(inner, v, at)
    if (answer.isValid) held++
    result.merge(answer)
  }
  if (held < schema.allOf.length)
    result.add('number_all_of', at, 'Must validate all the schemas (allOf)')
  if (schema.not && ask(schema.not, v, at).isValid)
    result.add('number_not', at, 'Must not validate the schema (not)')
  if (v instanceof RegoObject) dependencies(schema, v, result, at)
  conditions(schema, v, result, at)
  result.score++
}

function anyOf(schema: Schema, v: Value, result: Result, at: string): void {
  let best: Result | undefined
  for (const inner of schema.anyOf) {
    const answer = ask(inner, v, at)
    if (answer.isValid) return
    best = nearer(best, answer)
  }
  if (!best) return
  result.add('number_any_of', at, 'Must validate at least one schema (anyOf)')
  result.merge(best)
}

function oneOf(schema: Schema, v: Value, result: Result, at: string): void {
  if (schema.oneOf.length === 0) return
  let held = 0
  let best: Result | undefined
  for (const inner of schema.oneOf) {
    const answer = ask(inner, v, at)
    if (answer.isValid) held++
    else if (held === 0) best = nearer(best, answer)
  }
  if (held === 1) return
  result.add('number_one_of', at, 'Must validate one and only one schema (oneOf)')
  if (held === 0) result.merge(best)
}

function dependencies(schema: Schema, v: RegoObject, result: Result, at: string): void {
  for (const [key] of schema.dependencies.size > 0 ? named(v) : []) {
    const wanted = schema.dependencies.get(key)
    if (!wanted) continue
    if (!Array.isArray(wanted)) {
      check(wanted as Schema, v, result, at)
      continue
    }
    for (const name of wanted as readonly string[]) {
      if (v.get(name) === undefined)
        result.add('missing_dependency', at, `Has a dependency on ${name}`)
    }
  }
}

function conditions(schema: Schema, v: Value, result: Result, at: string): void {
  if (!schema.condition) return
  const holds = ask(schema.condition, v, at).isValid
  const branch = holds ? schema.consequence : schema.alternative
  const answer = branch && ask(branch, v, at)
  if (!answer || answer.isValid) return
  if (holds) result.add('condition_then', at, 'Must validate "then" as "if" was valid')
  else result.add('condition_else', at, 'Must validate "else" as "if" was not valid')
  result.merge(answer)
}

function common(schema: Schema, v: Value, result: Result, at: string): void {
  const { constant, choices, format } = schema
  if (constant !== undefined && canonical(v) !== constant)
    result.add('const', at, (field) => `${field} does not match: ${constant}`)
  if (choices && !choices.includes(canonical(v))) {
    const all = choices.join(', ')
    result.add('enum', at, (field) => `${field} must be one of the following: ${all}`)
  }
  if (format !== undefined && typeof v === 'string' && !hasFormat(format, v))
    result.add('format', at, `Does not match format '${format}'`)
  result.score++
}

function items(schema: Schema, v: readonly Value[], result: Result, at: string): void {
  const [first] = schema.items
  for (const [i, item] of v.entries()) {
    let inner = schema.allItems === true ? first : schema.items[i]
    if (!inner && schema.items.length > 0 && typeof schema.additionalItems === 'object')
      inner = schema.additionalItems
    if (inner) result.merge(ask(inner, item, `${at}.${i}`))
  }
  const isList = schema.allItems === false && schema.items.length > 0
  if (isList && schema.items.length < v.length && schema.additionalItems === false)
    result.add('array_no_additional_items', at, 'No additional items allowed on array')
  const { minItems, maxItems } = schema
  if (minItems !== undefined && v.length < minItems)
    result.add('array_min_items', at, `Array must have at least ${minItems} items`)
  if (maxItems !== undefined && v.length > maxItems)
    result.add('array_max_items', at, `Array must have at most ${maxItems} items`)
  if (schema.uniqueItems === true) unique(v, result, at)
  if (schema.contains) contains(schema.contains, v, result, at)
  result.score++
}

function unique(v: readonly Value[], result: Result, at: string): void {
  const seen = new Map<string, number>()
  for (const [j, item] of v.entries()) {
    spend(COST)
    const text = canonical(item)
    const i = seen.get(text)
    if (i !== undefined) result.add('unique', at, `array items[${i},${j}] must be unique`)
    seen.set(text, j)
  }
}

function contains(schema: Schema, v: readonly Value[], result: Result, at: string): void {
  let best: Result | undefined
  for (const [i, item] of v.entries()) {
    const answer = ask(schema, item, `${at}.${i}`)
    if (answer.isValid) return
    best = nearer(best, answer)
  }
  result.add('contains', at, 'At least one of the items must match')
  result.merge(best)
}

function properties(schema: Schema, v: RegoObject, result: Result, at: string): void {
  const { minProperties, maxProperties } = schema
  const size = named(v).length
  if (minProperties !== undefined && size < minProperties)
    result.add('array_min_properties', at, `Must have at least ${minProperties} properties`)
  if (maxProperties !== undefined && size > maxProperties)
    result.add('array_max_properties', at, `Must have at most ${maxProperties} properties`)
  for (const name of schema.required) {
    if (v.get(name) === undefined) result.add('required', at, `${name} is required`)
    else result.score++
  }
  const known = new Set(schema.properties.map(([name]) => name))
  for (const [key, value] of named(v)) {
    const matched = patterns(schema, key, value, result, at)
    if (known.has(key) || matched) continue
    const { additionalProperties: more } = schema
    if (more === false) {
      const message = `Additional property ${key} is not allowed`
      result.add('additional_property_not_allowed', at, message)
    } else if (typeof more === 'object') result.merge(ask(more, value, `${at}.${key}`))
  }
  for (const [key] of schema.propertyNames ? named(v) : []) {
    const answer = ask(schema.propertyNames as Schema, key, at)
    if (answer.isValid) continue
    result.add('invalid_property_name', at, `Property name of "${key}" does not match`)
    result.merge(answer)
  }
  result.score++
}

function patterns(schema: Schema, name: string, v: Value, result: Result, at: string): boolean {
  let matched = false
  for (const [pattern, inner] of schema.patternProperties) {
    spend(COST + name.length)
    if (!pattern.matcher(name).find()) continue
    matched = true
    result.merge(ask(inner, v, `${at}.${name}`))
  }
  if (matched) result.score++
  return matched
}

function texts(schema: Schema, v: string, result: Result, at: string): void {
  const { minLength, maxLength, pattern, patternText } = schema
  if (minLength !== undefined || maxLength !== undefined) {
    const length = Array.from(v).length
    if (length < (minLength ?? 0)) {
      const message = `String length must be greater than or equal to ${minLength}`
      result.add('string_gte', at, message)
    }
    if (length > (maxLength ?? Infinity))
      result.add('string_lte', at, `String length must be less than or equal to ${maxLength}`)
  }
  if (pattern) {
    spend(v.length)
    if (!pattern.matcher(v).find())
      result.add('pattern', at, `Does not match pattern '${patternText}'`)
  }
  result.score++
}

function numbers(schema: Schema, v: Num, result: Result, at: string): void {
  const { multipleOf, maximum, exclusiveMaximum, minimum, exclusiveMinimum } = schema
  const order = (limit: Num) => compareNumbers(v.text, limit.text)
  if (multipleOf && !isMultiple(v, multipleOf))
    result.add('multiple_of', at, `Must be a multiple of ${shown(multipleOf)}`)
  if (maximum && order(maximum) > 0)
    result.add('number_lte', at, `Must be less than or equal to ${shown(maximum)}`)
  if (exclusiveMaximum && order(exclusiveMaximum) >= 0)
    result.add('number_lt', at, `Must be less than ${shown(exclusiveMaximum)}`)
  if (minimum && order(minimum) < 0)
    result.add('number_gte', at, `Must be greater than or equal to ${shown(minimum)}`)
  if (exclusiveMinimum && order(exclusiveMinimum) <= 0)
    result.add('number_gt', at, `Must be greater than ${shown(exclusiveMinimum)}`)
  result.score++
}
