// Formats that a schema may ask of a text, as Go's libraries read them; a format of no such name asks nothing.
import { holds } from '../builtins/kind.ts'
import { compilePattern } from '../builtins/regex.ts'
import { isUri, schemeOf, uriPath } from '../builtins/uris.ts'
import { parseIp } from '../builtins/network.ts'

const HOSTNAME =
  /^(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]{0,61}[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]{0,61}[a-zA-Z0-9]))*$/
const UUID = /^[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12}$/i
const POINTER = /^(?:\/(?:[^~/]|~0|~1)*)*$/
const RELATIVE_POINTER = /^(?:0|[1-9][0-9]*)(?:#|(?:\/(?:[^~/]|~0|~1)*)*)$/
const DATE = /^(\d{4})-(\d\d)-(\d\d)$/
const CLOCK = /^(\d\d?):(\d\d):(\d\d)(?:[.,]\d+)?$/
const ZONE = /(?:Z|[+-](\d\d):(\d\d))$/
const ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~\\u0080-\\u{10ffff}-]+"
const DOT_ATOM = `${ATOM}(?:\\.${ATOM})*`
const QUOTED = String.raw`"(?:[^"\\\u0000-\u0008\u000a-\u001f]|\\[^\u0000-\u0008\u000a-\u001f])*"`
const ADDRESS = `(?:${DOT_ATOM}|${QUOTED})@(?:${DOT_ATOM}|\\[[0-9A-Fa-f.:]+\\])`
const WORD = `(?:${ATOM}(?:\\.${ATOM})*\\.?|${QUOTED})`
const MAIL = new RegExp(
  `^[ \\t]*(?:${ADDRESS}|(?:${WORD}(?:[ \\t]+${WORD})*)?[ \\t]*<[ \\t]*${ADDRESS}[ \\t]*>)(?:[ \\t]|\\([^()]*\\))*$`,
  'u',
)

function isDate(s: string): boolean {
  const [, year, month, day] = DATE.exec(s) ?? []
  if (year === undefined) return false
  const [y, m, d] = [Number(year), Number(month), Number(day)]
  if (m < 1 || m > 12 || d < 1) return false
  const leap = y % 4 === 0 && (y % 100 !== 0 || y % 400 === 0)
  return d <= (m === 2 ? (leap ? 29 : 28) : [4, 6, 9, 11].includes(m) ? 30 : 31)
}

function isClock(s: string): boolean {
  const [, hour, minute, second] = CLOCK.exec(s) ?? []
  return hour !== undefined && Number(hour) < 24 && Number(minute) < 60 && Number(second) < 60
}

function isZoned(s: string): boolean {
  const zone = ZONE.exec(s)
  if (!zone) return false
  const [, hour = '0', minute = '0'] = zone
  return Number(hour) <= 24 && Number(minute) < 60 && isClock(s.slice(0, zone.index))
}

function isTime(s: string): boolean {
  return isClock(s) || isZoned(s)
}

function isMoment(s: string): boolean {
  const at = s.indexOf('T')
  return at >= 0 && isDate(s.slice(0, at)) && isZoned(s.slice(at + 1))
}

const isRegex = (s: string): boolean => holds(() => compilePattern(s))

const isReference = (s: string): boolean => isUri(s) && !s.includes('\\')
const isAbsolute = (s: string): boolean => isReference(s) && schemeOf(s) !== ''
const isMail = (s: string): boolean => MAIL.test(s)

const CHECKS: Readonly<Record<string, (s: string) => boolean>> = {
  date: isDate,
  time: isTime,
  'date-time': (s) => isTime(s) || isDate(s) || isMoment(s),
  hostname: (s) => HOSTNAME.test(s) && s.length < 256,
  email: isMail,
  'idn-email': isMail,
  ipv4: (s) => s.includes('.') && parseIp(s) !== undefined,
  ipv6: (s) => s.includes(':') && parseIp(s) !== undefined,
  uri: isAbsolute,
  'uri-reference': isReference,
  iri: isAbsolute,
  'iri-reference': isReference,
  'uri-template': (s) => isReference(s) && /^(?:[^{]*(?:\{[^}]*\})?)*$/.test(uriPath(s)),
  uuid: (s) => UUID.test(s),
  regex: isRegex,
  'json-pointer': (s) => POINTER.test(s),
  'relative-json-pointer': (s) => RELATIVE_POINTER.test(s),
}

export function hasFormat(format: string, s: string): boolean {
  return !Object.hasOwn(CHECKS, format) || (CHECKS[format]?.(s) ?? true)
}
