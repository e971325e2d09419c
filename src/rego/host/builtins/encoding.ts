import { isArray, RegoObject, RegoSet, type Value, writeJson } from '../value.ts'
import { BuiltinError, type Family, fail, holds, object, text, wrongType } from './kind.ts'

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
  'base64.is_valid': (s) => holds(() => decode64(text(s, 1), STANDARD, 'base64', true)),
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
  lower: (s) => mapRunes(text(s, 1), lowerRune),
  upper: (s) => mapRunes(text(s, 1), upperRune),
}

/** Rune by rune, as Go does: what would become several runes, as `ß` in upper case, has another or stays. */
function mapRunes(s: string, f: (rune: string) => string): string {
  return Array.from(s, (rune) => {
    const mapped = f(rune)
    return Array.from(mapped).length === 1 ? mapped : rune
  }).join('')
}
const lowerRune = (rune: string): string => (rune === 'İ' ? 'i' : rune.toLowerCase())

/** Greek letters with an iota below have a title case of one rune, which stands in for an upper case of two. */
function upperRune(rune: string): string {
  const code = rune.codePointAt(0) ?? 0
  if (code < 0x1f80 || code > 0x1ff3) return rune.toUpperCase()
  if (code <= 0x1faf && (code & 8) === 0) return String.fromCodePoint(code + 8)
  const hasTitle = code === 0x1fb3 || code === 0x1fc3 || code === 0x1ff3
  return hasTitle ? String.fromCodePoint(code + 9) : rune.toUpperCase()
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

function badOption(message: string): never {
  throw new BuiltinError(`operand 2 ${message}`, 'eval_type_error')
}

function marshal(v: Value, options: RegoObject): string {
  let pretty: boolean | undefined
  let prefix = ''
  let indent = '\t'
  for (const [key, value] of options.pairs) {
    if (typeof key !== 'string') return badOption(`failed to stringify key ${writeJson(key)}`)
    if (key === 'pretty') {
      if (typeof value !== 'boolean') return badOption(`key ${key} failed cast to bool`)
      pretty = value
    } else if (key === 'prefix' || key === 'indent') {
      if (typeof value !== 'string') return badOption(`key ${key} failed cast to string`)
      if (key === 'prefix') prefix = value
      else indent = value
    } else return badOption(`object contained unknown key ${writeJson(key)}`)
  }
  pretty ??= options.get('prefix') !== undefined || options.get('indent') !== undefined
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
