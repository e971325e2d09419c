import { yaml } from '../libraries.ts'
import { fromJs, isArray, Num, RegoObject, RegoSet, toJs, type Value, writeJson } from '../value.ts'
import { type Family, fail, object, text, wrongType } from './kind.ts'

const decoder = new TextDecoder()

function decode64(
  source: string,
  alphabet: RegExp,
  encoding: 'base64' | 'base64url',
  padded: boolean,
): string {
  const clean = source.replace(/[\r\n]/g, '')
  const body = clean.replace(/=+$/, '')
  const pads = clean.length - body.length
  if (!alphabet.test(body) || body.length % 4 === 1)
    fail(`illegal base64 data at input byte ${body.length}`)
  if (padded ? clean.length % 4 !== 0 || pads > 2 : pads > 0)
    fail(`illegal base64 data at input byte ${body.length}`)
  return decoder.decode(Buffer.from(body, encoding))
}

const STANDARD = /^[A-Za-z0-9+/]*$/
const URL_SAFE = /^[A-Za-z0-9_-]*$/

export const encoding: Family = {
  'base64.decode': (s) => decode64(text(s, 1), STANDARD, 'base64', true),
  'base64.is_valid': (s) => {
    try {
      decode64(text(s, 1), STANDARD, 'base64', true)
      return true
    } catch {
      return false
    }
  },
  'base64url.decode': (s) => {
    const source = text(s, 1)
    // Padding may be left away, but not in part.
    return decode64(source, URL_SAFE, 'base64url', source.endsWith('=') || source.length % 4 === 0)
  },
  'hex.decode': (s) => {
    const source = text(s, 1)
    if (source.length % 2 !== 0) fail('encoding/hex: odd length hex string')
    if (!/^[0-9a-fA-F]*$/.test(source)) fail('encoding/hex: invalid byte')
    return decoder.decode(Buffer.from(source, 'hex'))
  },
  'urlquery.encode': (s) => queryEscape(text(s, 1)),
  'urlquery.decode': (s) => queryUnescape(text(s, 1)),
  'urlquery.encode_object': (o) => encodeObject(object(o, 1)),
  'urlquery.decode_object': (s) => decodeObject(text(s, 1)),
  'json.marshal_with_options': (v, o) => marshal(v, object(o, 2)),
  'yaml.marshal': (v) =>
    yaml().stringify(toJs(v), {
      sortMapEntries: true,
      lineWidth: 0,
      singleQuote: null,
      nullStr: 'null',
    }),
  'yaml.unmarshal': (s) => {
    const parsed = yamlValue(text(s, 1))
    return parsed === undefined ? fail('yaml: cannot be read') : parsed
  },
  'yaml.is_valid': (s) => (typeof s === 'string' ? yamlValue(s) !== undefined : false),
  lower: (s) => text(s, 1).toLowerCase(),
  upper: (s) => upper(text(s, 1)),
}

/** Rune by rune, as Go does: `ß` has no single upper-case rune and stays. */
function upper(s: string): string {
  return Array.from(s)
    .map((c) => (Array.from(c.toUpperCase()).length === 1 ? c.toUpperCase() : c))
    .join('')
}

export function queryEscape(s: string): string {
  return encodeURIComponent(s)
    .replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
    .replace(/%20/g, '+')
}
function queryUnescape(s: string): string {
  if (/%(?![0-9a-fA-F]{2})/.test(s)) fail('invalid URL escape')
  return decoder.decode(
    Buffer.from(s.replace(/\+/g, ' ').replace(/%([0-9a-fA-F]{2})|[^%]+/g, escapeToBytes), 'latin1'),
  )
}
function escapeToBytes(all: string, hex: string | undefined): string {
  return hex === undefined
    ? Buffer.from(all).toString('latin1')
    : String.fromCharCode(Number.parseInt(hex, 16))
}

function encodeObject(o: RegoObject): string {
  const parts: string[] = []
  for (const [k, v] of o.pairs) {
    const key = queryEscape(text(k, 1))
    const values = v instanceof RegoSet ? v.items : isArray(v) ? v : [v]
    for (const item of values) {
      if (typeof item !== 'string') wrongType(1, v, 'string', 'set', 'array')
      else parts.push(`${key}=${queryEscape(item)}`)
    }
  }
  return parts.join('&')
}

function decodeObject(s: string): Value {
  const found = new Map<string, string[]>()
  for (const part of s.split('&')) {
    if (part === '') continue
    if (part.includes(';')) fail('invalid semicolon separator in query')
    const cut = part.indexOf('=')
    const key = queryUnescape(cut < 0 ? part : part.slice(0, cut))
    const value = queryUnescape(cut < 0 ? '' : part.slice(cut + 1))
    found.set(key, [...(found.get(key) ?? []), value])
  }
  return new RegoObject([...found])
}

function marshal(v: Value, options: RegoObject): string {
  let pretty = false
  let prefix = ''
  let indent = '\t'
  for (const [key, value] of options.pairs) {
    if (key === 'pretty') {
      if (typeof value !== 'boolean') wrongType(2, value, 'boolean')
      pretty = value
    } else if (key === 'prefix' || key === 'indent') {
      const given = text(value, 2)
      if (options.get('pretty') === undefined) pretty = true
      if (key === 'prefix') prefix = given
      else indent = given
    } else fail(`object contained unknown key ${writeJson(key)}`)
  }
  const escape = (s: string) =>
    s.replace(/[<>&\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
  if (!pretty) return escape(writeJson(v))
  return prefix + indented(v, prefix, indent, '', escape)
}

function indented(
  v: Value,
  prefix: string,
  indent: string,
  depth: string,
  escape: (s: string) => string,
): string {
  const inner = depth + indent
  const items = isArray(v) ? v : v instanceof RegoSet ? v.items : undefined
  if (items) {
    if (items.length === 0) return '[]'
    return `[\n${items.map((x) => prefix + inner + indented(x, prefix, indent, inner, escape)).join(',\n')}\n${prefix}${depth}]`
  }
  if (v instanceof RegoObject) {
    if (v.pairs.length === 0) return '{}'
    const lines = v.pairs.map(([k, x]) => {
      const key = escape(JSON.stringify(typeof k === 'string' ? k : writeJson(k)))
      return `${prefix}${inner}${key}: ${indented(x, prefix, indent, inner, escape)}`
    })
    return `{\n${lines.join(',\n')}\n${prefix}${depth}}`
  }
  return escape(writeJson(v))
}

function yamlValue(source: string): Value | undefined {
  const document = yaml().parseDocument(source, {
    version: '1.1',
    intAsBigInt: true,
    logLevel: 'silent',
    merge: true,
  })
  if (document.errors.length > 0) return undefined
  try {
    const js: unknown = document.toJS({ mapAsMap: false, maxAliasCount: 100 })
    return source.trim() === '' ? null : fromJs(js)
  } catch {
    return undefined
  }
}

export { Num }
