import type { Json, JsonObject } from '../model/json.ts'
import type { FileArg } from '../model/request.ts'
import type { Param, Tool } from '../model/tool.ts'
import { type Pair, stepsIn } from './brackets.ts'
import { EXTRA_QUERY, grouped, invalid, readPairs } from './params.ts'
import { isObject, schemaAt } from './pointer.ts'
import { readScalar, schemaOf, typesOf } from './scalars.ts'
import { parseStrictJson } from '../lib/strict-json.ts'

/** A body as it was read: in its own form, not yet by the schema of a tool. */
export type ReadBody =
  | { readonly kind: 'empty' }
  | { readonly kind: 'json'; readonly value: Json }
  | { readonly kind: 'form'; readonly pairs: readonly Pair[] }
  | { readonly kind: 'multipart'; readonly parts: readonly ReadPart[] }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'raw'; readonly file: FileArg }

/** One field of a multipart body. */
export type ReadPart =
  | { readonly name: string; readonly text: string; readonly contentType: string | null }
  | { readonly name: string; readonly file: FileArg }

/** The args of a call: those of path, query and headers with those of its body. @throws GatewayError invalid_request */
export function withReadBody(tool: Tool, args: JsonObject, body: ReadBody): JsonObject {
  const { bodyArg } = tool.http
  switch (body.kind) {
    case 'empty':
      return args
    case 'json':
      if (bodyArg !== null) return { ...args, [bodyArg]: body.value }
      if (isObject(body.value)) return withBody(tool, args, body.value)
      throw invalid('the body must be a JSON object')
    case 'form':
      return withBody(tool, args, formMembers(tool, body.pairs))
    case 'multipart':
      return withBody(tool, args, partMembers(tool, body.parts))
    case 'text':
      return { ...args, [bodyArg ?? 'body']: body.text }
    case 'raw':
      return { ...args, [bodyArg ?? 'body']: { ...body.file } }
  }
}

/**
 * Adds the members of a body to the args from path, query and headers.
 * @throws GatewayError invalid_request when one of them belongs elsewhere
 */
export function withBody(tool: Tool, args: JsonObject, body: JsonObject): JsonObject {
  const { params, extraQuery } = tool.http
  const placed = new Set(params.filter((param) => param.in !== 'body').map(({ arg }) => arg))
  const isElsewhere = (arg: string): boolean =>
    Object.hasOwn(args, arg) || placed.has(arg) || (extraQuery && arg === EXTRA_QUERY)
  const members = Object.entries(body).map(
    ([field, value]) => [bodyParam(tool, field).arg, value] as const,
  )
  const misplaced = members.find(([arg, value]) => isElsewhere(arg) && value !== null)
  if (misplaced === undefined) {
    const own = members.filter(([arg]) => !isElsewhere(arg))
    return Object.fromEntries([...Object.entries(args), ...own])
  }
  throw invalid(`\`${misplaced[0].slice(0, 80)}\` belongs into the path or query, not the body`)
}

/** The parameter that a field of a body is. @throws GatewayError invalid_request for the arg of another field */
function bodyParam({ http }: Tool, field: string): Param {
  const named = http.params.find((param) => param.in === 'body' && param.name === field)
  if (named) return named
  if (http.params.some((param) => param.in === 'body' && param.arg === field)) {
    throw invalid(`the body has no field \`${field.slice(0, 80)}\``)
  }
  return { arg: field, in: 'body', name: field, style: 'form', explode: true, slash: false }
}

function formMembers(tool: Tool, pairs: readonly Pair[]): JsonObject {
  const given = new Map<string, Pair[]>()
  for (const pair of pairs) {
    const base = stepsIn(pair[0])?.base
    if (base === undefined)
      throw invalid(`field \`${pair[0].slice(0, 80)}\` has brackets that do not pair`)
    grouped(given, base).push(pair)
  }
  const members = [...given].map(([base, own]) => [
    base,
    readPairs(tool, bodyParam(tool, base), own),
  ])
  return Object.fromEntries(members) as JsonObject
}

function partMembers(tool: Tool, parts: readonly ReadPart[]): JsonObject {
  const given = new Map<string, ReadPart[]>()
  for (const part of parts) grouped(given, part.name).push(part)
  const members = [...given].map(([name, own]) => [name, partValue(tool, name, own)])
  return Object.fromEntries(members) as JsonObject
}

function partValue(tool: Tool, name: string, parts: readonly ReadPart[]): Json {
  const { argsSchema: root, http } = tool
  const { arg } = bodyParam(tool, name)
  const schema = schemaAt(root, [arg]) ?? {}
  const isList = typesOf(schema, root).has('array')
  const shown = `field \`${name.slice(0, 80)}\``
  if (parts.length > 1 && !isList) throw invalid(`${shown} is given twice`)
  const one = isList ? (schemaOf(schema, 'items', root) ?? {}) : schema
  const isFile = http.files.includes(arg)
  const values = parts.map((part): Json => {
    if ('file' in part) {
      if (isFile) return { ...part.file }
      throw invalid(
        `${shown} is no file; this route takes files in ${http.files.join(', ') || 'none'}`,
      )
    }
    if (isFile) throw invalid(`${shown} must be a file: it needs a filename`)
    return fieldValue(shown, part, one, root)
  })
  return isList ? values : (values[0] ?? null)
}

function fieldValue(
  shown: string,
  { text, contentType }: Extract<ReadPart, { readonly text: string }>,
  schema: JsonObject,
  root: JsonObject,
): Json {
  const types = typesOf(schema, root)
  const isJson = contentType === 'application/json' || types.has('object') || types.has('array')
  if (isJson && !types.has('string')) {
    try {
      return parseStrictJson(text)
    } catch {
      throw invalid(`${shown} is not JSON that has one meaning`)
    }
  }
  const value = readScalar(schema, root, text)
  if (value !== undefined) return value
  throw invalid(`${shown} does not spell ${[...types].join(' or ')}`)
}
