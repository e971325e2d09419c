// YAML as OPA reads and writes it: through sigs.k8s.io/yaml, on go-yaml 2. The library finds the structure, what a scalar
// is and how one is written is go-yaml's.
import type * as Yaml from 'yaml'
import { yaml } from '../../libraries.ts'
import { isArray, Num, num, RegoObject, RegoSet, type Value, writeJson } from '../value.ts'
import { type Family, fail, holds, text } from './kind.ts'
import { isBase60, resolveScalar, type Scalar } from './yaml-scalars.ts'

/** An alias may stand for much, and aliases for aliases. */
const NODES_MAX = 100_000
const decoder = new TextDecoder()

// ---- reading

class Reader {
  readonly #document: Yaml.Document.Parsed
  #nodes = 0

  constructor(document: Yaml.Document.Parsed) {
    this.#document = document
  }

  read(node: unknown): Value {
    if (++this.#nodes > NODES_MAX) return fail('yaml: document contains excessive aliasing')
    const { isAlias, isMap, isSeq, isScalar } = yaml()
    if (isAlias(node))
      return this.read(
        node.resolve(this.#document) ?? fail(`yaml: unknown anchor '${node.source}'`),
      )
    if (isSeq(node)) return node.items.map((item) => this.read(item))
    if (isMap(node)) return this.#map(node)
    return isScalar(node) ? valueOf(node) : null
  }

  #map(map: Yaml.YAMLMap): Value {
    const { isScalar } = yaml()
    const pairs: (readonly [Value, Value])[] = []
    for (const { key, value } of map.items) {
      const isMerge =
        isScalar(key) && isPlain(key) && resolveScalar(String(key.value)).kind === 'merge'
      if (isMerge) pairs.push(...this.#merged(value))
      else pairs.push([this.#key(key), this.read(value)])
    }
    return new RegoObject(pairs)
  }

  #key(node: unknown): string {
    const key = this.read(node)
    if (typeof key === 'string') return key
    if (typeof key === 'boolean') return String(key)
    if (key instanceof Num)
      return /[.eE]/.test(key.text) ? goFloat(Math.fround(Number(key.text))) : key.text
    return fail(key === null ? 'unsupported map key' : 'yaml: invalid map key')
  }

  /** What `<<` brings, the first of several maps last, so that it wins. */
  #merged(node: unknown): (readonly [Value, Value])[] {
    const bad = () => fail('yaml: map merge requires map or sequence of maps as the value')
    const value = this.read(node)
    const maps = isArray(value) ? [...value].reverse() : [value]
    return maps.flatMap((map) => (map instanceof RegoObject ? map.pairs : bad()))
  }
}

function isPlain({ type, tag }: Yaml.Scalar): boolean {
  return type === 'PLAIN' && tag === undefined
}

function valueOf(node: Yaml.Scalar): Value {
  const source = typeof node.value === 'string' ? node.value : ''
  const tag =
    node.tag?.replace(/^tag:yaml\.org,2002:/, '!!') ?? (node.type === 'PLAIN' ? '' : '!!str')
  if (tag === '!!binary') return binary(source)
  if (tag === '!!str' || (tag !== '' && !tag.startsWith('!!'))) return source
  const scalar = resolveScalar(source)
  const value = scalarValue(scalar, source)
  if (tag === '' || KINDS[tag]?.includes(scalar.kind) === true) return value
  return tag in KINDS ? fail(`yaml: cannot decode \`${source}\` as a ${tag}`) : source
}

const KINDS: Readonly<Record<string, readonly Scalar['kind'][]>> = {
  '!!null': ['null'],
  '!!bool': ['boolean'],
  '!!int': ['integer'],
  '!!float': ['float', 'integer'],
  '!!timestamp': ['date'],
}

function scalarValue(scalar: Scalar, source: string): Value {
  switch (scalar.kind) {
    case 'null':
      return null
    case 'boolean':
      return scalar.value
    case 'integer':
      return num(scalar.value)
    case 'float':
      return new Num(jsonFloat(scalar.value))
    default:
      return source
  }
}

function binary(source: string): string {
  const clean = source.replace(/[\r\n]/g, '')
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(clean))
    return fail('yaml: !!binary value contains invalid base64 data')
  return decoder.decode(Buffer.from(clean, 'base64'))
}

/** As encoding/json writes one: no number is not a number there. */
function jsonFloat(value: number): string {
  if (!Number.isFinite(value)) return fail('json: unsupported value')
  const abs = Math.abs(value)
  if (abs !== 0 && (abs < 1e-6 || abs >= 1e21)) return value.toExponential()
  return Object.is(value, -0) ? '-0' : String(value)
}

/** The first document; what is wrong behind its end is not read any more. */
function parseDocument(source: string): Yaml.Document.Parsed | undefined {
  if (/^(?:[ \n]*(?:#[^\n]*)?\n)*\.\.\.(?:\s|$)/.test(source))
    return fail('yaml: did not find expected node content')
  if (/^%(?!YAML |TAG )/m.exec(source)?.index === 0) return fail('yaml: unknown directive')
  const documents = yaml().parseAllDocuments(source, {
    version: '1.1',
    schema: 'failsafe',
    uniqueKeys: false,
    logLevel: 'silent',
    strict: true,
  })
  if (!Array.isArray(documents) || documents.length === 0) {
    return /^[^\S\n]*\t/m.test(source)
      ? fail('yaml: found character that cannot start any token')
      : undefined
  }
  const [document] = documents as Yaml.Document.Parsed[]
  if (!document) return undefined
  const end = closedEnd(document.contents, source)
  const errors = document.errors.filter(({ pos }) => end === undefined || pos[0] < end)
  const [first] = [...errors, ...document.warnings.filter(({ code }) => code === 'BAD_DIRECTIVE')]
  if (first && end === undefined) {
    const whole = indented(source)
    if (whole !== undefined) return parseDocument(whole)
  }
  if (first) return fail(`yaml: ${first.message.split('\n')[0] ?? ''}`)
  if (hasTabs(source.slice(0, end), document))
    return fail('yaml: found character that cannot start any token')
  return document
}

/** A text that begins indented, up to where it is not any more: there its document ends. */
function indented(source: string): string | undefined {
  const margin = /^(?:[ ]*(?:#[^\n]*)?\n)*( +)[^ \n#]/.exec(source)
  if (!margin) return undefined
  const width = margin[1]?.length ?? 0
  const rest = new RegExp(`\\n {0,${width - 1}}[^ \\n#]`).exec(source.slice(margin[0].length))
  return rest ? source.slice(0, margin[0].length + rest.index + 1) : undefined
}

/** Where a node in brackets or quotes ends. */
function closedEnd(contents: unknown, source: string): number | undefined {
  const { isCollection, isScalar } = yaml()
  const isClosed =
    (isCollection(contents) && contents.flow === true) ||
    (isScalar(contents) && (contents.type === 'QUOTE_DOUBLE' || contents.type === 'QUOTE_SINGLE'))
  const end = isClosed ? contents.range?.[1] : undefined
  return end !== undefined && /[\]}"']/.test(source[end - 1] ?? '') ? end : undefined
}

/** A tab may indent nothing, but inside brackets, quotes and blocks of text. */
function hasTabs(source: string, document: Yaml.Document.Parsed): boolean {
  if (!source.includes('\t')) return false
  const inside: (readonly [number, number])[] = []
  const { visit, isCollection, isScalar } = yaml()
  visit(document, (_, node) => {
    const isWhole =
      (isCollection(node) && node.flow === true) || (isScalar(node) && node.type !== 'PLAIN')
    if (isWhole && node.range) inside.push([node.range[0], node.range[1]])
  })
  for (const { index, 0: line } of source.matchAll(/^ *\t/gm)) {
    const at = index + line.length - 1
    if (!inside.some(([from, to]) => at > from && at < to)) return true
  }
  return false
}

/** The first document of a text; null where there is none. @throws BuiltinError */
export function unmarshal(source: string): Value {
  const document = parseDocument(source)
  return document ? new Reader(document).read(document.contents) : null
}

// ---- writing

/** As Go's `%g` in the shortest form that reads back. */
function goFloat(value: number): string {
  const [mantissa = '', exponent = '0'] = value.toExponential().split('e')
  const power = Number(exponent)
  if (value !== 0 && (power < -4 || power >= 6))
    return `${mantissa}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`
  return Object.is(value, -0) ? '-0' : String(value)
}

function numberText({ text: source }: Num): string {
  const scalar = resolveScalar(source)
  if (scalar.kind === 'integer') return String(scalar.value)
  return scalar.kind === 'float' ? goFloat(scalar.value) : source
}

/** What go-yaml finds out about a text before it chooses how to write it. */
interface Analysis {
  readonly plain: boolean
  readonly single: boolean
  readonly block: boolean
}

const BREAK = /[\r\n\u0085\u2028\u2029]/
// oxlint-disable-next-line no-misleading-character-class
const PRINTABLE = /^[\n\u0020-\u007e\u00a0-\ud7ff\ue000-\ufefe\uff00-\ufffd]*$/

function analyse(s: string): Analysis {
  const indicator =
    /^(?:---|\.\.\.)|^[#,[\]{}&*!|>'"%@`]|^[?:-](?:[ \t]|$)|:(?:[ \t]|$)|[ \t\r\n\u0085\u2028\u2029]#/.test(
      s,
    )
  const breakSpace = /[\r\n\u0085\u2028\u2029] /.test(s)
  const special = / [\r\n\u0085\u2028\u2029]/.test(s) || !PRINTABLE.test(s)
  const edge = /^[ \r\n\u0085\u2028\u2029]|[ \r\n\u0085\u2028\u2029]$/.test(s)
  return {
    plain: !indicator && !breakSpace && !special && !edge && !BREAK.test(s),
    single: !breakSpace && !special,
    block: s !== '' && !special && !s.endsWith(' '),
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\0': '0',
  '\u0007': 'a',
  '\b': 'b',
  '\t': 't',
  '\n': 'n',
  '\v': 'v',
  '\f': 'f',
  '\r': 'r',
  '\u001b': 'e',
  '"': '"',
  '\\': '\\',
  '\u0085': 'N',
  '\u00a0': '_',
  '\u2028': 'L',
  '\u2029': 'P',
}

function doubleQuoted(s: string): string {
  const inner = Array.from(s, (rune) => {
    const isFine = rune.length === 1 && PRINTABLE.test(rune) && !BREAK.test(rune)
    if (isFine && rune !== '"' && rune !== '\\') return rune
    const known = ESCAPES[rune]
    if (known !== undefined) return `\\${known}`
    const code = rune.codePointAt(0) ?? 0
    const [letter, width] =
      code <= 0xff
        ? (['x', 2] as const)
        : code <= 0xffff
          ? (['u', 4] as const)
          : (['U', 8] as const)
    return `\\${letter}${code.toString(16).toUpperCase().padStart(width, '0')}`
  })
  return `"${inner.join('')}"`
}

/** A block of text at an indentation, with what says how it begins and ends. */
function literal(s: string, indent: number): string {
  const hint = /^[ \r\n\u0085\u2028\u2029]/.test(s) ? '2' : ''
  const [last = '', before = ''] = Array.from(s).reverse()
  const chomp = !BREAK.test(last) ? '-' : before === '' || BREAK.test(before) ? '+' : ''
  const lines = s.split('\n').map((line) => (line === '' ? '' : ' '.repeat(indent) + line))
  return `|${hint}${chomp}\n${lines.join('\n')}`.replace(/\n$/, '')
}

function stringText(s: string, indent: number, isKey: boolean): string {
  const { plain, single, block } = analyse(s)
  if (s.includes('\n')) return block && !isKey ? literal(s, indent) : doubleQuoted(s)
  const { kind } = resolveScalar(s)
  const isWord = (kind !== 'text' && kind !== 'merge') || isBase60(s)
  if (isWord || s === '') return doubleQuoted(s)
  if (plain) return s
  return single ? `'${s.replaceAll("'", "''")}'` : doubleQuoted(s)
}

/** Keys as go-yaml sorts them: numbers in them by their value, letters behind what is none. */
function compareKeys(a: string, b: string): number {
  const [x, y] = [Array.from(a), Array.from(b)]
  const isLetter = (c: string | undefined) => c !== undefined && /\p{L}/u.test(c)
  const isDigit = (c: string | undefined) => c !== undefined && /\p{Nd}/u.test(c)
  const order = (less: boolean) => (less ? -1 : 1)
  for (let i = 0; i < x.length && i < y.length; i++) {
    const [c, d] = [x[i] as string, y[i] as string]
    if (c === d) continue
    if (isLetter(c) && isLetter(d)) return order((c.codePointAt(0) ?? 0) < (d.codePointAt(0) ?? 0))
    if (isLetter(c) || isLetter(d)) return order(isLetter(d))
    let start = c === '0' || d === '0' ? 0 : -1
    if (start === 0) {
      let nonZero = false
      for (let j = i - 1; j >= 0 && isDigit(x[j]); j--) if (x[j] !== '0') nonZero = true
      start = nonZero ? 1 : 0
    }
    const read = (chars: readonly string[]): [bigint, number] => {
      let [value, at] = [start === 1 ? 1n : 0n, i]
      for (; at < chars.length && isDigit(chars[at]); at++)
        value = value * 10n + BigInt((chars[at]?.codePointAt(0) ?? 48) - 48)
      return [value, at]
    }
    const [[an, ai], [bn, bi]] = [read(x), read(y)]
    if (an !== bn) return order(an < bn)
    if (ai !== bi) return order(ai < bi)
    return order((c.codePointAt(0) ?? 0) < (d.codePointAt(0) ?? 0))
  }
  return x.length - y.length
}

/** A value behind what stands on its line; lines of its own begin at `indent`. */
function written(v: Value, indent: number, behind: 'start' | 'dash' | 'key'): string {
  const items = isArray(v) ? v : v instanceof RegoSet ? v.items : undefined
  const space = behind === 'key' ? ' ' : ''
  const margin = ' '.repeat(indent)
  if (items) {
    if (items.length === 0) return `${space}[]`
    const lines = items.map((item) => `- ${written(item, indent + 2, 'dash')}`)
    const list = lines.join(`\n${margin}`)
    return behind === 'key' ? `\n${margin}${list}` : list
  }
  if (v instanceof RegoObject) {
    if (v.pairs.length === 0) return `${space}{}`
    const lines = entriesOf(v).map(([key, value]) => pairText(key, value, indent))
    const map = lines.join(`\n${margin}`)
    return behind === 'key' ? `\n${margin}${map}` : map
  }
  if (typeof v === 'string') return space + stringText(v, Math.max(indent, 2), false)
  return space + (v instanceof Num ? numberText(v) : writeJson(v))
}

function pairText(key: string, value: Value, indent: number): string {
  const margin = ' '.repeat(indent)
  if (key.includes('\n') || Buffer.byteLength(key) > 128) {
    const inner = written(value, indent + 2, 'dash')
    return `? ${stringText(key, indent + 2, false)}\n${margin}: ${inner}`
  }
  const isList = (isArray(value) && value.length > 0) || value instanceof RegoSet
  const name = key === '' ? '""' : stringText(key, indent, true)
  return `${name}:${written(value, isList ? indent : indent + 2, 'key')}`
}

function entriesOf(v: RegoObject): [string, Value][] {
  const found = new Map(
    v.pairs.map(([key, value]) => [typeof key === 'string' ? key : writeJson(key), value] as const),
  )
  return [...found].sort(([a], [b]) => compareKeys(a, b))
}

export const yamls: Family = {
  'yaml.marshal': (v) => `${written(v ?? null, 0, 'start')}\n`,
  'yaml.unmarshal': (s) => unmarshal(text(s, 1)),
  'yaml.is_valid': (s) => typeof s === 'string' && holds(() => unmarshal(s)),
}
