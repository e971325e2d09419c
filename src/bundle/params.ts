import { GatewayError } from '../errors.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { Param, Tool } from '../model/tool.ts'
import { bracketPairs, type Pair, readBrackets, stepsIn } from './brackets.ts'
import { schemaAt } from './pointer.ts'
import { readScalar, scalarText, schemaOf, typesOf } from './scalars.ts'

/** The name under which query parameters that nobody declared are seen, where a tool lets them pass. */
export const EXTRA_QUERY = 'extra_query'

const SEPARATORS: Readonly<Record<Param['style'], string>> = {
  simple: ',',
  form: ',',
  spaceDelimited: ' ',
  pipeDelimited: '|',
  deepObject: ',',
}

const placed = new WeakMap<readonly Param[], Map<Param['in'], readonly Param[]>>()

/** The params of a tool that travel in one place: kept, since every call of it asks. */
export function paramsIn({ http }: Pick<Tool, 'http'>, place: Param['in']): readonly Param[] {
  let places = placed.get(http.params)
  if (!places) placed.set(http.params, (places = new Map()))
  let params = places.get(place)
  if (!params) {
    params = http.params.filter((param) => param.in === place)
    places.set(place, params)
  }
  return params
}

/** The schema of the arg of a parameter; an open one where it has none. */
export const schemaOfParam = ({ argsSchema }: Tool, { arg }: Pick<Param, 'arg'>): JsonObject =>
  schemaAt(argsSchema, [arg]) ?? {}

/** The pairs of a query or form that say a value of a parameter. @throws GatewayError invalid_request */
export function pairsOf(param: Param, value: Json | undefined): readonly Pair[] {
  if (value === undefined || value === null) return []
  const { name, style, explode } = param
  if (style === 'deepObject') return bracketPairs(name, value, false)
  if (!Array.isArray(value) || explode) return bracketPairs(name, value, true)
  return [[name, joined(param, value as readonly Json[])]]
}

/** A list as one text. @throws GatewayError invalid_request where its items could not be told apart */
export function joined(param: Param, items: readonly Json[]): string {
  const shown = `\`${param.arg.slice(0, 80)}\``
  const separator = SEPARATORS[param.style]
  if (items.length === 0) throw invalid(`${shown} is empty, which cannot be said here`)
  const texts = items.map((item) => scalarText(shown, item))
  if (texts.some((text) => text === '' || text.includes(separator))) {
    throw invalid(`an item of ${shown} is empty or holds what parts it from the next`)
  }
  return texts.join(separator)
}

/** The value that pairs of a query or form say of a parameter. @throws GatewayError invalid_request */
export function readPairs(tool: Tool, param: Param, pairs: readonly Pair[]): Json {
  const { argsSchema: root } = tool
  const schema = schemaOfParam(tool, param)
  const what = whatOf(param)
  const [first] = pairs
  const isList = typesOf(schema, root).has('array')
  if (isList && !param.explode && param.style !== 'deepObject') {
    if (!first || pairs.length > 1) throw invalid(`${what} is given twice`)
    return splitList(tool, param, first[1])
  }
  const fields = pairs.map(([name, text]) => ({ steps: stepsBelow(param, name) ?? [], text }))
  return readBrackets(what, fields, schema, root)
}

/** A list that travels as one text. @throws GatewayError invalid_request */
export function splitList(tool: Tool, param: Param, text: string): Json {
  const items = schemaOf(schemaOfParam(tool, param), 'items', tool.argsSchema) ?? {}
  return text.split(SEPARATORS[param.style]).map((one) => {
    const value = one === '' ? undefined : readScalar(items, tool.argsSchema, one)
    if (value === undefined) throw invalid(`${whatOf(param)} has an item that is not spelt plainly`)
    return value
  })
}

/** A single value, or a list in one text, as paths and headers carry it. @throws GatewayError invalid_request */
export function readSimple(tool: Tool, param: Param, text: string): Json {
  const schema = schemaOfParam(tool, param)
  const types = typesOf(schema, tool.argsSchema)
  if (types.has('array')) return splitList(tool, param, text)
  const value = readScalar(schema, tool.argsSchema, text)
  if (value !== undefined) return value
  throw invalid(`${whatOf(param)} does not spell ${[...types].join(' or ')}`)
}

/** The text of a value in a path or header. @throws GatewayError invalid_request */
export function simpleText(param: Param, value: Json): string {
  if (Array.isArray(value)) return joined(param, value as readonly Json[])
  return scalarText(`\`${param.arg.slice(0, 80)}\``, value)
}

/** How a parameter is called where it travels. */
export const whatOf = (param: Param): string =>
  param.in === 'body'
    ? `field \`${param.name.slice(0, 80)}\``
    : `${param.in} parameter \`${param.name.slice(0, 80)}\``

/** The brackets behind a parameter's name in the name of a field; undefined where it is none of its fields. */
export function stepsBelow(
  { name, style, in: place }: Param,
  field: string,
): readonly string[] | undefined {
  if (field === name) return []
  if (place === 'query' && style !== 'deepObject') return undefined
  if (!field.startsWith(`${name}[`)) return undefined
  return stepsIn(`x${field.slice(name.length)}`)?.steps
}

export const invalid = (message: string): GatewayError =>
  new GatewayError('invalid_request', message)

/** The list of a key, made where there is none: lists that are copied for each item take quadratic time. */
export function grouped<Key, Item>(lists: Map<Key, Item[]>, key: Key): Item[] {
  const known = lists.get(key)
  if (known) return known
  const made: Item[] = []
  lists.set(key, made)
  return made
}
