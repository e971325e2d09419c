import {
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  parseDocument,
  type Document,
  type Node,
  type Pair,
  type Scalar,
  type YAMLMap,
} from 'yaml'
import type { Json } from '../model/json.ts'
import { type Findings, type Place, wholeFile } from './diagnostics.ts'
import { POLICY_LIMITS } from './limits.ts'

// YAML is a trap for whoever must not misread a rule: anchors, merges, tags and numbers that are none. It is read by a library and
// then taken through a narrow gate, with the place of each part kept, so that whatever is wrong later can be pointed at.

export type PathStep = string | number

/** A parsed file: its value, and where in the text each part of it stands. */
export interface SourceDocument {
  readonly file: string
  readonly value: Json
  /** Place of the value at `path`, or of the deepest part of the path that exists. */
  at(path: readonly PathStep[]): Place
  /** Place of the key at `path` rather than of its value. */
  atKey(path: readonly PathStep[]): Place
  /** The text of a single value as it is written, or undefined. */
  written(path: readonly PathStep[]): string | undefined
}

/**
 * Strict YAML 1.2: one document of plain maps, lists and scalars. What other readers would expand,
 * merge or convert (anchors, merge keys, tags) is refused, since a rule that is silently missing is
 * a hole. Undefined when anything was found.
 */
export function parseYaml(file: string, text: string, found: Findings): SourceDocument | undefined {
  const lines = new LineCounter()
  const tooDeep = depthBreach(text)
  if (tooDeep !== undefined) {
    found.error({ file, ...tooDeep }, 'yaml_too_deep', depthMessage)
    return undefined
  }
  // Keys are compared in `mapToJson`, which knows where the first of two stands.
  const options = { lineCounter: lines, prettyErrors: false, merge: false, uniqueKeys: false }
  const parsed = parseDocument(text, options)
  const place = (start: number, end: number): Place => {
    const [from, to] = [lines.linePos(start), lines.linePos(Math.max(end, start + 1))]
    const [line, col] = [Math.max(from.line, 1), Math.max(from.col, 1)]
    return { file, line, col, end: { line: Math.max(to.line, line), col: Math.max(to.col, 1) } }
  }
  for (const issue of [...parsed.errors, ...parsed.warnings]) {
    const hint = issue.code === 'TAB_AS_INDENT' ? 'indent with spaces' : undefined
    found.error(place(...issue.pos), yamlCode(issue.code), firstLine(issue.message), hint)
  }
  if (parsed.errors.length + parsed.warnings.length > 0) return undefined
  if (parsed.contents === null) {
    found.error(wholeFile(file), 'yaml_empty', 'file is empty')
    return undefined
  }
  return toDocument(file, parsed, place, found)
}

const depthMessage = `nested deeper than ${POLICY_LIMITS.depthMax} levels`

function yamlCode(code: string): string {
  if (code === 'MULTIPLE_DOCS') return 'yaml_multiple_documents'
  if (code === 'TAG_RESOLVE_FAILED') return 'yaml_tag'
  return 'yaml_syntax'
}

const firstLine = (message: string): string => {
  const line = message.split('\n', 1)[0] ?? ''
  return line.charAt(0).toLowerCase() + line.slice(1).replace(/[.:]$/, '')
}

const INDENT_MAX = 200
const COMPACT_MAX = 64
const INDICATORS = new Set(['-', '?', ':'])

// The composer of `yaml` recurses, and far enough down V8 aborts the whole process while compiling
// a regular expression with no stack left. So depth is judged on tokens, before composing.
function depthBreach(
  text: string,
  flowMax: number = POLICY_LIMITS.depthMax,
): { line: number; col: number } | undefined {
  let [line, col, flow, compact] = [1, 1, 0, 0]
  for (const token of new Lexer().lex(text)) {
    if (token === '[' || token === '{') flow++
    if (token === ']' || token === '}') flow--
    if (flow === 0 && INDICATORS.has(token)) compact++
    if (flow > flowMax || compact > COMPACT_MAX || isDeepIndent(token)) {
      return { line, col }
    }
    const breaks = token.split('\n').length - 1
    if (breaks > 0) [line, col, compact] = [line + breaks, 1, 0]
    col += breaks > 0 ? token.length - token.lastIndexOf('\n') - 1 : token.length
  }
  return undefined
}

/** Whether a text is nested too deep for the parser, before it is parsed. */
export const isDeeperThan = (text: string, flowMax: number): boolean =>
  depthBreach(text, flowMax) !== undefined

const isDeepIndent = (token: string): boolean =>
  token.length > INDENT_MAX && token.trimStart() === '' && !token.includes('\n')

function toDocument(
  file: string,
  parsed: Document.Parsed,
  place: (start: number, end: number) => Place,
  found: Findings,
): SourceDocument | undefined {
  const before = { clean: true }
  const at = (node: Node) => {
    const [start, end] = spanOf(node) ?? [0, 0]
    return place(start, end)
  }
  const refuse: Refuse = (node, code, message, first) => {
    before.clean = false
    found.error(at(node), code, first ? `${message}, first on line ${at(first).line}` : message)
    return null
  }
  const value = toJson(parsed.contents, 0, refuse)
  if (!before.clean) return undefined
  const placed = (path: readonly PathStep[], key: boolean) => {
    const [start, end] = spanAt(parsed.contents, path, key)
    return place(start, end)
  }
  return Object.freeze({
    file,
    value,
    at: (path: readonly PathStep[]) => placed(path, false),
    atKey: (path: readonly PathStep[]) => placed(path, true),
    written: (path: readonly PathStep[]) => {
      const node: unknown = parsed.getIn(path, true)
      return isScalar(node) ? node.source : undefined
    },
  })
}

type Refuse = (node: Node, code: string, message: string, first?: Node) => Json

function toJson(node: unknown, depth: number, refuse: Refuse): Json {
  if (!isNode(node)) return null
  if (isAlias(node)) return refuse(node, 'yaml_alias', `alias \`*${node.source}\` is not allowed`)
  if (node.anchor !== undefined) {
    return refuse(node, 'yaml_anchor', `anchor \`&${node.anchor}\` is not allowed`)
  }
  if (node.tag !== undefined) return refuse(node, 'yaml_tag', `tag \`${node.tag}\` is not allowed`)
  if (depth > POLICY_LIMITS.depthMax) return refuse(node, 'yaml_too_deep', depthMessage)
  if (isScalar(node)) return scalarToJson(node, refuse)
  if (isSeq(node)) return Object.freeze(node.items.map((item) => toJson(item, depth + 1, refuse)))
  if (isMap(node)) return mapToJson(node, depth, refuse)
  return refuse(node, 'yaml_syntax', 'this kind of node is not allowed')
}

function scalarToJson(node: Scalar, refuse: Refuse): Json {
  const { value } = node
  if (value === null || typeof value === 'boolean') return value
  if (typeof value === 'string') return value
  if (typeof value !== 'number') return refuse(node, 'yaml_syntax', 'unexpected scalar')
  // One reader takes 007 for 7, another for an octal number, and who wrote it may have meant the three characters.
  if (/^[-+]?0[\dxo]/i.test(node.source ?? '')) {
    return refuse(node, 'yaml_number', `number \`${node.source}\` begins with 0: put it in quotes`)
  }
  if (!Number.isFinite(value)) return refuse(node, 'yaml_number', 'number is not finite')
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
    return refuse(node, 'yaml_number', 'whole number is too large to be held exactly')
  }
  return value
}

function mapToJson(node: YAMLMap, depth: number, refuse: Refuse): Json {
  const object: Record<string, Json> = {}
  const keys = new Map<string, Node>()
  for (const pair of node.items) {
    const key = keyOf(pair, node, refuse)
    if (key === undefined) continue
    const [own, first] = [pair.key as Node, keys.get(key)]
    if (first) {
      refuse(own, 'duplicate_key', `duplicate key \`${key.slice(0, 80)}\``, first)
      continue
    }
    keys.set(key, own)
    const value = toJson(pair.value, depth + 1, refuse)
    Object.defineProperty(object, key, { value, enumerable: true })
  }
  return Object.freeze(object)
}

function keyOf(pair: Pair, map: YAMLMap, refuse: Refuse): string | undefined {
  const node = isNode(pair.key) ? pair.key : map
  if (!isScalar(pair.key)) refuse(node, 'yaml_key', 'only plain text can be a key')
  else if (toJson(pair.key, 0, refuse) === '<<') {
    refuse(node, 'yaml_merge_key', 'merge key `<<` is not allowed')
  } else if (typeof pair.key.value !== 'string') {
    refuse(node, 'yaml_key', `key \`${pair.key.source ?? ''}\` must be text: put it in quotes`)
  } else if (pair.key.value === '__proto__') refuse(node, 'yaml_key', 'key `__proto__` is reserved')
  else return pair.key.value
  return undefined
}

function spanAt(root: unknown, path: readonly PathStep[], key: boolean): readonly [number, number] {
  let node: unknown = root
  let span = spanOf(root) ?? [0, 0]
  for (const [index, step] of path.entries()) {
    const last = index === path.length - 1
    if (isMap(node)) {
      const pair = pairAt(node, String(step))
      if (!pair) return span
      const value: unknown = pair.value
      const empty = !isScalar(value) || value.source === ''
      const pick = (key && last) || (isScalar(value) && empty) ? pair.key : value
      span = spanOf(pick) ?? span
      node = value
    } else if (isSeq(node)) {
      node = node.items[Number(step)]
      span = spanOf(node) ?? span
    } else return span
  }
  return span
}

// Each place is looked for from the root; a map of a thousand tools is not gone through for each of them.
const pairs = new WeakMap<YAMLMap, ReadonlyMap<string, Pair>>()

function pairAt(map: YAMLMap, key: string): Pair | undefined {
  let known = pairs.get(map)
  if (!known) {
    known = new Map(
      map.items.flatMap((one) => (isScalar(one.key) ? [[String(one.key.value), one]] : [])),
    )
    pairs.set(map, known)
  }
  return known.get(key)
}

const spanOf = (node: unknown): readonly [number, number] | undefined =>
  isNode(node) && node.range ? [node.range[0], node.range[1]] : undefined
