import fs from 'node:fs'
import path from 'node:path'
import { type ErrorObject, type ValidateFunction, Ajv2020 } from 'ajv/dist/2020.js'
import ajvFormats from 'ajv-formats'
import type { Json, JsonObject } from '../model/json.ts'
import type { Findings } from '../sources/diagnostics.ts'
import { isPlainSchema } from './plain-schema.ts'
import { compileRegex } from './regex.ts'
import { didYouMean } from '../lib/suggest.ts'
import type { ArgsCheck } from './types.ts'
import type { PathStep, SourceDocument } from '../sources/yaml.ts'

// JSON Schema in two uses. What the gate ships describes policy files: everything wrong is reported at the line it stands on, in
// words a person can act on. What a policy brings describes args, and then runs on what an agent sends: its patterns run in
// linear time, and the first thing wrong is enough.

// `src/policy` and `dist/policy` are both two levels below the package root.
const SCHEMA_DIR = path.resolve(import.meta.dirname, '..', '..', 'schemas')
const FORMATS = ['date', 'date-time', 'time', 'email', 'uuid', 'ipv4', 'ipv6'] as const
const LABEL = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?'
const HOSTNAME = new RegExp(`^(?:${LABEL}\\.)*${LABEL}\\.?$`)

// `pattern` in a schema is written by a policy author and runs on what an agent sends.
const linearRegExp = Object.assign(
  (pattern: string) => {
    const compiled = compileRegex(pattern)
    if (!compiled.ok) throw new SchemaProblem(`pattern \`${pattern}\`: ${compiled.message}`)
    // ajv knows patterns of one schema apart by their text alone.
    return { test: (text: string) => compiled.regex.test(text), toString: () => pattern }
  },
  { code: 'linearRegExp' },
)

class SchemaProblem extends Error {}

function newAjv(allErrors: boolean, strict = true): Ajv2020 {
  const options = { allErrors, strict, strictTypes: false, strictRequired: false } as const
  const ajv = new Ajv2020({
    ...options,
    logger: false,
    verbose: true,
    code: { regExp: linearRegExp },
  })
  ajvFormats.default(ajv, [...FORMATS])
  ajv.addFormat('hostname', HOSTNAME) // that of ajv-formats has a look-ahead, which RE2 has not
  for (const name of [...FORMATS, 'hostname']) linearFormat(ajv, name)
  return ajv
}

// The formats that are regular expressions run on what an agent sends, like any `pattern`.
function linearFormat(ajv: Ajv2020, name: string): void {
  const format = ajv.formats[name]
  if (!(format instanceof RegExp)) return
  const compiled = compileRegex(format.source, format.ignoreCase)
  if (!compiled.ok) throw new Error(`format ${name} does not compile: ${compiled.message}`)
  ajv.addFormat(name, (text: string) => compiled.regex.test(text))
}

let shipped: Ajv2020 | undefined

/** Validator for a schema the gate ships, by its path under `schemas/`, without the ending. */
export function shippedSchema(name: string): ValidateFunction {
  shipped ??= loadShipped()
  const validate = shipped.getSchema(`${name}.schema.json`)
  if (!validate) throw new Error(`no schema ${name}`)
  return validate
}

function loadShipped(): Ajv2020 {
  const ajv = newAjv(true)
  const files = fs.readdirSync(SCHEMA_DIR, { recursive: true, encoding: 'utf8' })
  for (const file of files.filter((one) => one.endsWith('.schema.json'))) {
    const schema = JSON.parse(fs.readFileSync(path.join(SCHEMA_DIR, file), 'utf8')) as JsonObject
    ajv.addSchema(schema, file.replaceAll('\\', '/'))
  }
  return ajv
}

/**
 * Checks the part of a document at `base` against a shipped schema and reports every mismatch at
 * the line it stands on. True when it fits.
 */
export function checkShape(
  schema: string,
  value: Json,
  base: readonly PathStep[],
  source: SourceDocument,
  found: Findings,
): boolean {
  const validate = shippedSchema(schema)
  if (validate(value)) return true
  const errors = validate.errors ?? []
  for (const error of errors) {
    if (!isNoise(error, errors)) reportMismatch(error, base, source, found)
  }
  return false
}

// `if`, `anyOf` and `oneOf` report themselves besides the branch that says what is wrong.
const isNoise = (error: ErrorObject, all: readonly ErrorObject[]): boolean =>
  error.keyword === 'if' ||
  (['anyOf', 'oneOf'].includes(error.keyword) &&
    all.some((other) => other !== error && other.instancePath.startsWith(error.instancePath)))

function reportMismatch(
  error: ErrorObject,
  base: readonly PathStep[],
  source: SourceDocument,
  found: Findings,
): void {
  const at = [...base, ...stepsOf(error.instancePath)]
  const name = at.length === 0 ? 'the file' : `\`${at.join('.')}\``
  const params = error.params as Record<string, unknown>
  const unknown = params['additionalProperty'] ?? params['unevaluatedProperty']
  if (typeof unknown === 'string') {
    const known = knownKeys(error, base)
    const hint = didYouMean(unknown, known) ?? listHint('allowed here', known)
    found.error(source.atKey([...at, unknown]), 'unknown_key', `unknown key \`${unknown}\``, hint)
  } else if (error.keyword === 'required') {
    const missing = String(params['missingProperty'])
    const hint = `add \`${missing}:\``
    found.error(source.at(at), 'missing_key', `${name} needs a key \`${missing}\``, hint)
  } else if (error.keyword === 'enum') {
    const allowed = (params['allowedValues'] as unknown[]).map(String)
    const message = `${name} has unknown value \`${show(error.data)}\``
    const hint = didYouMean(show(error.data), allowed) ?? listHint('one of', allowed)
    found.error(source.at(at), 'unknown_value', message, hint)
  } else {
    const message = `${name} ${error.message ?? 'is not allowed'}`
    found.error(source.at(at), codeOf(error), message, valueHint(error, source.written(at)))
  }
}

// What was written, not what YAML read: of 5.00 only 5 is left.
function valueHint(error: ErrorObject, written: string | undefined): string | undefined {
  const { type, pattern } = error.params as { type?: unknown; pattern?: unknown }
  if (type === 'string' && written !== undefined) return `put it in quotes: '${written}'`
  if (type === 'array' && written !== undefined) return `a list: [${written}]`
  if (type === 'boolean') return 'true or false, without quotes'
  if (type === 'integer' || type === 'number') return `a number, without quotes`
  if (type === 'array') return 'a list: [one, two] or lines that begin with `- `'
  if (type === 'object') return 'a map: { key: value } or lines of `key: value`'
  if (typeof pattern === 'string') return PATTERNS.get(pattern) ?? `must match ${pattern}`
  return undefined
}

/** What a value looks like that matches a pattern of our schemas. */
const PATTERNS: ReadonlyMap<string, string> = new Map([
  ['^(0|[1-9][0-9]{0,8})([.][0-9]{1,6})?$', "an amount in quotes, such as '5.00'"],
  ['^[a-z][a-z0-9_-]{0,62}$', 'lower-case letters, digits, `_` and `-`, such as `production`'],
  ['^(0|[1-9][0-9]{0,9})([.][0-9]{1,6})?$', "an amount in quotes, such as '5.00'"],
  ['^([01][0-9]|2[0-3]):[0-5][0-9]$', "a time in quotes, such as '08:00'"],
  ['^(?:([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$', "a time in quotes, such as '08:00'"],
  ['^(/.*)?$', 'a JSON pointer, such as `/customer/email`'],
])

const codeOf = (error: ErrorObject): string =>
  error.keyword === 'type' ? 'wrong_type' : 'wrong_value'

const show = (value: unknown): string =>
  typeof value === 'string' ? value.slice(0, 80) : (JSON.stringify(value) ?? '').slice(0, 80)

const listHint = (what: string, words: readonly string[]): string | undefined =>
  words.length > 0 && words.length <= 24 ? `${what}: ${words.join(', ')}` : undefined

// With `unevaluatedProperties` the keys come from several places: the schema itself and what it refers to.
function knownKeys(error: ErrorObject, base: readonly PathStep[]): readonly string[] {
  const own = Object.keys((error.parentSchema?.['properties'] as JsonObject | undefined) ?? {})
  const isGuardTop = error.instancePath === '' && base.length > 0
  return isGuardTop ? [...commonGuardKeys(), ...own] : own
}

function commonGuardKeys(): readonly string[] {
  const schema = shippedSchema('guards/common').schema as { properties: JsonObject }
  return Object.keys(schema.properties)
}

export function stepsOf(instancePath: string): PathStep[] {
  const steps = instancePath.split('/').slice(1)
  return steps.map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
}

export type CompiledCheck =
  | { readonly ok: true; readonly check: ArgsCheck }
  | { readonly ok: false; readonly message: string }

let authored: Ajv2020 | undefined

/** Compiles a JSON Schema that a policy author wrote. Nothing is coerced, nothing filled in. */
export function compileArgsSchema(schema: JsonObject): CompiledCheck {
  authored ??= newAjv(false)
  return compiledBy(authored, schema)
}

let foreign: Ajv2020 | undefined
const FOREIGN_DEPTH_MAX = 32
const FOREIGN_SCHEMAS_MAX = 2_000

/**
 * Compiles a JSON Schema that an upstream wrote: it may have words of its own, names an older draft and means this one, and
 * is bounded.
 */
export function compileForeignSchema(given: JsonObject): CompiledCheck {
  const { $schema: draft, ...rest } = given
  const schema = draft === undefined ? given : rest
  const left = { objects: FOREIGN_SCHEMAS_MAX }
  if (!isBounded(schema, FOREIGN_DEPTH_MAX, left)) return { ok: false, message: 'it is too large' }
  foreign ??= newAjv(false, false)
  return compiledBy(foreign, schema)
}

function isBounded(value: Json, depth: number, left: { objects: number }): boolean {
  if (typeof value !== 'object' || value === null) return true
  if (depth === 0 || --left.objects < 0) return false
  return Object.values(value as JsonObject).every((one) => isBounded(one, depth - 1, left))
}

function compiledBy(ajv: Ajv2020, schema: JsonObject): CompiledCheck {
  try {
    const problem = costProblem(schema)
    if (problem !== undefined) return { ok: false, message: problem }
    const validate = ajv.compile(schema)
    // A promise would be true whatever it resolves to.
    if ('$async' in validate) return { ok: false, message: '`$async` is not allowed' }
    return { ok: true, check: (args) => check(validate, args) }
  } catch (error) {
    return { ok: false, message: error instanceof Error ? error.message : String(error) }
  } finally {
    ajv.removeSchema(schema) // or every reload would leave its schemas behind
  }
}

/** What is wrong with a schema that a policy author wrote; undefined where it is known to compile. */
export function schemaProblem(schema: JsonObject): string | undefined {
  if (isPlainSchema(schema)) return costProblem(schema)
  const compiled = compileArgsSchema(schema)
  return compiled.ok ? undefined : compiled.message
}

/**
 * A check of a schema that is known to compile, compiled when it is first used: of a thousand tools, most are not called
 * between one reload and the next.
 */
export function lazyArgsCheck(schema: JsonObject, compile = compileArgsSchema): ArgsCheck {
  let known: ArgsCheck | undefined
  return (args) => {
    known ??= checkOf(compile(schema))
    return known(args)
  }
}

function checkOf(compiled: CompiledCheck): ArgsCheck {
  if (compiled.ok) return compiled.check
  throw new Error(`a schema that was checked does not compile: ${compiled.message}`)
}

const UNIQUE_ITEMS_MAX = 1000

// Comparing every item with every other is the one check that is not linear.
function costProblem(schema: Json): string | undefined {
  if (Array.isArray(schema)) return first(schema)
  if (typeof schema !== 'object' || schema === null) return undefined
  const { uniqueItems, maxItems } = schema as JsonObject
  const bounded = typeof maxItems === 'number' && maxItems <= UNIQUE_ITEMS_MAX
  if (uniqueItems === true && !bounded) {
    return `\`uniqueItems\` needs \`maxItems\` of at most ${UNIQUE_ITEMS_MAX}`
  }
  return first(Object.values(schema))
}

const first = (values: readonly Json[]): string | undefined =>
  values.map(costProblem).find((problem) => problem !== undefined)

function check(validate: ValidateFunction, args: JsonObject): string | undefined {
  try {
    return validate(args) ? undefined : explain(validate.errors)
  } catch {
    return 'args cannot be checked against the schema' // such as one that refers to itself without end
  }
}

function explain(errors: readonly ErrorObject[] | null | undefined): string {
  const error = errors?.[0]
  if (!error) return 'args do not fit the schema'
  const params = error.params as Record<string, unknown>
  const extra = params['additionalProperty'] ?? params['unevaluatedProperty']
  const where = error.instancePath === '' ? 'args' : `args \`${error.instancePath.slice(0, 80)}\``
  if (typeof extra === 'string') return `${where} has unknown member \`${extra.slice(0, 80)}\``
  if (error.keyword === 'enum') {
    return `${where} must be one of ${JSON.stringify(params['allowedValues']).slice(0, 200)}`
  }
  return `${where} ${error.message ?? 'does not fit the schema'}`
}
