import type { Json, JsonObject } from '../model/json.ts'
import type { Param, Tool } from '../model/tool.ts'
import type { Pair } from './brackets.ts'
import {
  EXTRA_QUERY,
  grouped,
  invalid,
  pairsOf,
  paramsIn,
  readPairs,
  stepsBelow,
} from './params.ts'
import { isObject } from './pointer.ts'
import { scalarText } from './scalars.ts'

const PAIRS_MAX = 2_000

/** The query of a tool's call: its args in the order the tool declares, then what else may pass, sorted. */
export function buildQuery(tool: Tool, args: JsonObject): string {
  const declared = paramsIn(tool, 'query').flatMap((param) => pairsOf(param, own(args, param.arg)))
  return encodePairs([...declared, ...extraPairs(tool, args)])
}

/** The text of pairs, each character but the unreserved ones escaped. */
export const encodePairs = (pairs: readonly Pair[]): string =>
  pairs.map(([name, text]) => `${encodeURIComponent(name)}=${encodeURIComponent(text)}`).join('&')

function extraPairs(tool: Tool, args: JsonObject): readonly Pair[] {
  const extra = tool.http.extraQuery ? own(args, EXTRA_QUERY) : undefined
  if (!isObject(extra)) return []
  return Object.keys(extra)
    .sort()
    .flatMap((name) => {
      const texts = [extra[name] ?? []].flat() as readonly Json[]
      if (finder(tool)(name)) throw invalid(`\`${name.slice(0, 80)}\` is a parameter of its own`)
      return texts.map((text): Pair => [name, scalarText(`\`${name.slice(0, 80)}\``, text)])
    })
}

/** The args that a query says, its parameters in any order. @throws GatewayError invalid_request */
export function readQuery(tool: Tool, raw: string): ReadonlyMap<string, Json> {
  const given = new Map<Param, Pair[]>()
  const extra = new Map<string, string[]>()
  const find = finder(tool)
  for (const pair of decodePairs(raw, 'query parameter')) {
    const param = find(pair[0])
    if (param) grouped(given, param).push(pair)
    else if (tool.http.extraQuery) grouped(extra, pair[0]).push(pair[1])
    else throw unknown(tool, pair[0])
  }
  const args = new Map(
    [...given].map(([param, pairs]) => [param.arg, readPairs(tool, param, pairs)]),
  )
  if (extra.size > 0) {
    const texts = [...extra].map(([name, all]) => [name, all.length === 1 ? all[0] : all])
    args.set(EXTRA_QUERY, Object.fromEntries(texts) as JsonObject)
  }
  return args
}

function finder(tool: Tool): (name: string) => Param | undefined {
  const params = paramsIn(tool, 'query')
  return (name) =>
    params.find((param) => param.name === name) ??
    params.find((param) => stepsBelow(param, name) !== undefined)
}

function unknown(tool: Tool, name: string): Error {
  const known = paramsIn(tool, 'query').map((param) => param.name)
  const has = known.length === 0 ? 'none' : known.slice(0, 20).join(', ')
  return invalid(`unknown query parameter \`${name.slice(0, 80)}\`; this route has ${has}`)
}

/**
 * The decoded pairs of a query or form: `+` and `%20` are spaces, escapes are of UTF-8 and in either case.
 * @throws GatewayError invalid_request for what has no one meaning
 */
export function decodePairs(raw: string, what: string, pairsMax = PAIRS_MAX): readonly Pair[] {
  if (raw === '') return []
  const parts = raw.split('&')
  if (parts.length > pairsMax) throw invalid(`there are more than ${pairsMax} of ${what}`)
  return parts.map((part) => {
    const cut = part.indexOf('=')
    const shown = `${what} \`${part.slice(0, cut < 0 ? 80 : Math.min(cut, 80))}\``
    if (part === '') throw invalid(`a ${what} is empty`)
    if (cut < 0) throw invalid(`${shown} has no \`=\``)
    const [name, text] = [decodeOnce(part.slice(0, cut)), decodeOnce(part.slice(cut + 1))]
    if (name === undefined || text === undefined) {
      throw invalid(`${shown} has an escape that is no UTF-8`)
    }
    if (name === '' || /\p{Cc}/u.test(name) || text.includes('\0')) {
      throw invalid(`${shown} holds a control character`)
    }
    return [name, text]
  })
}

function decodeOnce(raw: string): string | undefined {
  try {
    return decodeURIComponent(raw.replaceAll('+', ' '))
  } catch {
    return undefined // not UTF-8, overlong, or a broken escape
  }
}

export const own = (args: JsonObject, name: string): Json | undefined =>
  Object.hasOwn(args, name) ? args[name] : undefined
