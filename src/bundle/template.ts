import type { Tool } from '../model/tool.ts'
import type { Route, RouteSegment, RouteTable } from './types.ts'

// Path templates, and how two of them relate. `/tickets/{id}` and `/tickets/export` both match one path; the more specific
// one stands for it, and the wider one must then never be filled in to reach it. Where templates cross, so that neither is
// more specific (`/a/{x}/b` and `/a/b/{y}`), what both match stands for neither. A segment is text, a variable, or text and variables in turn (`{id}.json`):
// the wider of two is the one that takes the other with a character of no text in place of its variables, and two that
// take neither each other are apart only where no text can begin and end like both.

const LITERAL = /^[A-Za-z0-9._~!$&'()*+,=:@-]+$/
const PARAM = /\{([A-Za-z_][A-Za-z0-9_.-]*)\}/g
const BRACES = /[{}]/

export type ParsedTemplate =
  | { readonly ok: true; readonly segments: readonly RouteSegment[] }
  | { readonly ok: false; readonly message: string }

/**
 * Splits `/tickets/{id}.json` into its segments. Literals are plain unencoded path characters, so that a template has
 * one spelling on the wire; two variables of a segment have text between them, or nobody could tell them apart.
 */
export function parseTemplate(path: string): ParsedTemplate {
  if (path === '/') return { ok: true, segments: [] }
  const segments: RouteSegment[] = []
  const seen = new Set<string>()
  const parts = path.slice(1).split('/')
  for (const [at, part] of parts.entries()) {
    const isEnd = part === '' && at === parts.length - 1
    const segment = isEnd ? END : parseSegment(part)
    if (typeof segment === 'string') return bad(segment)
    for (const param of paramsOf(segment)) {
      if (seen.has(param)) return bad(`parameter \`{${param}}\` twice`)
      seen.add(param)
    }
    segments.push(segment)
  }
  return { ok: true, segments }
}

const known = new Map<string, ParsedTemplate>()
const KNOWN_MAX = 10_000

/** The same, read once for each template: every call of a tool needs its own. */
export function knownTemplate(path: string): ParsedTemplate {
  let parsed = known.get(path)
  if (!parsed) {
    parsed = parseTemplate(path)
    if (known.size >= KNOWN_MAX) known.clear() // those of policies that are gone
    known.set(path, parsed)
  }
  return parsed
}

/** What follows the last `/` of `/deals/`. */
const END: RouteSegment = Object.freeze({ literal: '' })

/** A template or path without a `/` at its end, which many servers read like one that has it. */
export function withoutEnd<Part extends RouteSegment | string>(
  parts: readonly Part[],
): readonly Part[] {
  const last = parts.at(-1)
  const isEnd = last === '' || (typeof last === 'object' && isLiteral(last) && last.literal === '')
  return isEnd ? parts.slice(0, -1) : parts
}

const bad = (message: string): ParsedTemplate => ({ ok: false, message })

/** The segment, or what is wrong with it. */
function parseSegment(part: string): RouteSegment | string {
  const texts = part.split(PARAM).filter((_, index) => index % 2 === 0)
  const params = [...part.matchAll(PARAM)].map(([, name = '']) => name)
  const isPlain = texts.every((text) => text === '' || LITERAL.test(text))
  if (part === '' || part === '.' || part === '..' || !isPlain || texts.some(hasBrace)) {
    return `segment \`${part}\` is neither plain text nor \`{parameter}\``
  }
  const [first] = params
  if (first === undefined) return { literal: part }
  if (params.length === 1 && part === `{${first}}`) return { param: first }
  if (texts.slice(1, -1).includes('')) return `segment \`${part}\` has two parameters side by side`
  return { texts, params }
}

const hasBrace = (text: string): boolean => BRACES.test(text)

export const isParam = (segment: RouteSegment): segment is { readonly param: string } =>
  'param' in segment

export const isLiteral = (segment: RouteSegment): segment is { readonly literal: string } =>
  'literal' in segment

/** The variables of a segment, in order. */
export function paramsOf(segment: RouteSegment): readonly string[] {
  if (isLiteral(segment)) return []
  return isParam(segment) ? [segment.param] : segment.params
}

/** The text around the variables of a segment; that of a literal is itself. */
export function textsOf(segment: RouteSegment): readonly string[] {
  if (isLiteral(segment)) return [segment.literal]
  return isParam(segment) ? ['', ''] : segment.texts
}

/** Names of the parameters of a template that parses. */
export function templateParams(path: string): readonly string[] {
  const parsed = parseTemplate(path)
  return parsed.ok ? parsed.segments.flatMap(paramsOf) : []
}

/**
 * The values of a segment's variables in a text that is not escaped any more; undefined where it does not fit, or fits
 * in more than one way.
 */
export function valuesIn(segment: RouteSegment, text: string): readonly string[] | undefined {
  if (isLiteral(segment)) return text === segment.literal ? [] : undefined
  if (isParam(segment)) return text === '' ? undefined : [text]
  const values = between(segment.texts, text)
  // A value that holds what parts it from its neighbour could be cut elsewhere.
  return values?.some((one) => splits(one, segment.texts)) ? undefined : values
}

/** Whether a value holds text that parts it from its neighbour. */
export const splits = (value: string, texts: readonly string[]): boolean =>
  texts.slice(1, -1).some((text) => value.includes(text))

/** What stands between these texts, each of them as early as it can be; never nothing. */
function between(texts: readonly string[], text: string): readonly string[] | undefined {
  const [first = '', ...others] = texts
  const last = others.pop() ?? ''
  if (!text.startsWith(first) || !text.endsWith(last)) return undefined
  const values: string[] = []
  let at = first.length
  const end = text.length - last.length
  for (const one of others) {
    const found = text.indexOf(one, at + 1)
    if (found < 0 || found >= end) return undefined
    values.push(text.slice(at, found))
    at = found + one.length
  }
  return at < end ? [...values, text.slice(at, end)] : undefined
}

/** Whether a segment matches a text, without regard to case. */
export function matchesLoosely(segment: RouteSegment, text: string): boolean {
  const texts = textsOf(segment).map(lower)
  return isLiteral(segment) ? texts[0] === lower(text) : between(texts, lower(text)) !== undefined
}

const lower = (text: string): string => text.normalize('NFKC').toLowerCase()

/** How two templates relate by the paths they match; a `/` at the end makes no other path. */
export function compareTemplates(
  one: readonly RouteSegment[],
  other: readonly RouteSegment[],
): 'apart' | 'same' | 'a_covers_b' | 'b_covers_a' | 'crossing' {
  const [a, b] = [withoutEnd(one), withoutEnd(other)]
  if (a.length !== b.length) return 'apart'
  const relations = new Set(a.map((left, at) => compareSegments(left, b[at] as RouteSegment)))
  if (relations.has('apart')) return 'apart'
  const [aWider, bWider] = [relations.has('a_covers_b'), relations.has('b_covers_a')]
  if (relations.has('crossing') || (aWider && bWider)) return 'crossing'
  if (aWider) return 'a_covers_b'
  return bWider ? 'b_covers_a' : 'same'
}

/** A character of the private use planes, which no template has. */
const ANY = '\u{f0000}'

// Some upstreams route without regard to case; two templates that differ only there are not apart.
function compareSegments(a: RouteSegment, b: RouteSegment): ReturnType<typeof compareTemplates> {
  const [left, right] = [textsOf(a), textsOf(b)]
  const aWider = matchesLoosely(a, right.join(ANY))
  const bWider = matchesLoosely(b, left.join(ANY))
  if (aWider && bWider) return 'same'
  if (aWider) return 'a_covers_b'
  if (bWider) return 'b_covers_a'
  return isLiteral(a) || isLiteral(b) || !meet(left, right) ? 'apart' : 'crossing'
}

function meet(left: readonly string[], right: readonly string[]): boolean {
  const [first, second] = [lower(left[0] ?? ''), lower(right[0] ?? '')]
  const [last, end] = [lower(left.at(-1) ?? ''), lower(right.at(-1) ?? '')]
  const beginAlike = first.startsWith(second) || second.startsWith(first)
  return beginAlike && (last.endsWith(end) || end.endsWith(last))
}

/** Builds the table the proxy matches against, most specific template first. */
export function buildRoutes(tools: Iterable<Tool>): RouteTable {
  const byUpstream = new Map<string, Map<string, Route[]>>()
  for (const tool of tools) {
    const parsed = parseTemplate(tool.path)
    if (!parsed.ok) continue
    const byMethod = byUpstream.get(tool.upstream) ?? new Map<string, Route[]>()
    byUpstream.set(tool.upstream, byMethod)
    const routes = byMethod.get(tool.method) ?? []
    byMethod.set(tool.method, routes)
    routes.push(Object.freeze({ tool, segments: parsed.segments }))
  }
  for (const byMethod of byUpstream.values()) {
    for (const routes of byMethod.values()) {
      routes.sort((a, b) => width(a) - width(b) || textLength(b) - textLength(a))
    }
  }
  return Object.freeze({ byUpstream })
}

// Whole variables are wider than those with text around them, and these narrower the more text there is.
const width = ({ segments }: Route): number =>
  segments.reduce((sum, one) => sum + (isParam(one) ? 2 : isLiteral(one) ? 0 : 1), 0)

const textLength = ({ segments }: Route): number =>
  segments.reduce((sum, one) => sum + textsOf(one).join('').length, 0)
