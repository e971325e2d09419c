import type { Json, JsonObject } from '../model/json.ts'
import type { Param, Tool } from '../model/tool.ts'
import { invalid, paramsIn, readSimple, simpleText } from './params.ts'
import { own } from './query.ts'
import { encodeSegment } from './segment.ts'
import {
  isLiteral,
  isParam,
  knownTemplate,
  matchesLoosely,
  paramsOf,
  textsOf,
  valuesIn,
  withoutEnd,
} from './template.ts'
import type { RouteSegment } from './types.ts'

const PATH_LENGTH_MAX = 4096

/** The path of a tool's call. @throws GatewayError invalid_request */
export function buildPath(tool: Tool, segments: readonly RouteSegment[], args: JsonObject): string {
  const params = paramsIn(tool, 'path')
  const parts = segments.map((segment) => buildSegment(params, segment, args))
  const reserved = tool.reservedPaths.find((template) => lands(parts, template))
  if (reserved === undefined) return `/${parts.join('/')}`
  throw invalid(`path parameters of \`${tool.name}\` name the path of another tool`)
}

function buildSegment(params: readonly Param[], segment: RouteSegment, args: JsonObject): string {
  if (isLiteral(segment)) return segment.literal
  if (isParam(segment)) return wholeSegment(params, segment.param, args)
  const [first = '', ...texts] = textsOf(segment)
  const values = paramsOf(segment).map((name) => valueText(params, name, args))
  const written = values.map(({ text, slash }, at) => {
    const name = paramsOf(segment)[at] ?? ''
    return `${encodeSegment(name, text, slash)}${texts[at] ?? ''}`
  })
  const whole = [first, ...values.map(({ text }, at) => `${text}${texts[at] ?? ''}`)].join('')
  const again = valuesIn(segment, whole)
  // Text around it must not make another value of it, nor a dot segment of the whole.
  if (!again || again.some((one, at) => one !== values[at]?.text) || /^\.+$/.test(whole)) {
    throw invalid(
      `path parameter \`${paramsOf(segment)[0] ?? ''}\` holds text that stands around it`,
    )
  }
  return `${first}${written.join('')}`
}

// The usual case of the above: nothing stands around the value.
function wholeSegment(params: readonly Param[], name: string, args: JsonObject): string {
  const { text, slash } = valueText(params, name, args)
  const written = encodeSegment(name, text, slash)
  if (text !== '' && !/^\.+$/.test(text)) return written
  throw invalid(`path parameter \`${name}\` holds text that stands around it`)
}

function valueText(
  params: readonly Param[],
  name: string,
  args: JsonObject,
): { readonly text: string; readonly slash: boolean } {
  const param = params.find((one) => one.name === name)
  if (!param) throw new Error(`path parameter ${name} has no arg`)
  const value = own(args, param.arg)
  if (value === undefined || value === null) throw invalid(`path parameter \`${name}\` is missing`)
  return { text: simpleText(param, value), slash: param.slash }
}

// The path would be one that a more specific tool stands for, with its own rules, or that two could stand for.
function lands(path: readonly string[], template: string): boolean {
  const parsed = knownTemplate(template)
  if (!parsed.ok) return false
  const [parts, segments] = [withoutEnd(path), withoutEnd(parsed.segments)]
  if (segments.length !== parts.length) return false
  return segments.every(
    (segment, at) =>
      isParam(segment) || matchesLoosely(segment, decodeURIComponent(parts[at] ?? '')),
  )
}

/** The segments of a raw path, decoded. @throws GatewayError invalid_request for what has no one meaning */
export function readPath(raw: string): readonly string[] {
  if (raw.length > PATH_LENGTH_MAX) throw invalid('the path is too long')
  if (!raw.startsWith('/')) throw invalid('the path must start with `/`')
  if (/[^!-~]/.test(raw)) throw invalid('the path has a character that is not printable ASCII')
  const [structural] = /[\\;?#]/.exec(raw) ?? []
  if (structural !== undefined) {
    throw invalid(`the path has \`${structural}\`, which servers read in different ways`)
  }
  if (raw === '/') return []
  return raw.slice(1).split('/').map(decodeSegment)
}

function decodeSegment(raw: string, at: number, { length }: readonly string[]): string {
  const place = `segment ${at + 1} of the path`
  if (raw === '' && at === length - 1 && at > 0) return '' // the path ends with `/`
  if (raw === '') throw invalid(`${place} is empty`)
  const text = decodeOnce(raw)
  if (text === undefined) throw invalid(`${place} has an escape that is no UTF-8`)
  if (/\p{Cc}/u.test(text)) throw invalid(`${place} holds a control character`)
  if (text.includes('\\')) throw invalid(`${place} holds a backslash`)
  if (text.includes('%')) throw invalid(`${place} is escaped twice`)
  if (text.includes(';'))
    throw invalid(`${place} holds \`;\`, which servers read in different ways`)
  if (/(?:^|\/)\.+(?:$|\/)/.test(text)) throw invalid(`${place} is a dot segment`)
  return text
}

function decodeOnce(raw: string): string | undefined {
  try {
    return decodeURIComponent(raw)
  } catch {
    return undefined
  }
}

/** The args that a path says; undefined where the template does not fit. @throws GatewayError invalid_request */
export function readPathArgs(
  tool: Tool,
  segments: readonly RouteSegment[],
  parts: readonly string[],
): ReadonlyMap<string, Json> {
  const params = paramsIn(tool, 'path')
  const args = new Map<string, Json>()
  for (const [at, segment] of segments.entries()) {
    const values = valuesIn(segment, parts[at] ?? '') ?? []
    for (const [index, name] of paramsOf(segment).entries()) {
      const param = params.find((one) => one.name === name)
      const text = values[index]
      if (!param || text === undefined) throw invalid(`path parameter \`${name}\` is missing`)
      args.set(param.arg, readSimple(tool, param, text))
    }
  }
  return args
}
