// `uri.*` reads what Go's net/url reads, which is neither RFC 3986 nor the WHATWG's URL: a path may be any text, a host any
// that needs no escapes, and what is escaped beyond need keeps its raw form beside the plain one.
import { isIPv6 } from 'node:net'
import { RegoObject } from '../value.ts'
import { type Family, fail, holds, text } from './kind.ts'

/** ASCII that a host may have as it is. */
const HOST_CHARS = /^[A-Za-z0-9!$&'()*+,;=:[\]<>"\-_.~]$/
const PATH_CHARS = /^[A-Za-z0-9\-_.~$&+,/:;=@]$/
const USER_INFO = /^[A-Za-z0-9\-._:~!$&'()*+,;=%@]*$/
const PORT = /^(?::\d*)?$/
const decoder = new TextDecoder()

type Mode = 'host' | 'zone' | 'other'

/** Replaces `%xx`; fails for broken ones, and in a host for ASCII that is escaped or must not be there. */
function unescape(source: string, mode: Mode): string {
  const bytes: number[] = []
  for (let at = 0; at < source.length; ) {
    const char = String.fromCodePoint(source.codePointAt(at) ?? 0)
    if (char === '%') {
      const hex = source.slice(at + 1, at + 3)
      if (!/^[0-9a-fA-F]{2}$/.test(hex)) return fail(`invalid URL escape "%${hex}"`)
      const byte = Number.parseInt(hex, 16)
      checkEscape(byte, mode)
      bytes.push(byte)
      at += 3
      continue
    }
    if (mode !== 'other' && char.charCodeAt(0) < 0x80 && !HOST_CHARS.test(char))
      return fail(`invalid character "${char}" in host name`)
    bytes.push(...Buffer.from(char))
    at += char.length
  }
  return decoder.decode(Uint8Array.from(bytes))
}

function checkEscape(byte: number, mode: Mode): void {
  const isPercent = byte === 0x25
  const bad =
    mode === 'host'
      ? byte < 0x80 && !isPercent
      : mode === 'zone' &&
        !isPercent &&
        byte !== 0x20 &&
        !HOST_CHARS.test(String.fromCharCode(byte))
  if (bad) fail(`invalid URL escape "%${byte.toString(16)}"`)
}

function escapePath(path: string): string {
  return Array.from(Buffer.from(path), (byte) => {
    const char = String.fromCharCode(byte)
    return PATH_CHARS.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }).join('')
}

function cut(source: string, at: string): [string, string] {
  const i = source.indexOf(at)
  return i < 0 ? [source, ''] : [source.slice(0, i), source.slice(i + at.length)]
}

function hostOf(scheme: string, host: string): string {
  const open = host.lastIndexOf('[')
  if (open > 0) return fail('invalid IP-literal')
  if (open === 0) return bracketed(host)
  const first = host.indexOf(':')
  if (first >= 0) {
    const at = scheme === 'http' || scheme === 'https' ? first : host.lastIndexOf(':')
    if (!PORT.test(host.slice(at))) return fail('invalid port after host')
  }
  return unescape(host, 'host')
}

function bracketed(host: string): string {
  const close = host.lastIndexOf(']')
  if (close < 0) return fail("missing ']' in host")
  const port = host.slice(close + 1)
  if (!PORT.test(port)) return fail('invalid port after host')
  const inside = host.slice(1, close)
  const zone = inside.indexOf('%25')
  const name =
    zone < 0
      ? unescape(inside, 'host')
      : unescape(inside.slice(0, zone), 'host') + unescape(inside.slice(zone), 'zone')
  if (!isIPv6(name)) return fail('invalid IP-literal')
  return `[${name}]${port}`
}

function authorityOf(scheme: string, authority: string): string {
  const at = authority.lastIndexOf('@')
  const host = hostOf(scheme, authority.slice(at + 1))
  if (at >= 0) {
    const user = authority.slice(0, at)
    if (!USER_INFO.test(user)) return fail('invalid userinfo')
    unescape(user, 'other')
  }
  return host
}

type Parts = Readonly<Record<string, string>>

/** The parts of a URI that are there; throws a BuiltinError. */
function parseUri(source: string): Parts {
  const [whole, fragment] = cut(source, '#')
  const parts = partsOf(whole)
  return { ...parts, fragment: unescape(fragment, 'other') }
}

function partsOf(whole: string): Parts {
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(whole)) return fail('invalid control character in URL')
  if (whole === '*') return { path: '*', raw_path: '*' }
  if (whole.startsWith(':')) return fail('missing protocol scheme')
  const named = /^([a-zA-Z][a-zA-Z0-9+.-]*):/.exec(whole)
  const scheme = (named?.[1] ?? '').toLowerCase()
  let [rest, query] = cut(whole.slice(named?.[0].length ?? 0), '?')
  if (!rest.startsWith('/')) {
    // A path without a root behind a scheme is opaque: not read at all.
    if (scheme !== '') return { scheme, raw_query: query }
    if (cut(rest, '/')[0].includes(':'))
      return fail('first path segment in URL cannot contain colon')
  }
  let host = ''
  if (rest.startsWith('//') && (scheme !== '' || !rest.startsWith('///'))) {
    const end = rest.indexOf('/', 2)
    host = authorityOf(scheme, end < 0 ? rest.slice(2) : rest.slice(2, end))
    rest = end < 0 ? '' : rest.slice(end)
  }
  const path = unescape(rest, 'other')
  const raw = escapePath(path) === rest ? path : rest
  return { scheme, ...placeOf(host), path, raw_path: raw, raw_query: query }
}

function placeOf(host: string): Parts {
  const colon = host.lastIndexOf(':')
  const hasPort = colon >= 0 && PORT.test(host.slice(colon))
  const name = hasPort ? host.slice(0, colon) : host
  const isLiteral = name.startsWith('[') && name.endsWith(']')
  return {
    hostname: isLiteral ? name.slice(1, -1) : name,
    port: hasPort ? host.slice(colon + 1) : '',
  }
}

/** Whether Go reads it; the empty text is a reference to where one is. */
export const isUri = (source: string): boolean => holds(() => parseUri(source))

export function schemeOf(source: string): string {
  return parseUri(source)['scheme'] ?? ''
}
export function uriPath(source: string): string {
  return parseUri(source)['path'] ?? ''
}

export const uris: Family = {
  'uri.parse': (s) =>
    new RegoObject(Object.entries(parseUri(text(s, 1))).filter(([, part]) => part !== '')),
  'uri.is_valid': (s) => typeof s === 'string' && s !== '' && isUri(s),
}
